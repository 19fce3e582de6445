"""Members of one vocabulary draft tokens ahead, and the rest read a whole draft in one pass.

A row's draft is a chain of tokens, each drawn from the distribution q of the member that drafted
it. Once the members that decide have read the places before it, a token is kept with probability
min(1, π / q) at that token, where π is the distribution the method wants; otherwise a token is
drawn in its stead from what π exceeds q by, and the rest of the chain is dropped. Whoever drafts,
every token so has the distribution π (Leviathan et al. 2023, arXiv 2211.17192; Chen et al. 2023,
arXiv 2302.01318). q and π are those that tokens are drawn from, temperature and nucleus applied;
at temperature 0 a token is kept if it is the likeliest.

Drafts are no part of the answer: each kept token is emitted by itself, so that a row ends where it
would without drafts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from moco.decoding import sampling
from moco.decoding.joint import JointSession
from moco.types import Sampling

Shape: TypeAlias = Callable[[Tensor], Tensor]
"""From logits [row, V] to the distributions that the rows' tokens are drawn from."""
Blend: TypeAlias = Callable[[Sequence[Tensor], Shape], tuple[Tensor, Sequence[int]]]
"""From the judges' logits, each [row, V], to the wanted ones and whose they are in each row, a
member or −1 for all.
"""


@dataclass(frozen=True, slots=True)
class Scheme:
    """Who drafts, and what is wanted."""

    turns: Sequence[tuple[int, int]]
    """(member, tokens that it drafts at most in its turn), in order and then over again."""
    judges: Sequence[int]
    """The members whose logits decide."""
    blend: Blend
    """What is made of the judges' logits."""


@dataclass(slots=True)
class _Chain:
    """A row's draft."""

    heard: list[list[Tensor]]
    """Per member: its logits [V] before each token of the draft and after the last, as far as it
    has read.
    """
    ids: list[int] = field(default_factory=list)
    drafters: list[int] = field(default_factory=list)
    closed: bool = False
    """Whether the last token would end the row: it is never read, and nothing comes after it."""
    written: int = 0
    """Tokens of the answer."""

    def missing(self, member: int) -> int:
        """Places whose logits the member has not given yet."""
        return len(self.ids) - self.closed + 1 - len(self.heard[member])

    def advance(self, kept: bool) -> None:
        """The first token was kept, or another took its place and the draft is void."""
        self.written += 1
        if kept:
            del self.ids[0], self.drafters[0]
            for heard in self.heard:
                del heard[:1]
        else:
            self.ids, self.drafters, self.closed = [], [], False
            self.heard = [[] for _ in self.heard]


def speculate(session: JointSession, scheme: Scheme) -> None:
    """Write every row. Notes tell the tokens `drafted` and `accepted`, and, where several judges
    decide, how many have each one's distribution (`tokens_by_writer`).
    """
    _Speculation(session, scheme).run()


