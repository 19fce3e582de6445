"""Facts and fingerprints of model folders, and the folders that are refused."""

from __future__ import annotations

import json
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moco import checkpoint, facts, lora, vocabulary
from moco.access import CAUSAL, Access
from moco.errors import LIMIT, ModelFormatError

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4,
    "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 6,
    "max_position_embeddings": 64, "tie_word_embeddings": True, "eos_token_id": 5,
}  # fmt: skip
VOCAB = {"a": 0, "b": 1, "ab": 2}
ADDED = [
    {"id": 3, "content": "<s>", "special": True},
    {"id": 4, "content": "<tool>", "special": False},
    {"id": 5, "content": "<|im_end|>", "special": True},
]
TENSORS = {
    "model.embed_tokens.weight": np.arange(24, dtype=np.float32).reshape(6, 4),
    "model.layers.0.self_attn.q_proj.weight": np.ones((4, 4), np.float32),
    "model.norm.weight": np.ones(4, np.float32),
}
Folder = Callable[..., Path]


def tensor_file(file: Path, tensors: dict[str, np.ndarray], **entries: Any) -> None:
    """A safetensors file; `entries` replace parts of the header to make it lie."""
    header: dict[str, Any] = {}
    body = b""
    for name, array in tensors.items():
        kind = {"float32": "F32", "float16": "F16", "int64": "I64"}[array.dtype.name]
        start, body = len(body), body + array.tobytes()
        header[name] = {
            "dtype": kind, "shape": list(array.shape), "data_offsets": [start, len(body)],
        }  # fmt: skip
    for name, changes in entries.items():
        header[name] = {**header[name], **changes} if isinstance(changes, dict) else changes
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + body)


def put(folder: Path, name: str, value: Any) -> None:
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "moco"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Makes a small sound model folder, with changes."""

    def make(name: str = "model", **changes: Any) -> Path:
        path = tmp_path / name
        path.mkdir()
        put(path, "config.json", CONFIG | changes.get("config", {}))
        model = {"type": "BPE", "vocab": VOCAB, "merges": ["a b"]}
        put(
            path, "tokenizer.json", {"model": model, "added_tokens": ADDED} | changes.get("tok", {})
        )
        put(
            path, "tokenizer_config.json", {"eos_token": "<|im_end|>"} | changes.get("settings", {})
        )
        tensor_file(path / "model.safetensors", TENSORS | changes.get("tensors", {}))
        return path

    return make


def adapter(path: Path, **changes: Any) -> Path:
    """A LoRA adapter of rank 2 on the small model's q_proj."""
    path.mkdir()
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "../model"}
    put(path, lora.CONFIG, config | changes.pop("config", {}))
    name = changes.pop("layer", "model.layers.0.self_attn.q_proj")
    size = changes.pop("size", 4)
    factors = {
        f"base_model.model.{name}.lora_A.weight": np.ones((2, size), np.float32),
        f"base_model.model.{name}.lora_B.weight": np.ones((4, 2), np.float32),
    }
    tensor_file(path / lora.WEIGHTS, factors)
    return path


def test_a_causal_model(folder: Folder, cache: Path) -> None:
    path = folder()
    found = facts.facts_of(path)
    assert found.access == CAUSAL and not found.adapter and not found.template
    assert found.architecture.startswith("LlamaForCausalLM 1x4 ")
    assert (found.num_parameters, found.num_bytes) == (44, 176)
    assert (found.context, found.vocab_size, found.hidden_size) == (64, 6, 4)
    assert (found.dtype, found.stop_ids) == ("float32", (5,))
    assert found.base == facts.base_digest(path)
    assert not cache.exists()


def test_stop_ids_come_from_everywhere(folder: Folder) -> None:
    path = folder(settings={"eos_token": {"content": "<s>"}}, config={"eos_token_id": None})
    assert facts.facts_of(path).stop_ids == (3,)
    put(path, "generation_config.json", {"eos_token_id": [1, 2]})
    put(path, "chat_template.jinja", "{{ m.content }}<|im_end|>")
    found = facts.facts_of(path)
    assert found.stop_ids == (1, 2, 3, 5) and found.template


