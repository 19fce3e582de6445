"""Decode from the members' likeliest tokens, whatever their vocabularies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from moco.access import Access, ModelFacts, Problem, Requires
from moco.methods.base import JointMethod, Level
from moco.methods.logit.logit_fusion import weight_problems
from moco.types import Json, Sampling

if TYPE_CHECKING:
    from moco.decoding.joint import JointSession


class Unite(JointMethod[None]):
    """Members of different vocabularies write each token together, from the union of their
    likeliest tokens.

    Tokens are compared by their bytes. A member gives a token that its vocabulary lacks the
    probability of the token by which it would begin to write it; each member's probabilities are
    normalised over the union and averaged. A member that has the winner as a token takes it as one;
    the others read its bytes. The ends of an answer are one token for all.
    """

    level: ClassVar[Level] = "logit"
    version: ClassVar[int] = 2
    paper: ClassVar[str] = "Yao et al. 2024, arXiv 2410.03777 (UniTE)"
    requires: ClassVar[Requires] = Requires(access=Access.TEXT | Access.LOGITS, min_models=2)

    top_k: int = Field(default=10, ge=1, le=1000)
    """Tokens that each member proposes."""
    weights: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """One weight per member, in pool order, normalised to sum 1; empty = equal."""
    boundary: Literal["locked", "heal"] = "locked"
    """Whether a member that reads others' tokens keeps them as they were cut, or joins them to the
    last tokens before, where its vocabulary would have (which it then reads again).
    """

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """Weights must match the members."""
        return weight_problems(self.weights, len(facts))

    def write(self, session: JointSession, state: Json) -> None:
        """One token per row and step until every row has ended."""
        session.heals = self.boundary == "heal"
        members = [m for m in range(len(session.voices)) if not self.weights or self.weights[m]]
        while rows := session.live:
            self._step(session, rows, members)

    def _step(self, session: JointSession, rows: list[int], members: list[int]) -> None:
        import torch

        from moco.decoding import union as unions

        words = {m: unions.words_of(session.voices[m].renderer) for m in members}
        logp = {m: words[m].heard(session.logits(m, rows)) for m in members}
        found, merged = [], []
        for i, row in enumerate(rows):
            voting = unions.voters(session, row, members)
            own = unions.union(session, row, {m: logp[m][i] for m in voting}, self.top_k)
            shares = torch.tensor([self.weights[m] if self.weights else 1.0 for m in voting])
            merged.append(shares @ own.probs_MU / shares.sum())
            found.append(own)
        width = max(len(p) for p in merged)
        logits = torch.full((len(rows), width), -torch.inf)
        for i, probs in enumerate(merged):
            logits[i, : len(probs)] = probs.log()
        for i, (row, place) in enumerate(zip(rows, session.draw(rows, logits), strict=True)):
            piece = found[i].pieces[place]
            if piece == unions.STOP:
                session.finish([row], "eos")
            else:
                session.say(row, piece, found[i].ids[place], float(logits[i, place]))
