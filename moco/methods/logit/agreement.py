"""One member writes; where the others disagree, and only there, all decide about the token."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, TypedDict

from pydantic import Field

from moco.access import Access, ModelFacts, Problem, Requires
from moco.methods.base import JointMethod, Level, dev_best
from moco.methods.parts import unknown_members
from moco.pool import Dev, Pool
from moco.types import Json, Sampling

if TYPE_CHECKING:
    from torch import Tensor

    from moco.decoding.joint import JointSession
    from moco.decoding.lines import Mark
    from moco.decoding.union import Union, Words

DRAFTER = 0
"""Place of the member that writes in the joint session."""
SMOOTH = 0.5
"""A merged distribution whose likeliest piece has less is sharpened."""


class State(TypedDict):
    """Who writes."""

    drafter: str
    scores: dict[str, float]


@dataclass(slots=True)
class _Draft:
    """One token that the drafter wrote on a row's copy."""

    start: int
    """Its first byte in the answer."""
    piece: bytes
    """Its bytes; none = the end of the answer."""
    logp_V: Tensor
    """The drafter's log-probabilities before it."""
    logp: float
    mark: Mark


@dataclass(slots=True)
class _Chunk:
    """A row's tokens ahead, and how the verifiers read them."""

    row: int
    copy: int
    start: int
    drafts: list[_Draft] = field(default_factory=list)
    closed: bool = False
    heard: dict[int, dict[int, tuple[int, Tensor]]] = field(default_factory=dict)
    """Verifier → first byte of each of its own tokens → (the token, or -1 at the end, its
    log-probabilities [V] there).
    """


