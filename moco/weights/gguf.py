"""GGUF files: unpacked once into an ordinary bf16 checkpoint folder that everything else then
loads.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moco import paths
from moco.errors import MissingExtraError, ModelFormatError, clip
from moco.silence import quiet_transformers

if TYPE_CHECKING:
    import torch

VERSION = 1
"""Raised when the same file would be converted differently."""
DIGIT_SPLITTERS = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell"})
"""Byte-level vocabularies whose merges were learned on single digits, then GPT-2's split rule."""
GPT2_SPLITTERS = frozenset(
    {
        "gpt-2",
        "phi-2",
        "mpt",
        "olmo",
        "jina-es",
        "jina-de",
        "jina-v1-en",
        "jina-v2-es",
        "jina-v2-de",
        "gigachat",
        "roberta-bpe",
        "a.x-4.0",
        "mellum",
    }
)
"""Byte-level vocabularies with GPT-2's split rule alone."""


def folder(name: str, sha256: str) -> Path:
    """Where the converted checkpoint of the GGUF file with this SHA-256 lies, made or not."""
    digest = hashlib.sha256(f"{sha256}:{VERSION}".encode()).hexdigest()[:12]
    return paths.cache_dir() / "models" / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}-{digest}"


def convert(path: Path, final: Path) -> Path:
    """Unpacks a GGUF file into the checkpoint folder `final` and returns it; a finished one is
    kept.

    Weights are dequantised in fp32 and cast once to bf16. Raises `ModelFormatError` for a file that
    is none or that transformers cannot read, `MissingExtraError` without the packages it takes.
    """
    with paths.locked(paths.cache_dir() / "locks" / f"{final.name}.lock"):
        if final.is_dir():
            return final
        _check_magic(path)
        with paths.disk_errors(f"cannot convert {path.name}"), paths.atomic_dir(final) as work:
            _convert(path, work)
    return final


def _check_magic(path: Path) -> None:
    with path.open("rb") as handle:
        head = handle.read(8)
    if head[:4] != b"GGUF" or len(head) < 8 or struct.unpack("<I", head[4:])[0] not in (2, 3):
        raise ModelFormatError(f"{path} is no GGUF file of version 2 or 3")


def _convert(path: Path, work: Path) -> None:
    try:
        import gguf
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtraError("Reading GGUF files", "hf") from error
    try:
        fields = gguf.GGUFReader(str(path)).fields
        with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
            tokenizer = _tokenizer(transformers, path, fields)
            model = _model(transformers, torch.bfloat16, path)
    except (ValueError, LookupError, NotImplementedError, OSError, RuntimeError) as error:
        raise ModelFormatError(f"{path} cannot be unpacked: {clip(str(error), 600)}") from error
    _save_model(model, work)
    tokenizer.save_pretrained(str(work))
    _tidy(work, path, _text(fields, "general.license"))


def _tokenizer(transformers: Any, path: Path, fields: Any) -> Any:
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    kind, rule = _text(fields, "tokenizer.ggml.model"), _text(fields, "tokenizer.ggml.pre")
    if kind == "gpt2":
        _set_split_rule(tokenizer, rule, path)
    return tokenizer


def _set_split_rule(tokenizer: Any, rule: str, path: Path) -> None:
    """The rule that cuts text before merges apply; transformers falls back to GPT-2's where it
    knows none.
    """
    if rule in DIGIT_SPLITTERS:
        from tokenizers import pre_tokenizers

        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    elif rule not in GPT2_SPLITTERS and rule not in _known_rules():
        raise ModelFormatError(
            f"{path}: the tokenizer's split rule '{clip(rule)}' is not known, so text would be cut "
            "wrongly; use the model's safetensors folder"
        )


def _known_rules() -> frozenset[str]:
    try:
        from transformers.integrations.gguf import gguf_tokenizer_mapping
    except ImportError:
        return frozenset()
    return frozenset(gguf_tokenizer_mapping.GGUF_PRE_TOKENIZER_SPLITS)


def _text(fields: Any, key: str) -> str:
    field = fields.get(key)
    return (
        bytes(field.parts[field.data[0]]).decode("utf-8", errors="replace")
        if field is not None
        else ""
    )


def _model(transformers: Any, dtype: torch.dtype, path: Path) -> Any:
    options: dict[str, Any] = {}
    if hasattr(transformers, "GgufConfig"):
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    return transformers.AutoModelForCausalLM.from_pretrained(
        str(path.parent), gguf_file=path.name, dtype=dtype, **options
    )


def _save_model(model: Any, work: Path) -> None:
    """Writes weights, config and generation config; tied tensors once."""
    from safetensors.torch import save_file

    config = model.config.to_dict()
    tied = model.get_output_embeddings() if config.get("tie_word_embeddings") else None
    skipped = "lm_head.weight" if tied is not None else ""
    tensors = {
        name: t.detach().contiguous() for name, t in model.state_dict().items() if name != skipped
    }
    target = work / "model.safetensors"
    save_file(tensors, str(target), metadata={"format": "pt"})
    target.chmod(0o644)
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path", "name_or_path"):
        config.pop(key, None)
    config |= {"architectures": [type(model).__name__], "dtype": "bfloat16"}
    _write_json(work / "config.json", config)
    ids = {key: config.get(key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    _write_json(work / "generation_config.json", {k: v for k, v in ids.items() if v is not None})


def _tidy(work: Path, path: Path, licence: str) -> None:
    """A tokenizer configuration that every version of transformers reads, and a note of where this
    came from.
    """
    file = work / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    for key in ("gguf_file", "name_or_path", "backend", "is_local", "local_files_only"):
        config.pop(key, None)
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    context = json.loads((work / "config.json").read_text(encoding="utf-8")).get(
        "max_position_embeddings"
    )
    if context:
        config["model_max_length"] = context
    _write_json(file, config)
    _write_json(work / "source.json", {"gguf": path.name, "converter": VERSION, "licence": licence})


def _write_json(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
