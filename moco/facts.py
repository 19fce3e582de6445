"""From a model folder's files to `ModelFacts` and to a fingerprint; nothing is loaded, torch is not
imported.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moco import checkpoint, lora, paths, vocabulary
from moco.access import CAUSAL, Access, ModelFacts
from moco.checkpoint import DTYPES, Slot, check_weights_finite
from moco.errors import ModelFormatError, clip

__all__ = [
    "adapter_base",
    "base_digest",
    "check_weights_finite",
    "facts_of",
    "fingerprint",
    "with_adapter",
]

SHAPING = ("num_attention_heads", "n_head", "num_key_value_heads", "head_dim", "hidden_act",
           "hidden_activation", "activation_function", "num_experts_per_tok")  # fmt: skip
"""Settings that decide what weights of equal shapes mean."""
TEXT_FILES = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "chat_template.json",
    "vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model",
    "sentencepiece.bpe.model", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json",
    "sentence_embedding.json", "config_sentence_transformers.json",
)  # fmt: skip
"""Files beside the weights that can change what a model answers."""


def facts_of(path: Path, adapter: Path | None = None, *, remember: bool = False) -> ModelFacts:
    """What is known of a checkpoint folder, with a LoRA adapter on it where one is given.

    Raises `ModelFormatError` for a folder that cannot be used. With `remember` the digest of a
    large vocabulary is kept in the cache folder; otherwise nothing is written.
    """
    path = Path(path)
    config = _config(path)
    slots = checkpoint.tensors(path)
    tied = checkpoint.tied_name(config, slots)
    floats = {n: s for n, s in slots.items() if s.dtype != "I64" and n != tied}
    access = _access(path, config)
    words = vocabulary.read(path, remember=remember)
    stops = vocabulary.stop_ids(path, words, config)
    if Access.TEXT in access and not stops:
        raise ModelFormatError(
            f"{path}: no end token is named by the tokenizer or the configurations"
        )
    facts = ModelFacts(
        access=access,
        architecture=_architecture(config, floats),
        tokenizer=words.digest,
        base=checkpoint.digest(floats),
        num_parameters=sum(s.num_items for s in floats.values()),
        context=_context(path, config, access),
        vocab_size=_number(config, "vocab_size") or words.size,
        hidden_size=_number(config, "hidden_size", "n_embd", "d_model"),
        dtype=_dtype(floats),
        template=bool(vocabulary.template_of(path)),
        stop_ids=stops,
        num_bytes=sum(s.end - s.start for s in floats.values()),
        licence=_licence(path),
    )
    if adapter is None:
        return facts
    read = lora.read(Path(adapter))
    lora.check_fits(read, slots, facts.base, path)
    return _adapted(facts, read)


def with_adapter(base: ModelFacts, adapter: Path) -> ModelFacts:
    """Facts of an adapter on a base that is known from the catalogue only."""
    read = lora.read(Path(adapter))
    if read.base_sha256 and base.base and read.base_sha256 != base.base:
        raise ModelFormatError(
            f"{adapter} is an adapter of another base (it names {clip(read.base)})"
        )
    return _adapted(base, read)


def _adapted(base: ModelFacts, adapter: lora.Lora) -> ModelFacts:
    return dataclasses.replace(
        base,
        adapter=True,
        num_parameters=base.num_parameters + adapter.num_parameters,
        num_bytes=base.num_bytes + adapter.num_bytes,
    )


def adapter_base(folder: Path) -> str:
    """The base that an adapter folder names: a reference, or a path relative to the folder; empty =
    none.
    """
    return lora.base_of(Path(folder))


def base_digest(path: Path) -> str:
    """The digest of a base's weights that an adapter's `moco.json` records as `base_sha256`."""
    return checkpoint.digest(checkpoint.unique(path, _config(path)))


def _config(path: Path) -> dict[str, Any]:
    if path.is_file():
        raise ModelFormatError(
            f"{path} is a file; a model is a folder with config.json and safetensors weights"
        )
    if not path.is_dir():
        raise ModelFormatError(f"{path} does not exist")
    if not (path / "config.json").is_file():
        hint = ""
        if (path / lora.CONFIG).is_file():
            hint = "; it is a LoRA adapter: list it as {model: BASE, adapter: FOLDER}"
        raise ModelFormatError(f"{path} has no config.json{hint}")
    config = checkpoint.read_json(path / "config.json")
    names = config.get("architectures")
    if not isinstance(names, list) or not names or not isinstance(names[0], str):
        raise ModelFormatError(f"{path / 'config.json'} names no architecture")
    if config.get("is_encoder_decoder"):
        raise ModelFormatError(
            f"{path} is an encoder-decoder model ({clip(names[0])}), which is not supported"
        )
    return config


def _access(path: Path, config: Mapping[str, Any]) -> Access:
    name = str(config["architectures"][0])
    if (path / "modules.json").is_file() or (
        re.search(r"(Model|ForMaskedLM)$", name)
        and not re.search(r"(LMHead|DoubleHeads)Model$", name)
    ):
        return Access.EMBED | Access.HIDDEN
    if name.endswith("ForSequenceClassification"):
        labels = config.get("num_labels") or len(config.get("id2label") or {}) or 2
        if labels != 1:
            raise ModelFormatError(
                f"{path} is a classifier with {labels} labels; a reward model has one"
            )
        return Access.REWARD
    if re.search(r"(ForCausalLM|LMHeadModel|ForConditionalGeneration)$", name):
        fixed = Access.WEIGHTS | Access.TRAIN
        return CAUSAL & ~fixed if config.get("quantization_config") else CAUSAL
    raise ModelFormatError(
        f"{path}: {clip(name)} is neither a causal language model, nor a classifier with one "
        "label, nor a sentence encoder"
    )


def _inner(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, dict) else config


def _number(config: Mapping[str, Any], *keys: str) -> int:
    found = _inner(config)
    value = next((found[key] for key in keys if isinstance(found.get(key), int)), 0)
    return int(value)


def _architecture(config: Mapping[str, Any], slots: Mapping[str, Slot]) -> str:
    """Class, sizes for people, and a digest over every tensor's shape and the settings that give it
    its meaning.
    """
    found = _inner(config)
    total = hashlib.sha256()
    for name in sorted(slots):
        total.update(f"{name}{slots[name].shape}".encode())
    for key in SHAPING:
        if found.get(key) is not None:
            total.update(f"{key}={found[key]}".encode())
    layers = _number(config, "num_hidden_layers", "n_layer", "num_layers")
    hidden = _number(config, "hidden_size", "n_embd", "d_model")
    return f"{config['architectures'][0]} {layers}x{hidden} {total.hexdigest()[:16]}"


def _context(path: Path, config: Mapping[str, Any], access: Access) -> int:
    context = _number(
        config, "max_position_embeddings", "n_positions", "max_sequence_length", "n_ctx"
    )
    if Access.TEXT not in access:
        shorter = checkpoint.read_json(path / "sentence_bert_config.json").get("max_seq_length")
        if isinstance(shorter, int) and shorter > 0:
            return min(context, shorter) if context else shorter
    return context


def _dtype(slots: Mapping[str, Slot]) -> str:
    """The type that most bytes have."""
    counts: Counter[str] = Counter()
    for slot in slots.values():
        if slot.is_float:
            counts[DTYPES[slot.dtype]] += slot.end - slot.start
    return counts.most_common(1)[0][0] if counts else ""


def _licence(path: Path) -> str:
    own = checkpoint.read_json(path / "source.json").get("licence")
    if isinstance(own, str):
        return own
    card = path / "README.md"
    if not card.is_file():
        return ""
    with card.open(encoding="utf-8", errors="replace") as handle:
        match = re.match(r"---\n(?:.*\n)*?license:\s*([^\n]+)", handle.read(4096))
    return match[1].strip().strip("\"'") if match else ""


def _adapter_settings(adapter: Path) -> str:
    """An adapter's configuration, less the name of its base: the base's content counts anyway, and
    its name may be a path of this machine.
    """
    found = dict(checkpoint.read_json(adapter / lora.CONFIG))
    found.pop("base_model_name_or_path", None)
    return json.dumps(found, sort_keys=True)


def fingerprint(path: Path, adapter: Path | None, dtype: str, backend: str) -> str:
    """SHA-256 over the content of weights, adapter, tokenizer, template, configuration, dtype and
    back end.

    Digests of files are remembered in the cache folder, so that only changed files are read again.
    """
    total = hashlib.sha256(f"moco model 1\0{dtype}\0{backend}\0".encode())
    path = Path(path)
    vocabulary.read(path, remember=True)
    files = [(f"weights{i}", file) for i, file in enumerate(checkpoint.weight_files(path))]
    files += [(name, path / name) for name in TEXT_FILES]
    if adapter is not None:
        adapter = Path(adapter)
        files.append((f"adapter/{lora.WEIGHTS}", adapter / lora.WEIGHTS))
        total.update(f"adapter/{lora.CONFIG}\0{_adapter_settings(adapter)}\0".encode())
    for name, file in files:
        if file.is_file():
            total.update(f"{name}\0{paths.known_sha256(file)}\0".encode())
    return total.hexdigest()