def test_vocabulary_digest_is_about_tokens_not_their_roles(folder: Folder) -> None:
    one = facts.facts_of(folder("one")).tokenizer
    pairs = {"type": "BPE", "vocab": VOCAB, "merges": [["a", "b"]]}
    roles = {"model": pairs, "padding": {"pad_id": 3}}
    assert facts.facts_of(folder("two", tok=roles, settings={"pad_token": "<s>"})).tokenizer == one
    swapped = {"type": "BPE", "vocab": {"b": 0, "a": 1, "ab": 2}, "merges": ["a b"]}
    assert facts.facts_of(folder("three", tok={"model": swapped})).tokenizer != one
    unmerged = {"type": "BPE", "vocab": VOCAB, "merges": []}
    assert facts.facts_of(folder("four", tok={"model": unmerged})).tokenizer != one
    unigram = {"type": "Unigram", "vocab": [["a", -1.0], ["b", -2.0], ["ab", -3.0]]}
    assert facts.facts_of(folder("five", tok={"model": unigram})).tokenizer != one


def test_architecture_covers_shapes_and_heads(folder: Folder) -> None:
    one = facts.facts_of(folder("one"))
    same = facts.facts_of(folder("two", tensors={"model.norm.weight": np.zeros(4, np.float32)}))
    assert (same.architecture, same.base == one.base) == (one.architecture, False)
    wide = folder("three", tensors={"model.norm.weight": np.ones(8, np.float32)})
    heads = folder("four", config={"num_attention_heads": 4})
    assert len({facts.facts_of(p).architecture for p in (wide, heads)} | {one.architecture}) == 3


def test_base_digest_sees_the_middle_of_a_large_tensor(folder: Folder) -> None:
    big = np.zeros((6, 4000), np.float32)
    one = facts.base_digest(folder("one", tensors={"model.embed_tokens.weight": big}))
    trained = big + np.float32(1e-6)
    assert facts.base_digest(folder("two", tensors={"model.embed_tokens.weight": trained})) != one


def test_encoders_and_reward_models(folder: Folder) -> None:
    bert = {"architectures": ["BertModel"], "model_type": "bert"}
    path = folder("bert", config=bert)
    put(path, "sentence_bert_config.json", {"max_seq_length": 32})
    found = facts.facts_of(path)
    assert found.access == Access.EMBED | Access.HIDDEN and found.context == 32
    sentence = folder("sentence")
    put(sentence, "modules.json", "[]")
    assert facts.facts_of(sentence).access == Access.EMBED | Access.HIDDEN
    classifier = {"architectures": ["LlamaForSequenceClassification"]}
    path = folder("reward", config=classifier | {"id2label": {"0": "x"}})
    assert facts.facts_of(path).access == Access.REWARD
    with pytest.raises(ModelFormatError, match="classifier with 2 labels"):
        facts.facts_of(folder("labels", config=classifier))
    quantised = folder("quantised", config={"quantization_config": {"bits": 4}})
    assert Access.WEIGHTS not in facts.facts_of(quantised).access


def test_adapters(folder: Folder, tmp_path: Path) -> None:
    base = folder()
    path = adapter(tmp_path / "lora")
    found, full = facts.facts_of(base, path), facts.facts_of(base)
    assert found.adapter and found.base == full.base and found.architecture == full.architecture
    assert found.num_parameters == full.num_parameters + 16
    assert facts.adapter_base(path) == "../model"
    put(path, "moco.json", {"base": "smollm2-135m", "base_sha256": full.base})
    assert facts.facts_of(base, path) == found
    assert facts.adapter_base(path) == "smollm2-135m"
    assert facts.with_adapter(full, path) == found


def test_adapter_of_another_base(folder: Folder, tmp_path: Path) -> None:
    base = folder()
    with pytest.raises(ModelFormatError, match=r"another base.*no layer 'model.layers.7"):
        facts.facts_of(base, adapter(tmp_path / "a", layer="model.layers.7.mlp.up_proj"))
    with pytest.raises(ModelFormatError, match=r"another base.*\(4, 4\).*\(4, 5\)"):
        facts.facts_of(base, adapter(tmp_path / "b", size=5))
    recorded = adapter(tmp_path / "c")
    put(recorded, "moco.json", {"base_sha256": "0" * 64})
    for judge in (lambda: facts.facts_of(base, recorded),
                  lambda: facts.with_adapter(facts.facts_of(base), recorded)):  # fmt: skip
        with pytest.raises(ModelFormatError, match="adapter of another base"):
            judge()
    head = adapter(tmp_path / "d", layer="lm_head")
    assert facts.facts_of(base, head).adapter


def broken(folder: Folder, change: Callable[[Path], object]) -> str:
    """The message about a folder after a change."""
    path = folder(f"broken{time.monotonic_ns()}")
    change(path)
    with pytest.raises(ModelFormatError) as caught:
        facts.facts_of(path)
    message = str(caught.value)
    assert len(message) <= LIMIT and "\n" not in message
    return message


