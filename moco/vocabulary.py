"""What a tokenizer's files say: vocabulary, special ids, stop ids, chat template. No tokenizer is
built.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moco import checkpoint, paths
from moco.errors import ModelFormatError, clip

FILES = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model",
         "spiece.model", "sentencepiece.bpe.model")  # fmt: skip
"""Files that a vocabulary may come from, best first."""
CLOSERS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<turn|>", "<|end|>",
           "<|eot|>", "<|return|>", "<|end_of_turn|>", "<|endofturn|>")  # fmt: skip
"""Tokens that close an assistant turn in chat templates; a model whose template uses one stops on
it.
"""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A tokenizer as its files describe it."""

    digest: str
    """SHA-256 over token → id, merges and which ids are special; not over the roles that tokens
    have.
    """
    size: int
    """Number of tokens, added ones included."""
    special: Mapping[str, int]
    """Added tokens by their text."""

    def to_json(self) -> str:
        """For the memo on disk."""
        return json.dumps([self.digest, self.size, dict(self.special)])


def read(folder: Path, *, remember: bool = False) -> Vocabulary:
    """The vocabulary of a model folder. Raises `ModelFormatError` where there is none or it is
    malformed.

    A large file is parsed once where `remember` is set: the result is kept in the cache folder.
    """
    file = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if file is None:
        raise ModelFormatError(f"{folder} has no tokenizer: none of {', '.join(FILES)} is there")
    stat = file.stat()
    key = (str(file.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino)
    return _read(file, key, remember)


@functools.lru_cache(maxsize=64)
def _read(file: Path, key: tuple[str, int, int, int], remember: bool) -> Vocabulary:
    name = hashlib.sha256(json.dumps(["vocabulary", 1, *key]).encode()).hexdigest()
    memo = paths.cache_dir() / "digests" / name[:2] / name
    with contextlib.suppress(OSError, ValueError, TypeError):
        digest, size, special = json.loads(memo.read_text(encoding="utf-8"))
        return Vocabulary(digest, size, special)
    found = _from_json(file) if file.suffix == ".json" else _from_bytes(file)
    if remember:
        with contextlib.suppress(OSError), paths.atomic_file(memo) as handle:
            handle.write(found.to_json().encode())
    return found


def _from_bytes(file: Path) -> Vocabulary:
    """A tokenizer without tokenizer.json: its file is its identity; token ids are not looked up."""
    content = file.read_bytes()
    size = content.count(b"\n") if file.suffix == ".txt" else 0
    return Vocabulary(hashlib.sha256(content).hexdigest(), size, {})


def _from_json(file: Path) -> Vocabulary:
    data = checkpoint.read_json(file)
    if file.name == "vocab.json":
        merges = file.with_name("merges.txt")
        text = merges.read_text(encoding="utf-8") if merges.is_file() else ""
        return _vocabulary(data, text.splitlines(), [], file)
    model = data.get("model")
    if not isinstance(model, dict):
        raise ModelFormatError(f"{file} describes no tokenizer model")
    vocab, merges_or_scores = model.get("vocab"), model.get("merges") or []
    if isinstance(vocab, list):  # Unigram: [token, score] in id order
        merges_or_scores = [pair[1] for pair in vocab]
        vocab = {pair[0]: i for i, pair in enumerate(vocab)}
    added = data.get("added_tokens") or []
    return _vocabulary(vocab, merges_or_scores, added, file)


def _vocabulary(vocab: Any, merges: Any, added: Any, file: Path) -> Vocabulary:
    if not (isinstance(vocab, dict) and isinstance(merges, list) and isinstance(added, list)):
        raise ModelFormatError(f"{file} describes no vocabulary")
    try:
        special = {str(entry["content"]): int(entry["id"]) for entry in added}
        marked = sorted(int(entry["id"]) for entry in added if entry.get("special"))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFormatError(f"{file} has malformed added tokens: {clip(str(error))}") from error
    every = vocab | special
    total = hashlib.sha256()
    for part in (*_in_order(every, file), *_merge_texts(merges), json.dumps(marked)):
        total.update(part.encode("utf-8", "surrogatepass"))
        total.update(b"\0\0")
    return Vocabulary(total.hexdigest(), len(every), special)


def _in_order(every: Mapping[str, int], file: Path) -> tuple[str, str]:
    """The tokens in id order, and the ids where they are not simply 0, 1, 2 …"""
    try:
        tokens = sorted(every, key=every.__getitem__)
        ids = [every[token] for token in tokens]
        plain = ids == list(range(len(ids)))
        return "\0".join(tokens), "" if plain else json.dumps(ids)
    except TypeError as error:
        raise ModelFormatError(f"{file} maps tokens to something else than numbers") from error


def _merge_texts(merges: list[Any]) -> list[str]:
    """Merges as one text, "a b" and ["a", "b"] alike; scores as JSON."""
    if not merges or not isinstance(merges[0], str | list):
        return [json.dumps(merges)]
    if isinstance(merges[0], list):
        return ["\0".join(map(" ".join, merges))]
    return ["\0".join(merges)]


def token_id(folder: Path, vocabulary: Vocabulary, token: Any) -> int | None:
    """The id of a token as tokenizer_config.json names it: a string or an object with `content`."""
    text = token.get("content") if isinstance(token, dict) else token
    if not isinstance(text, str):
        return None
    if text in vocabulary.special:
        return vocabulary.special[text]
    return _plain_id(folder, text)


def _plain_id(folder: Path, text: str) -> int | None:
    """The id of an ordinary token; rarely needed, since special tokens are added tokens nearly
    everywhere.
    """
    for name in ("tokenizer.json", "vocab.json", "added_tokens.json"):
        data = checkpoint.read_json(folder / name)
        vocab = data.get("model", {}).get("vocab") if name == "tokenizer.json" else data
        if isinstance(vocab, dict) and isinstance(vocab.get(text), int):
            return int(vocab[text])
        if isinstance(vocab, list):
            found = [i for i, pair in enumerate(vocab) if pair and pair[0] == text]
            if found:
                return found[0]
    return None


def template_of(folder: Path) -> str:
    """The default chat template's text; empty where there is none."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    for name in ("chat_template.json", "tokenizer_config.json"):
        template = checkpoint.read_json(folder / name).get("chat_template")
        if isinstance(template, str):
            return template
        if isinstance(template, list):
            texts = {t.get("name"): t.get("template") for t in template if isinstance(t, dict)}
            return str(texts.get("default") or next(iter(texts.values()), "") or "")
    return ""


def stop_ids(folder: Path, vocabulary: Vocabulary, config: Mapping[str, Any]) -> tuple[int, ...]:
    """Every id that ends an answer: the tokenizer's end token, those of the configurations, the
    template's closer.
    """
    settings = checkpoint.read_json(folder / "tokenizer_config.json")
    named = settings.get("eos_token") or checkpoint.read_json(
        folder / "special_tokens_map.json"
    ).get("eos_token")
    found = set(_ids(config.get("eos_token_id")))
    found.update(_ids(checkpoint.read_json(folder / "generation_config.json").get("eos_token_id")))
    if named is not None:
        eos = token_id(folder, vocabulary, named)
        if eos is None and vocabulary.special:
            raise ModelFormatError(
                f"{folder}: the end token {clip(named)} is not in the vocabulary"
            )
        found.update(_ids(eos))
    template = template_of(folder)
    found.update(
        vocabulary.special[t] for t in CLOSERS if t in template and t in vocabulary.special
    )
    return tuple(sorted(found))


def _ids(value: Any) -> Iterable[int]:
    values = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, int) and not isinstance(v, bool) and v >= 0]
