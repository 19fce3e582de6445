"""Folders in the layout of sentence-transformers as the embedder of a pool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from folders import save_model
from scripted import member
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from moco.access import Access
from moco.config import Shared, parse
from moco.errors import ModelFormatError
from moco.facts import fingerprint
from moco.members import default_embedder
from moco.pool import Pool

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "green", "blue", "query", ":", "Red", "a", "b"]
TEXTS = ["red green", "blue", "a b a b a b a b a b a b", "Red unknown green"]
OLD = "sentence_transformers.models."
NEW = "sentence_transformers.sentence_transformer.modules."


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with a WordPiece tokenizer, as transformers saves it."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).eval().save_pretrained(folder)
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def sentence_model(
    folder: Path, bert: Path, pooling: dict[str, Any], names: tuple[str, ...], **files: Any
) -> Path:
    """The BERT with the files that sentence-transformers sets beside it."""
    for file in bert.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    modules = [
        {"idx": i, "name": str(i), "path": "" if not i else f"{i}_x", "type": name}
        for i, name in enumerate(names)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def embedded(folder: Path) -> np.ndarray:
    """Vectors of the texts, by the folder in the role of the embedder."""
    with Pool.open([member("a")], roles={"embedder": str(folder)}) as pool:
        embedder = pool.roles["embedder"]
        assert Access.EMBED in embedder.facts.access
        return embedder.embed(TEXTS)


def expected(bert: Path, mode: str, normalize: bool, limit: int = 64, prefix: str = "") -> Any:
    """The same by a plain loop."""
    model = BertModel.from_pretrained(bert).eval()
    tokenizer = Tokenizer.from_file(str(bert / "tokenizer.json"))
    tokenizer.enable_truncation(limit)
    found = []
    for text in TEXTS:
        with torch.inference_mode():
            ids = torch.tensor([tokenizer.encode(prefix + text).ids])
            states = model(ids).last_hidden_state[0]
        vector = (states.mean(0) if mode == "mean" else states[0]).numpy()
        found.append(vector / np.linalg.norm(vector) if normalize else vector)
    return found


@pytest.mark.parametrize(
    ("pooling", "mode"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"embedding_dimension": 16, "pooling_mode": "mean", "include_prompt": True}, "mean"),
        ({"embedding_dimension": 16, "pooling_mode": ["cls"], "include_prompt": True}, "cls"),
    ],
)
@pytest.mark.parametrize("normalize", [True, False])
def test_both_layouts_of_pooling(
    tmp_path: Path, bert: Path, pooling: dict[str, Any], mode: str, normalize: bool
) -> None:
    if "pooling_mode" in pooling:
        names = (NEW + "transformer.Transformer", NEW + "pooling.Pooling")
        names += (NEW + "normalize.Normalize",) if normalize else ()
    else:
        names = (OLD + "Transformer", OLD + "Pooling", OLD + "Normalize")[: 3 if normalize else 2]
    found = embedded(sentence_model(tmp_path, bert, pooling, names))
    np.testing.assert_allclose(found, expected(bert, mode, normalize), atol=1e-5)


def test_longest_text_and_default_prompt(tmp_path: Path, bert: Path) -> None:
    names = (OLD + "Transformer", OLD + "Pooling")
    prompts = {"default_prompt_name": "q", "prompts": {"q": "query : "}}
    folder = sentence_model(
        tmp_path, bert, {"pooling_mode_mean_tokens": True}, names,
        sentence_bert_config={"max_seq_length": 8}, config_sentence_transformers=prompts,
    )  # fmt: skip
    np.testing.assert_allclose(
        embedded(folder), expected(bert, "mean", False, 8, "query : "), atol=1e-5
    )


def test_lower_case_where_the_makers_ask_for_it(tmp_path: Path, bert: Path) -> None:
    names = (OLD + "Transformer", OLD + "Pooling")
    cased = {"max_seq_length": 64, "do_lower_case": True}
    folder = sentence_model(
        tmp_path, bert, {"pooling_mode": "cls"}, names, sentence_bert_config=cased
    )
    with Pool.open([member("a")], roles={"embedder": str(folder)}) as pool:
        one, two = pool.roles["embedder"].embed(["Red", "red"])
    np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "names", "words"),
    [
        ({"pooling_mode": "lasttoken"}, (OLD + "Transformer", OLD + "Pooling"), "lasttoken"),
        ({"pooling_mode": ["cls", "mean"]}, (OLD + "Transformer", OLD + "Pooling"), "cls.mean"),
        (
            {"pooling_mode_mean_tokens": True, "pooling_mode_mean_sqrt_len_tokens": True},
            (OLD + "Transformer", OLD + "Pooling"),
            "sqrt_len",
        ),
        (
            {"pooling_mode": "mean"},
            (OLD + "Transformer", OLD + "Pooling", OLD + "Dense"),
            "'Dense'.*not supported",
        ),
    ],
)
def test_parts_that_are_not_supported(
    tmp_path: Path, bert: Path, pooling: dict[str, Any], names: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ModelFormatError, match=words):
        embedded(sentence_model(tmp_path, bert, pooling, names))


@pytest.mark.parametrize(
    ("pool", "embedder"),
    [
        ("zoo://mini", "zoo://mini/embedder"),
        (["zoo://mini/facts", "zoo://mini/words"], "zoo://mini/embedder"),
        (["zoo://mini/facts", "smollm2-135m"], "minilm-l6"),
        ("zoo://real", "minilm-l6"),
        ([{"model": "big", "backend": "openai"}], "minilm-l6"),
    ],
)
def test_default_embedder(pool: Any, embedder: str) -> None:
    assert default_embedder(parse(Shared, {"pool": pool})) == embedder


def test_a_folder_without_those_files_is_normalised_mean(tmp_path: Path, bert: Path) -> None:
    for file in bert.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    np.testing.assert_allclose(embedded(tmp_path), expected(bert, "mean", True), atol=1e-5)


def test_of_a_causal_model_only_the_mean(tmp_path: Path) -> None:
    folder = save_model(tmp_path)
    np.testing.assert_allclose(np.linalg.norm(embedded(folder), axis=1), 1, atol=1e-5)
    modules = [{"type": OLD + "Transformer"}, {"type": OLD + "Pooling"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    with pytest.raises(ModelFormatError, match="plain mean"):
        embedded(folder)


def test_files_of_the_layout_are_part_of_the_fingerprint(tmp_path: Path, bert: Path) -> None:
    names = (OLD + "Transformer", OLD + "Pooling")
    folder = sentence_model(tmp_path, bert, {"pooling_mode": "mean"}, names)
    before = fingerprint(folder, None, "float32", "hf")
    prompts = {"default_prompt_name": "q", "prompts": {"q": "query : "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    assert fingerprint(folder, None, "float32", "hf") != before
