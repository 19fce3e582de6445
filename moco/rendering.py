"""Conversations to token ids and back: the one chat-template renderer.

Generation, likelihoods and training share it. Ids come from the template directly and are encoded
without the tokenizer's own special tokens, so there is never a second BOS. A model without a
template gets a plain frame: system text, then `Question: …` and `Answer: …` lines, and `Answer:`
last. Reads `tokenizer.json` and the JSON files beside it; needs neither torch nor transformers.

Text is data: a control token spelled out in a message, a prefix or a continuation is encoded as
ordinary characters, so that what one model wrote can never close another model's turn.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from moco.errors import InputError, MissingExtraError, ModelFormatError, clip
from moco.types import Json, Message, Prompt, messages

try:
    from tokenizers import Tokenizer

    from moco.templates import ChatTemplate, chat_template
except ImportError as error:
    raise MissingExtraError("a local model", "hf") from error

TEMPLATE_OPTIONS: Mapping[str, Json] = {"enable_thinking": False}
"""What templates get besides the conversation: models that can think aloud are asked not to."""

SPECIAL_NAMES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
CONTEXT_NAMES = (
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_sequence_length",
    "seq_length",
)
OPEN, CLOSE = "\ue0c0", "\ue0c1"
SENTINEL = "qzxjv"
HUGE = 10**9


class Renderer:
    """Turns prompts into a model's token ids, and ids back into text.

    `folder` holds `tokenizer.json` and, where they exist, `tokenizer_config.json`,
    `chat_template.jinja`, `config.json` and `generation_config.json`. `template_options` go to the
    template as variables. An adapter's folder `over` that has a tokenizer of its own lends its
    tokenizer and template. Thread-safe.
    """

    def __init__(
        self,
        folder: Path,
        template_options: Mapping[str, Json] = TEMPLATE_OPTIONS,
        over: Path | None = None,
    ) -> None:
        self.folder = Path(folder)
        words = over if over is not None and (over / "tokenizer.json").exists() else self.folder
        self._lock = threading.Lock()
        self._tokenizer = _load_tokenizer(words / "tokenizer.json")
        settings = read_json(words / "tokenizer_config.json")
        self._config = read_json(self.folder / "config.json")
        self._specials = _special_tokens(words, settings)
        self.template: ChatTemplate | None = chat_template(words, settings)
        """The chat template, None for models without one."""
        self._variables = {**self._specials, **template_options}
        self.context: int = _context(self._config, settings)
        """Longest sequence in tokens; 0 = unknown."""
        self.bos_id: int | None = self._id(self._specials.get("bos_token"))
        self.eos_id: int | None = self._id(self._specials.get("eos_token"))

    def ids(self, prompt: Prompt, prefix: str = "") -> tuple[int, ...]:
        """Ids of the prompt with the start of an assistant turn, then of a started answer.

        Raises `InputError` when the template refuses the conversation.
        """
        turns = messages(prompt)
        if self.template is None:
            return (*self._frame(turns), *self.encode(self.answer(prefix)))
        return (*self._templated(self.template, turns), *self.encode(prefix))

    def continuation(self, prefix: str, text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids after the prompt's when `prefix + text` is the answer, split into (prefix, text).

        Both are tokenised as one string; a token across the boundary belongs to the text.
        """
        joined, start = self.answer(prefix + text), len(self.answer(prefix)) if prefix else 0
        with self._lock:
            self._tokenizer.encode_special_tokens = True
            encoding = self._tokenizer.encode(joined, add_special_tokens=False)
        ids, ends = encoding.ids, [end for _, end in encoding.offsets]
        split = next((i for i, end in enumerate(ends) if end > start), len(ids))
        return tuple(ids[:split]), tuple(ids[split:])

    def answer(self, text: str) -> str:
        """The text as it stands after the prompt: the plain frame sets a space before an answer."""
        return " " + text if self.template is None and text and not text[0].isspace() else text

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of plain text; control tokens spelled out in it are ordinary characters."""
        return self._encode(text, control=False)

    def inner(self, data: bytes) -> tuple[int, ...]:
        """Ids of bytes that stand within a text: without the space that some tokenizers set before
        a text, and with a token for each byte that is no UTF-8 where the vocabulary has one.
        """
        text = data.decode("utf-8", "surrogateescape")
        found: list[int] = []
        for i, piece in enumerate(re.split("([\udc80-\udcff]+)", text)):
            if i % 2:
                for byte in piece.encode("utf-8", "surrogateescape"):
                    found += self._id_by_byte.get(byte) or self._within("\ufffd")
            elif piece:
                found += self._within(piece)
        return tuple(found)

    def _within(self, text: str) -> tuple[int, ...]:
        lead = self._lead
        if not lead:
            return self.encode(text)
        ids = self.encode("\n" + text)
        rest = ids[len(lead) :]
        fits = ids[: len(lead)] == lead and self.bytes_of(rest) == text.encode()
        return rest if fits else self.encode(text)

    @cached_property
    def _lead(self) -> tuple[int, ...]:
        """Ids of a line break, behind which the tokenizer sets no space before a text; none where
        it never sets one.
        """
        return () if self.bytes_of(self.encode("a")) == b"a" else self.encode("\n")

    @cached_property
    def _id_by_byte(self) -> dict[int, tuple[int]]:
        table: dict[int, tuple[int]] = {}
        for index, data in enumerate(self.token_bytes):
            if len(data) == 1:
                table.setdefault(data[0], (index,))
        return table

    def framed(self, text: str, second: str | None = None, limit: int = 0) -> tuple[int, ...]:
        """Ids of raw text as the tokenizer itself frames a sequence (BOS, or [CLS] and [SEP]).

        `second` is the other half of a pair; a `limit` cuts the text's end to so many ids in all.
        """
        with self._lock:
            self._tokenizer.encode_special_tokens = True
            if limit:
                self._tokenizer.enable_truncation(limit)
            ids = tuple(self._tokenizer.encode(text, second, add_special_tokens=True).ids)
            if limit:
                self._tokenizer.no_truncation()
        return ids

    def exchange(self, prompt: Prompt, answer: str) -> tuple[int, ...]:
        """Ids of a finished conversation, the answer's closing token included (reward models).

        Without a template: the prompt's text and the answer as the tokenizer frames a pair.
        """
        turns = messages(prompt)
        if self.template is None:
            return self.framed("\n\n".join(turn.content for turn in turns), answer)
        return self._templated(self.template, (*turns, Message("assistant", answer)), opened=False)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids without control tokens; bytes that are no UTF-8 become U+FFFD."""
        return self.bytes_of(ids).decode("utf-8", "replace")

    def bytes_of(self, ids: Iterable[int]) -> bytes:
        """Bytes of the ids; ids beyond the vocabulary (padding rows of the embedding) have none."""
        table = self.token_bytes
        return b"".join(table[i] for i in ids if i < len(table))

    def count(self, prompt: Prompt) -> int:
        """Number of tokens of the rendered prompt."""
        return len(self.ids(prompt))

    @cached_property
    def vocab_size(self) -> int:
        """Number of ids that the tokenizer knows."""
        return 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """Bytes of each token id; control tokens and unused ids have none."""
        table = [b""] * self.vocab_size
        to_bytes = _byte_rule(json.loads(self._tokenizer.to_str()))
        for token, index in self._tokenizer.get_vocab(with_added_tokens=True).items():
            table[index] = to_bytes(token)
        for index, added in self._tokenizer.get_added_tokens_decoder().items():
            table[index] = b"" if added.special else added.content.encode()
        for name in SPECIAL_NAMES:
            if (known := self._id(self._specials.get(name))) is not None:
                table[known] = b""
        return table

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end an answer: EOS, the generation config's, the closer of an assistant turn."""
        path = self.folder / "generation_config.json"
        config = read_json(path) if path.exists() else self._config
        listed = config.get("eos_token_id", config.get("text_config", {}).get("eos_token_id"))
        named = listed if isinstance(listed, list) else [listed]
        return frozenset(i for i in (*named, self.eos_id, self.closer) if isinstance(i, int))

    def _id(self, token: str | None) -> int | None:
        known: int | None = self._tokenizer.token_to_id(token) if token else None
        return known

    def _encode(self, text: str, *, control: bool) -> tuple[int, ...]:
        with self._lock:
            self._tokenizer.encode_special_tokens = not control
            return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _templated(
        self, template: ChatTemplate, turns: Sequence[Message], opened: bool = True
    ) -> tuple[int, ...]:
        spelled = self._control_words
        if spelled is None or not any(spelled.search(turn.content) for turn in turns):
            return self._encode(self._text(template, turns, opened), control=True)
        mark = f"{OPEN}\\g<0>{CLOSE}"
        marked = [Message(turn.role, spelled.sub(mark, turn.content)) for turn in turns]
        pieces = re.split(f"{OPEN}([^{CLOSE}]*){CLOSE}", self._text(template, marked, opened))
        encoded = [self._encode(piece, control=i % 2 == 0) for i, piece in enumerate(pieces)]
        return tuple(index for piece in encoded for index in piece)

    def _text(self, template: ChatTemplate, turns: Sequence[Message], opened: bool = True) -> str:
        spoken = [{"role": turn.role, "content": turn.content} for turn in turns]
        return template.render(spoken, opened, self._variables)

    def _frame(self, turns: Sequence[Message]) -> tuple[int, ...]:
        forms = {"system": "{}\n\n", "user": "Question: {}\n", "assistant": "Answer: {}\n\n"}
        text = "".join(forms[turn.role].format(turn.content.strip()) for turn in turns)
        ids = self.framed(text + "Answer:")
        ends = {self.eos_id, self._id(self._specials.get("sep_token"))} - {self.bos_id}
        while ids and ids[-1] in ends:
            ids = ids[:-1]
        return ids

    @cached_property
    def _control_words(self) -> re.Pattern[str] | None:
        """Finds spelled-out control tokens."""
        added = self._tokenizer.get_added_tokens_decoder().values()
        words = sorted((a.content for a in added if a.special), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, words))) if words else None

    @cached_property
    def closer(self) -> int | None:
        """The control token that the template writes right after an assistant's text, if any."""
        if self.template is None:
            return None
        turns = [Message("user", "a"), Message("assistant", SENTINEL)]
        try:
            tail = self._text(self.template, turns, opened=False).rpartition(SENTINEL)[2]
        except InputError:
            return None
        ids = self._encode(tail.lstrip(), control=True)
        added = self._tokenizer.get_added_tokens_decoder()
        return ids[0] if ids and ids[0] in added else None