def test_folders_that_are_none(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="does not exist"):
        facts.facts_of(tmp_path / "nowhere")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ModelFormatError, match="is a file"):
        facts.facts_of(file)
    assert "no config.json" in broken(folder, lambda p: (p / "config.json").unlink())
    with pytest.raises(ModelFormatError, match="it is a LoRA adapter"):
        facts.facts_of(adapter(tmp_path / "lora"))


def test_broken_configurations(folder: Folder) -> None:
    assert "not valid JSON" in broken(folder, lambda p: put(p, "config.json", "{"))
    assert "no JSON object" in broken(folder, lambda p: put(p, "config.json", []))
    assert "not valid JSON" in broken(folder, lambda p: put(p, "config.json", "[" * 100_000))
    assert "no architecture" in broken(folder, lambda p: put(p, "config.json", {}))
    t5 = CONFIG | {"is_encoder_decoder": True}
    assert "encoder-decoder" in broken(folder, lambda p: put(p, "config.json", t5))
    odd = CONFIG | {"architectures": ["WhisperProcessor"]}
    assert "neither a causal" in broken(folder, lambda p: put(p, "config.json", odd))


def test_broken_tokenizers(folder: Folder) -> None:
    def no_end(path: Path) -> None:
        put(path, "config.json", CONFIG | {"eos_token_id": None})
        put(path, "tokenizer_config.json", {})

    assert "no end token" in broken(folder, no_end)
    assert "has no tokenizer" in broken(folder, lambda p: (p / "tokenizer.json").unlink())
    assert "no tokenizer model" in broken(folder, lambda p: put(p, "tokenizer.json", {}))
    bad = {"model": {"vocab": 3}}
    assert "no vocabulary" in broken(folder, lambda p: put(p, "tokenizer.json", bad))
    bad = {"model": {"vocab": VOCAB}, "added_tokens": [{"id": 1}]}
    assert "malformed added tokens" in broken(folder, lambda p: put(p, "tokenizer.json", bad))
    bad = {"model": {"vocab": {"a": "x", "b": 1}}}
    assert "something else than numbers" in broken(folder, lambda p: put(p, "tokenizer.json", bad))
    other = {"eos_token": "</s>"}
    assert "not in the vocabulary" in broken(
        folder, lambda p: put(p, "tokenizer_config.json", other)
    )


def test_pickles_are_not_opened(folder: Folder) -> None:
    def pickled(path: Path) -> None:
        (path / "model.safetensors").rename(path / "pytorch_model.bin")

    assert "pickles can run code" in broken(folder, pickled)
    assert "has no weights" in broken(folder, lambda p: (p / "model.safetensors").unlink())


NORM = "model.norm.weight"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({NORM: {"data_offsets": [160, 192]}}, "takes 32 bytes"),
        ({NORM: {"data_offsets": [1_000_000, 1_000_016]}}, "leaves a gap"),
        ({NORM: {"data_offsets": [144, 160]}}, "overlaps"),
        ({NORM: {"data_offsets": [-16, 0]}}, "overlaps"),
        ({NORM: {"data_offsets": [160]}}, "offsets"),
        ({NORM: {"data_offsets": [176, 160]}}, "takes -16 bytes"),
        ({NORM: {"dtype": "F16"}}, "does not fit F16"),
        ({NORM: {"dtype": "F3"}}, "unknown type"),
        ({NORM: {"dtype": ["F32"]}}, "unknown type"),
        ({NORM: {"shape": [2**62, 2**62]}}, "does not fit"),
        ({NORM: {"shape": [-4]}}, "has the shape"),
        ({NORM: {"shape": [True]}}, "has the shape"),
        ({NORM: 3}, "no description"),
    ],
)
def test_lying_headers(folder: Folder, changes: dict[str, Any], message: str) -> None:
    def lie(path: Path) -> None:
        tensor_file(path / "model.safetensors", TENSORS, **changes)

    assert message in broken(folder, lie)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "header claims 0 bytes"),
        (struct.pack("<Q", 2**63) + b"{}", "header claims"),
        (struct.pack("<Q", 50) + b"{}", "header claims 50 bytes"),
        (struct.pack("<Q", 2) + b"[]", "unreadable header"),
        (struct.pack("<Q", 2) + b"{{", "unreadable header"),
        (struct.pack("<Q", 2) + b"{}" + b"more", "cut short or damaged"),
    ],
)
def test_files_that_are_no_safetensors(folder: Folder, content: bytes, message: str) -> None:
    assert message in broken(folder, lambda p: (p / "model.safetensors").write_bytes(content))