class Agreement(JointMethod[State]):
    """The drafter writes a few tokens ahead, the other members read them in one pass, and all
    decide together about the first token on which they do not agree.

    They decide only where every member's own tokens begin at the same place, so that none has to
    go on from a piece that it would never write; and only where it matters: not where the token is
    every verifier's likeliest, nor where its mean probability is above one half (in both cases the
    merged distribution has it as the likeliest, or nearly). There the distributions are merged over
    the union of the likeliest tokens, as in `unite`, and sharpened where nothing is likely. Members
    may have different vocabularies. Verifiers join what was cut within a word to the tokens before.
    """

    level: ClassVar[Level] = "logit"
    version: ClassVar[int] = 2
    paper: ClassVar[str] = "Yun et al. 2025, arXiv 2510.15346 (SAFE)"
    requires: ClassVar[Requires] = Requires(access=Access.TEXT | Access.LOGITS, min_models=2)

    drafter: str = ""
    """Alias of the member that writes; empty = the best on dev, the first without dev."""
    draft_tokens: int = Field(default=5, ge=1, le=64)
    """Tokens that are written ahead."""
    top_k: int = Field(default=10, ge=1, le=1000)
    """Tokens that each member proposes where all decide."""
    sharpen: Literal["prefix", "geometric", "none"] = "prefix"
    """Where no piece has half of the merged probability: pieces that begin with a likely token of
    the drafter's are counted for it, or distributions are multiplied instead of added.
    """
    threshold: float = Field(default=0.1, ge=0, le=1)
    """Merged probability above which a token of the drafter's gathers others."""

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """The drafter has to be a member."""
        return unknown_members(facts, drafter=self.drafter)

    def fit(self, pool: Pool, dev: Dev) -> State:
        """The member that writes."""
        best, scores = dev_best(pool, dev)
        return {"drafter": self.drafter or best, "scores": scores}

    def seats(self, names: Sequence[str], state: State | None) -> tuple[list[str], Json]:
        """The drafter first."""
        first = state["drafter"] if state else self.drafter or names[0]
        return [first, *(name for name in names if name != first)], None

    def write(self, session: JointSession, state: Json) -> None:
        """Chunk after chunk until every row has ended."""
        from moco.decoding.union import words_of

        session.heals = True
        words = [words_of(voice.renderer) for voice in session.voices]
        while rows := session.live:
            chunks = [
                _Chunk(row, session.fork(row, 1)[0], len(session.answer(row))) for row in rows
            ]
            for _ in range(self.draft_tokens):
                self._draft(session, words[DRAFTER], [c for c in chunks if not c.closed])
            for verifier in range(1, len(words)):
                self._read(session, words[verifier], verifier, chunks)
            for chunk in chunks:
                self._settle(session, words, chunk)

    def _draft(self, session: JointSession, words: Words, chunks: list[_Chunk]) -> None:
        """One more token of the drafter's on each row's copy."""
        if not chunks:
            return
        copies = [chunk.copy for chunk in chunks]
        logits_BV = session.logits(DRAFTER, copies)
        heard_BV = words.heard(logits_BV)
        ids = session.draw(copies, heard_BV)
        for i, (chunk, token) in enumerate(zip(chunks, ids, strict=True)):
            start, mark = len(session.answer(chunk.copy)), session.mark(chunk.copy)
            stops = token in session.stop_ids(DRAFTER)
            piece = b"" if stops else session.token_bytes(DRAFTER, token)
            logp = float(_chance(words, heard_BV[i], piece, token))
            chunk.drafts.append(_Draft(start, piece, heard_BV[i], logp, mark))
            if not stops:
                session.emit(DRAFTER, [chunk.copy], [token], logits_BV[i : i + 1])
            chunk.closed = stops or not session.is_live(chunk.copy)

    def _read(
        self, session: JointSession, words: Words, verifier: int, chunks: list[_Chunk]
    ) -> None:
        """A verifier reads all chunks in one pass, with its own tokens."""
        copies = [chunk.copy for chunk in chunks]
        tokens = [session.tokens(verifier, chunk.copy, chunk.start) for chunk in chunks]
        along = session.logits_along(verifier, copies, [len(own) for own in tokens])
        for chunk, own, logits_TV in zip(chunks, tokens, along, strict=True):
            heard_TV = words.heard(logits_TV)
            places = {place: (token, heard_TV[t]) for t, (place, token) in enumerate(own)}
            if session.covers(verifier, chunk.copy):
                places.setdefault(len(session.answer(chunk.copy)), (-1, heard_TV[len(own)]))
            chunk.heard[verifier] = places

    def _settle(self, session: JointSession, words: list[Words], chunk: _Chunk) -> None:
        """Accept the chunk up to the first token that all decide otherwise about."""
        row, notes = chunk.row, session.notes(chunk.row)
        for draft in chunk.drafts:
            heard = {v: places.get(draft.start) for v, places in chunk.heard.items()}
            there = {v: found for v, found in heard.items() if found is not None}
            if len(there) < len(heard) or self._agree(words, draft, there):
                continue
            notes["decided"] = notes.get("decided", 0) + 1
            found, place, logp = self._decide(session, words, chunk, draft, there)
            piece = found.pieces[place]
            if piece == draft.piece:
                continue
            notes["changed"] = notes.get("changed", 0) + 1
            session.rollback(draft.mark)
            session.adopt(chunk.copy)
            if piece:
                session.say(row, piece, found.ids[place], logp)
            else:
                session.finish([row], "eos")
            return
        session.adopt(chunk.copy)
        if chunk.drafts[-1].piece == b"":
            session.finish([row], "eos")

    def _agree(
        self, words: list[Words], draft: _Draft, there: Mapping[int, tuple[int, Tensor]]
    ) -> bool:
        """Whether the token is every verifier's likeliest, or its mean probability above one
        half.
        """
        unanimous, total = True, math.exp(draft.logp)
        for verifier, (token, logp_V) in there.items():
            best = int(logp_V.argmax())
            stops = words[verifier].renderer.stop_ids
            if draft.piece == b"":
                unanimous &= best in stops
            elif token < 0:
                return False
            else:
                unanimous &= best == token
            total += float(_chance(words[verifier], logp_V, draft.piece, token).exp())
        return unanimous or total / (1 + len(there)) > 0.5

    def _decide(
        self,
        session: JointSession,
        words: list[Words],
        chunk: _Chunk,
        draft: _Draft,
        there: Mapping[int, tuple[int, Tensor]],
    ) -> tuple[Union, int, float]:
        """(the union, the place of the piece that is written, its log-probability)."""
        from moco.decoding.union import union

        logp = {DRAFTER: draft.logp_V, **{v: logp_V for v, (_, logp_V) in there.items()}}
        found = union(session, chunk.copy, logp, self.top_k)
        merged_U = self._sharpened(found)
        for place, piece in enumerate(found.pieces):
            if piece and DRAFTER not in found.ids[place] and not _whole(piece):
                merged_U[place] = 0.0
        scores_1U = merged_U.log()[None]
        (place,) = session.draw([chunk.copy], scores_1U)
        return found, place, float(scores_1U[0, place])

    def _sharpened(self, found: Union) -> Tensor:
        """The merged distribution over the pieces, sharpened where nothing is likely."""
        merged_U = found.probs_MU.mean(0)
        if float(merged_U.max()) >= SMOOTH or self.sharpen == "none":
            return merged_U
        if self.sharpen == "geometric":
            product_U = found.probs_MU.clamp_min(1e-12).log().mean(0).exp()
            return product_U / product_U.sum()
        gathered_U = merged_U.clone()
        for i, head in enumerate(found.pieces):
            if head and DRAFTER in found.ids[i] and float(merged_U[i]) > self.threshold:
                for j, piece in enumerate(found.pieces):
                    if j != i and piece.startswith(head):
                        gathered_U[i] += merged_U[j]
        return gathered_U / gathered_U.sum()


def _chance(words: Words, logp_V: Tensor, piece: bytes, token: int) -> Tensor:
    """Log-probability of a token; of the end of the answer that of all stop ids together."""
    if piece == b"":
        return logp_V[[i for i in words.ids(b"") if i < len(logp_V)]].logsumexp(0)
    return logp_V[token]


def _whole(piece: bytes) -> bool:
    """Whether the bytes are whole characters."""
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True