def read_json(path: Path) -> dict[str, Json]:
    """The object in a JSON file, empty when the file does not exist."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelFormatError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ModelFormatError(f"{path} should hold a JSON object")
    return found


def _load_tokenizer(path: Path) -> Tokenizer:
    if not path.exists():
        raise ModelFormatError(
            f"{path.parent} has no tokenizer.json; save the model's fast tokenizer there"
        )
    try:
        tokenizer = Tokenizer.from_buffer(path.read_bytes())
    except ValueError as error:
        raise ModelFormatError(f"{path} cannot be read: {clip(str(error), 300)}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _special_tokens(folder: Path, settings: Mapping[str, Json]) -> dict[str, str]:
    listed = {**read_json(folder / "special_tokens_map.json"), **settings}
    found = {}
    for name in SPECIAL_NAMES:
        value = listed.get(name)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str):
            found[name] = value
    return found


def _context(config: Mapping[str, Json], settings: Mapping[str, Json]) -> int:
    text = config.get("text_config")
    for source in (config, text if isinstance(text, dict) else {}):
        for name in CONTEXT_NAMES:
            if isinstance(source.get(name), int):
                return int(source[name])
    limit = settings.get("model_max_length", 0)
    return int(limit) if isinstance(limit, (int, float)) and 0 < limit < HUGE else 0


class _ByteRule:
    """How a vocabulary spells bytes: byte-`level` BPE, space `mark`s or word `pieces`."""

    def __init__(self, style: str) -> None:
        self.style = style
        self.byte_by_char = _byte_level_table() if style == "level" else {}

    def __call__(self, token: str) -> bytes:
        if self.style == "level":
            try:
                return bytes([self.byte_by_char[char] for char in token])
            except KeyError:
                return token.encode()
        if self.style == "pieces":
            return token[2:].encode() if token.startswith("##") else b" " + token.encode()
        if re.fullmatch(r"<0x[0-9A-Fa-f]{2}>", token):
            return bytes([int(token[3:5], 16)])
        return token.replace("▁", " ").encode()


def _byte_rule(tokenizer: Mapping[str, Json]) -> _ByteRule:
    text = json.dumps([tokenizer.get(part) for part in ("decoder", "pre_tokenizer", "normalizer")])
    if '"ByteLevel"' in text:
        return _ByteRule("level")
    return _ByteRule("pieces" if '"WordPiece"' in text else "mark")


def _byte_level_table() -> dict[str, int]:
    """The printable stand-in of each byte in byte-level BPE vocabularies (the GPT-2 convention)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(b): b for b in shown} | {chr(256 + i): b for i, b in enumerate(hidden)}