def test_a_truncated_file(folder: Folder) -> None:
    def cut(path: Path) -> None:
        file = path / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-4])

    assert "cut short" in broken(folder, cut)


def shard(path: Path, weight_map: Any = None) -> None:
    """Splits the model folder's weights into two files with an index."""
    (path / "model.safetensors").unlink()
    names = list(TENSORS)
    tensor_file(path / "one.safetensors", {names[0]: TENSORS[names[0]]})
    tensor_file(path / "two.safetensors", {n: TENSORS[n] for n in names[1:]})
    right = {names[0]: "one.safetensors", **dict.fromkeys(names[1:], "two.safetensors")}
    put(path, checkpoint.INDEX, {"weight_map": right if weight_map is None else weight_map(right)})


def test_shards(folder: Folder) -> None:
    path = folder("shards")
    expected = facts.facts_of(path)
    shard(path)
    assert facts.facts_of(path) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda right: {}, "no weight_map"),
        (lambda right: [], "no weight_map"),
        (lambda right: {**right, NORM: "../two.safetensors"}, "no safetensors file here"),
        (lambda right: {**right, NORM: "two.bin"}, "no safetensors file here"),
        (lambda right: {**right, NORM: "three.safetensors"}, "which is not there"),
        (lambda right: {**right, NORM: "one.safetensors"}, "does not have it"),
        (lambda right: {**right, "more": "one.safetensors"}, "does not have it"),
    ],
)
def test_broken_indexes(folder: Folder, change: Any, message: str) -> None:
    assert message in broken(folder, lambda p: shard(p, change))


def test_weights_that_are_not_finite(folder: Folder) -> None:
    path = folder()
    facts.check_weights_finite(path)
    for value in (np.nan, np.inf, -np.inf):
        for kind in (np.float32, np.float16):
            bad = {"model.norm.weight": np.array([1, 2, 3, value], kind)}
            tensor_file(path / "model.safetensors", TENSORS | bad)
            with pytest.raises(ModelFormatError, match=r"'model.norm.weight' holds NaN"):
                facts.check_weights_finite(path)
    largest = {"model.norm.weight": np.array([65504, -65504, 6e-8, 0], np.float16)}
    tensor_file(path / "model.safetensors", TENSORS | largest)
    facts.check_weights_finite(path)


def test_fingerprint_covers_all_that_matters(folder: Folder, tmp_path: Path) -> None:
    path, extra = folder(), adapter(tmp_path / "lora")
    seen = {facts.fingerprint(path, None, "float32", "hf")}

    def differs(*arguments: Any) -> None:
        value = facts.fingerprint(*arguments)
        assert value not in seen
        seen.add(value)

    differs(path, None, "bfloat16", "hf")
    differs(path, None, "float32", "vllm")
    differs(path, extra, "float32", "hf")
    put(path, "chat_template.jinja", "x")
    differs(path, None, "float32", "hf")
    put(path, "generation_config.json", {"eos_token_id": 1})
    differs(path, None, "float32", "hf")
    tensor_file(path / "model.safetensors", TENSORS | {NORM: np.zeros(4, np.float32)})
    differs(path, None, "float32", "hf")
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    assert facts.fingerprint(copy, None, "float32", "hf") in seen
    put(path, "README.md", "a card")
    assert facts.fingerprint(path, None, "float32", "hf") in seen


def test_a_large_vocabulary_is_read_once(folder: Folder, cache: Path) -> None:
    words = {f"w{i}": i for i in range(60_000)}
    added = [{"id": 60_000, "content": "<|im_end|>", "special": True}]
    path = folder(tok={"model": {"type": "WordLevel", "vocab": words}, "added_tokens": added})
    expected = vocabulary.read(path, remember=True)
    vocabulary._read.cache_clear()
    start = time.perf_counter()
    assert facts.facts_of(path).tokenizer == expected.digest
    assert time.perf_counter() - start < 0.05
    assert len(list(cache.rglob("*"))) == 3


def test_licence_of_the_model_card(folder: Folder) -> None:
    path = folder()
    put(path, "README.md", "---\nlanguage: en\nlicense: mit\n---\n# x")
    assert facts.facts_of(path).licence == "mit"
    put(path, "README.md", "license: no\n")
    assert facts.facts_of(path).licence == ""