class _Speculation:
    """The drafts of a session's rows. All rows are in the same turn, which a row enters at the
    first: what a row gets does not depend on the others.
    """

    def __init__(self, session: JointSession, scheme: Scheme) -> None:
        self.session, self.scheme = session, scheme
        self.chains: dict[int, _Chain] = {}
        self.width = 0
        """Ids that every member can read: some have rows of padding beyond the vocabulary."""

    def run(self) -> None:
        """Take turns until every row has ended."""
        count = len(self.session.voices)
        while rows := self.session.live:
            self.width = self.width or min(x.shape[1] for x in self.session.logits_each(rows[:1]))
            fresh = {row: _Chain([[] for _ in range(count)]) for row in rows}
            self.chains = {row: self.chains.get(row, fresh[row]) for row in rows}
            for member, tokens in self.scheme.turns:
                self._turn(member, tokens)

    def _turn(self, member: int, tokens: int) -> None:
        """The member reads the drafts, which may settle them, and adds to those that stand."""
        self._read(member)
        self._settle()
        for further in range(tokens):
            if further:
                self._read(member)
            self._draft(member)
        self._settle()

    def _open(self) -> list[int]:
        return [row for row in self.chains if self.session.is_live(row)]

    def _read(self, member: int) -> None:
        """One pass over what the member has not read of answers and drafts."""
        rows = [row for row in self._open() if self.chains[row].missing(member)]
        if not rows:
            return
        chains = [self.chains[row] for row in rows]
        counts = [min(chain.missing(member), len(chain.ids) - chain.closed) for chain in chains]
        found = self.session.logits_along(member, rows, counts)
        for chain, along in zip(chains, found, strict=True):
            held = chain.heard[member]
            held += along[1 if held else 0 :, : self.width].unbind()

    def _draft(self, member: int) -> None:
        """One more token in each draft that the member has read to its end."""
        rows = [
            row
            for row in self._open()
            if not self.chains[row].closed and not self.chains[row].missing(member)
        ]
        if not rows:
            return
        chains = [self.chains[row] for row in rows]
        logits_BV = torch.stack([chain.heard[member][-1] for chain in chains])
        ids = self.session.draw(rows, logits_BV)
        for row, chain, token in zip(rows, chains, ids, strict=True):
            chain.ids.append(token)
            chain.drafters.append(member)
            full = chain.written + len(chain.ids) >= self.session.sampling_of(row).max_tokens
            chain.closed = full or token in self.session.shared_stops
            if not chain.closed:
                self.session.draft([row], [token])
            self._count(row, "drafted", member)

    def _count(self, row: int, what: str, member: int) -> None:
        """One more in the row's notes; what the only judge drafts is no draft."""
        if tuple(self.scheme.judges) != (member,):
            notes = self.session.notes(row)
            notes[what] = notes.get(what, 0) + 1

    def _settle(self) -> None:
        """Decide about the first token of each draft that all judges have read up to it, then the
        next.
        """
        while rows := [row for row in self._open() if self._decidable(self.chains[row])]:
            self._decide(rows)

    def _decidable(self, chain: _Chain) -> bool:
        return bool(chain.ids) and all(chain.heard[judge] for judge in self.scheme.judges)

    def _decide(self, rows: Sequence[int]) -> None:
        """Keep or replace the first token of each row's draft, and emit what came of it."""
        chains = [self.chains[row] for row in rows]
        samplings = [self.session.sampling_of(row) for row in rows]

        def shape(logits_BV: Tensor) -> Tensor:
            return distribution(logits_BV, samplings)

        heard = [torch.stack([c.heard[judge][0] for c in chains]) for judge in self.scheme.judges]
        wanted_BV, owners = self.scheme.blend(heard, shape)
        drafted_BV = torch.stack([c.heard[c.drafters[0]][0] for c in chains])
        ids_B = torch.tensor([c.ids[0] for c in chains], device=wanted_BV.device)
        p_BV, q_BV = shape(wanted_BV), shape(drafted_BV)
        over_BV = (p_BV - q_BV).clamp_(min=0)
        # without any excess p and q are equal up to rounding
        kept_B = kept(p_BV, q_BV, ids_B, self.session.uniforms(rows)) | (over_BV.sum(-1) == 0)
        lost = (~kept_B).nonzero()[:, 0].tolist()
        if lost:
            uniforms_B = self.session.uniforms([rows[i] for i in lost]).to(over_BV.device)
            ids_B[lost] = sampling.pick(over_BV[lost], uniforms_B)
        authors = []
        for row, chain, keep, owner in zip(rows, chains, kept_B.tolist(), owners, strict=True):
            authors.append(chain.drafters[0] if keep else owner)
            if keep:
                self._count(row, "accepted", chain.drafters[0])
            if owner >= 0 and len(self.scheme.judges) > 1:
                tokens = self.session.notes(row).setdefault("tokens_by_writer", {})
                name = self.session.names[owner]
                tokens[name] = tokens.get(name, 0) + 1
            chain.advance(keep)
        judge = self.scheme.judges[0]
        self.session.emit(judge, rows, ids_B.tolist(), wanted_BV, shared=True, authors=authors)


def kept(p_BV: Tensor, q_BV: Tensor, ids_B: Tensor, uniforms_B: Tensor) -> Tensor:
    """Whether each row's token, drawn from q, stands for one drawn from p: with probability
    min(1, p / q); compared in float64, where the product is exact.
    """
    p_B, q_B = (x.gather(-1, ids_B[:, None])[:, 0].double() for x in (p_BV, q_BV))
    return uniforms_B.to(p_B) * q_B < p_B


def distribution(logits_BV: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """The distribution [row, V] that `sampling.draw` draws each row's token from."""
    found_BV = torch.zeros_like(logits_BV)
    found_BV.scatter_(1, sampling.argmax(logits_BV)[:, None], 1)
    hot = [i for i, s in enumerate(samplings) if s.temperature > 0]
    if hot:
        heat = [samplings[i].temperature for i in hot]
        probs_RV = sampling.shaped(logits_BV[hot], heat, [samplings[i].top_p for i in hot])
        found_BV[hot] = probs_RV / probs_RV.sum(-1, keepdim=True)
    return found_BV
