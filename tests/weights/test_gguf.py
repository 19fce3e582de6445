"""GGUF files become ordinary checkpoint folders: weights, tokenizer, template, end tokens."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers

from moco import facts, paths, sources
from moco.errors import ModelFormatError
from moco.weights.gguf import folder
from moco.weights.reader import Reader
from moco.zoo import catalogue
from tests.tiny import byte_tokenizer, tiny_model

OWN_CACHE = os.environ.get("XDG_CACHE_HOME", "")  # read before a fixture replaces it
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
)
NAMES = {
    "embed_tokens": "token_embd", "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "model.norm": "output_norm", "model.layers": "blk", "model.": "",
}  # fmt: skip


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Query and key rows in the order that GGUF stores them."""
    rows = weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
    return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(weight.shape))


def write_gguf(path: Path, model: Any, rule: str = "smollm") -> Path:
    """A tiny Llama as a GGUF file, as llama.cpp would write it."""
    config, tokenizer = model.config, byte_tokenizer()
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(config.vocab_size)
    writer.add_license("mit")
    vocab = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    tokens = [token for token, _ in vocab]
    tokens += [f"[PAD{i}]" for i in range(len(tokens), config.vocab_size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(rule)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if t.startswith("<|") else 1 for t in tokens])
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_bos_token_id(tokenizer.token_to_id("<|im_start|>"))
    writer.add_eos_token_id(tokenizer.token_to_id("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        weight = tensor.float().numpy()
        for proj, heads in (
            ("q_proj", config.num_attention_heads),
            ("k_proj", config.num_key_value_heads),
        ):
            if proj in name:
                weight = interleaved(weight, heads)
        for ours, theirs in NAMES.items():
            name = name.replace(ours, theirs)
        writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, Path]:
    """(model, its GGUF file, the converted folder)"""
    root = tmp_path_factory.mktemp("gguf")
    model = tiny_model("llama")
    file = write_gguf(root / "tiny.gguf", model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        assert sources.resolve(str(file), pull=False) is None
        assert not (root / "cache").exists()
        made = sources.resolve(str(file))
        assert made is not None and sources.resolve(str(file), pull=False) == made
    return model, file, made


def test_weights_are_the_models_own_in_bf16(tiny: tuple[Any, Path, Path]) -> None:
    model, _, made = tiny
    state, found = model.state_dict(), Reader(made)
    assert set(found.names) == set(state) - {"lm_head.weight"}
    for name in found.names:
        assert torch.equal(found.tensor(name), state[name].to(torch.bfloat16)), name


def test_the_folder_loads_like_any_other(tiny: tuple[Any, Path, Path]) -> None:
    model, _, made = tiny
    loaded = transformers.AutoModelForCausalLM.from_pretrained(made, dtype=torch.float32)
    ids = torch.arange(3, 15)[None]
    half = tiny_model("llama")
    half.load_state_dict({n: t.to(torch.bfloat16).float() for n, t in model.state_dict().items()})
    with torch.inference_mode():
        torch.testing.assert_close(loaded(ids).logits, half(ids).logits, atol=1e-4, rtol=1e-4)
    found = facts.facts_of(made)
    assert found.template and found.licence == "mit" and found.dtype == "bfloat16"
    assert found.stop_ids == (byte_tokenizer().token_to_id("<|im_end|>"),)
    assert found.context == model.config.max_position_embeddings


def test_tokenizer_round_trips_and_splits_digits(tiny: tuple[Any, Path, Path]) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny[2])
    text = "The answer is  12, añ 한 😀\n\n1. end<|im_end|>"
    ids = tokenizer(text).input_ids
    assert tokenizer.decode(ids) == text
    assert ids[-1] == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert tokenizer.tokenize("a  12")[1:] == ["Ġ", "Ġ", "1", "2"]
    turns = [{"role": "user", "content": "x"}]
    shown = tokenizer.apply_chat_template(turns, tokenize=False)
    assert shown == "<|im_start|>user\nx<|im_end|>\n"


def test_files_that_cannot_be_converted(
    tiny: tuple[Any, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"no such thing")
    with pytest.raises(ModelFormatError, match="no GGUF file"):
        sources.resolve(str(wrong))
    wrong.write_bytes(tiny[1].read_bytes()[:2000])
    with pytest.raises(ModelFormatError, match="cannot be unpacked"):
        sources.resolve(str(wrong))
    with pytest.raises(ModelFormatError, match="split rule 'martian' is not known"):
        sources.resolve(str(write_gguf(tmp_path / "rule.gguf", tiny_model("llama"), "martian")))
    assert list((tmp_path / "cache" / "moco" / "models").iterdir()) == []


real = pytest.mark.real


@pytest.fixture
def pulled(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A catalogue model in the user's own cache; skips where it has not been pulled."""
    monkeypatch.setenv("XDG_CACHE_HOME", OWN_CACHE)

    def find(name: str) -> Path:
        path = sources.resolve(name, pull=False)
        if path is None:
            pytest.skip(f"{name} is not pulled")
        return path

    return find


@real
@pytest.mark.parametrize("name", catalogue.names())
def test_facts_of_pulled_models_are_the_catalogues(
    pulled: Callable[[str], Path], name: str
) -> None:
    entry = catalogue.find(name)
    assert entry is not None and facts.facts_of(pulled(name)) == entry.facts


@real
def test_smollm_answers(pulled: Callable[[str], Path]) -> None:
    path = pulled("smollm2-135m")
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    turns = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    out = model.generate(**prompt, do_sample=False, max_new_tokens=20)[0]
    answer = out[prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"
    assert out[-1] in facts.facts_of(path).stop_ids


@real
def test_gemma_reads_one_bos_and_has_no_template(pulled: Callable[[str], Path]) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(pulled("gemma3-270m"))
    text = "Hello world 12345  x\n\n\tñ 한 😀"
    ids = tokenizer(text).input_ids
    assert ids.count(tokenizer.bos_token_id) == 1 and ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(ids[1:]) == text and tokenizer.chat_template is None


def test_conversions_are_told_apart_by_content() -> None:
    assert folder("a/b", "0" * 64).name.startswith("a_b-")
    assert folder("a", "0" * 64) != folder("a", "1" * 64)
    assert folder("a", "0" * 64).parent == paths.cache_dir() / "models"
    assert os.sep not in folder("../x", "0" * 64).name
