"""Members' views of an answer's bytes: always the bytes that were written, cut however their
vocabulary cuts them, within their context, and of finite numbers.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from folders import save_model
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from moco.backends.base import ModelSpec
from moco.backends.hf import HfBackend
from moco.decoding.joint import JointSession
from moco.decoding.union import words_of
from moco.decoding.views import Voice
from moco.engine.jobs import JointRow
from moco.errors import ModelFormatError
from moco.methods.logit.logit_fusion import LogitFusion
from moco.methods.logit.unite import Unite
from moco.rendering import Renderer
from moco.types import Sampling


def backend(folder: Path) -> HfBackend:
    return HfBackend(ModelSpec(folder.name, folder.name, path=folder, dtype="float32"), "cpu")


def opened(
    backends: Sequence[HfBackend], question: str = "q", max_tokens: int = 50
) -> JointSession:
    voices = [Voice(b.folder.name, b.session(), b.renderer(b.spec), {}, 1) for b in backends]
    row = JointRow(question, (question,) * len(voices), Sampling(max_tokens=max_tokens), bytes(32))
    return JointSession(voices, [row])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[HfBackend]:
    root = tmp_path_factory.mktemp("views")
    return [
        backend(save_model(root / "bytes", "gpt2", 2, 290)),
        backend(save_model(root / "words", "llama", 0, 320)),
    ]


def spell(session: JointSession, row: int, data: bytes) -> None:
    """The first member writes these bytes, a token each."""
    table = session.voices[0].renderer.token_bytes
    for byte in data:
        session.emit(0, [row], [table.index(bytes([byte]))])


def view(session: JointSession, member: int, row: int) -> bytes:
    """What a member reads of the answer."""
    session.logits(member, [row])
    own = session._lines[row].own[member]
    return session.voices[member].renderer.bytes_of(own.ids)


@pytest.mark.parametrize("heals", [False, True])
def test_after_a_rollback_a_member_reads_what_was_written(
    pair: list[HfBackend], heals: bool
) -> None:
    session = opened(pair)
    session.heals = heals
    spell(session, 0, b" an")
    assert view(session, 1, 0) == b" an"
    copy = session.fork(0, 1)[0]
    spell(session, copy, b"swer")
    mark = session.mark(copy)
    spell(session, copy, b" ")
    assert view(session, 1, copy) == b" answer "  # joined to " answer" where it heals
    session.rollback(mark)
    assert view(session, 1, copy) == b" answer"
    spell(session, copy, b"s")
    assert view(session, 1, copy) == b" answers"
    session.close()


@pytest.mark.parametrize("heals", [False, True])
def test_a_character_that_another_member_ends_is_read_whole(
    pair: list[HfBackend], heals: bool
) -> None:
    session = opened(pair)
    session.heals = heals
    first = session.voices[1].renderer.token_bytes.index(b"\xe4")
    spell(session, 0, b"so ")
    session.logits(1, [0])
    session.emit(1, [0], [first])  # the second member begins a character and reads that byte
    session.logits(1, [0])
    spell(session, 0, "你".encode()[1:] + b"!")
    assert view(session, 1, 0) == "so 你!".encode()
    assert view(session, 0, 0) == "so 你!".encode()
    session.close()


def test_bytes_that_are_no_text_are_read_as_they_are(pair: list[HfBackend]) -> None:
    session = opened(pair)
    spell(session, 0, b"a\xff\xe4b")
    assert view(session, 1, 0) == b"a\xff\xe4b"
    session.close()


def test_no_member_reads_beyond_its_context(pair: list[HfBackend]) -> None:
    bytewise, words = pair  # the first needs more tokens for a text, and has learnt positions
    question = "The answer " * 20
    room = min(b.renderer(b.spec).context for b in pair) - bytewise.renderer(bytewise.spec).count(
        question
    )
    session = opened([words, bytewise], question, max_tokens=1000)
    table = session.voices[0].renderer.token_bytes
    token = table.index(b" answer")
    written = 0
    while session.live:
        session.logits(1, [0])
        session.emit(0, [0], [token])
        written += 1
    assert session.results[0].stop == "length"
    each = len(bytewise.renderer(bytewise.spec).inner(b" answer"))
    assert room < each * written <= room + each
    session.close()


def test_numbers_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    bad = backend(save_model(tmp_path / "bad", "gpt2", 2, 290))
    with torch.no_grad():
        bad.model.transformer.wpe.weight[40:] = 3e38
    good = opened([bad, bad], "x", 4)
    LogitFusion().write(good, None)
    session = opened([bad, bad], "x" * 60, 4)
    with pytest.raises(ModelFormatError, match="'bad' gave numbers that are not finite"):
        LogitFusion().write(session, None)


def test_a_stop_token_that_is_text_too_ends_the_answer(
    pair: list[HfBackend], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "plain"
    shutil.copytree(pair[1].folder, folder)
    data = json.loads((folder / "tokenizer.json").read_text())
    for added in data["added_tokens"]:
        added["special"] = added["special"] and added["content"] != "<|im_end|>"
    (folder / "tokenizer.json").write_text(json.dumps(data))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"eos_token": "<|end|>"}))
    renderer = Renderer(folder)
    closer = renderer.token_bytes.index(b"<|im_end|>")
    assert closer in renderer.stop_ids and not words_of(renderer).ids(b"<|im_end|>")

    def closing(member: int, rows: Sequence[int]) -> torch.Tensor:
        logits = torch.full((len(rows), len(renderer.token_bytes)), -9.0)
        logits[:, closer] = 5
        return logits

    session = opened([backend(folder)] * 2, max_tokens=5)
    monkeypatch.setattr(session, "logits", closing)
    monkeypatch.setattr(session, "logits_each", lambda rows: [closing(m, rows) for m in (0, 1)])
    Unite().write(session, None)
    assert (session.results[0].text, session.results[0].stop) == ("", "eos")


@pytest.fixture(scope="module", params=["prepend", "metaspace"])
def spaced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    """A tokenizer that sets a space before a text, as those of Llama 2 and Mistral do."""
    vocab = {token: i for i, token in enumerate(["<unk>", "<s>", "</s>"])}
    merges = [("l", "o"), ("▁", "l"), ("▁", "H"), ("▁H", "e"), ("▁He", "l")]
    singles = [*(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdefghijklmnopqrstuvwxyzH"]
    for token in [*singles, *(a + b for a, b in merges)]:
        vocab[token] = len(vocab)
    made = Tokenizer(
        models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    if request.param == "prepend":
        made.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    folder = tmp_path_factory.mktemp(request.param)
    made.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text("{}")
    return Renderer(folder)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=6).map(str.encode), st.binary(max_size=3)), max_size=4))
@example([b"Hel", b"lo", b" the", b" answer\n", b"\n", b"\xff", "你".encode()[:2]])
def test_text_within_an_answer_keeps_its_bytes(spaced: Renderer, parts: list[bytes]) -> None:
    assert spaced.bytes_of(spaced.encode("lo")) == b" lo"
    for part in parts:
        if b"\xe2\x96\x81" not in part:  # the mark that stands for a space
            assert spaced.bytes_of(spaced.inner(part)) == part
    joined = b"".join(parts)
    if b"\xe2\x96\x81" not in joined:
        assert spaced.bytes_of(spaced.inner(joined)) == joined
