"""Fusion from fewer passes: members take turns in drafting tokens that all of them check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from moco.methods.drafting import rated
from moco.methods.logit.logit_fusion import LogitFusion, State
from moco.pool import Pool
from moco.types import Json, Prediction, Query

if TYPE_CHECKING:
    from torch import Tensor

    from moco.decoding.joint import JointSession


class SpeculativeEnsemble(LogitFusion):
    """Every token is distributed as in logit fusion, but members take turns: each reads what the
    others drafted and, from the same pass, drafts on.

    A token that its drafter drew from q is kept with probability min(1, π / q) once all members
    have read up to it, π being the fused distribution; otherwise it is replaced by one drawn from
    (π − q)₊, normalised, and what was drafted after it is dropped. Where all drafts are kept, a
    pass of one member gives a token, which takes plain fusion a pass of each; where none is, both
    need as many. A greedy answer is that of logit fusion. Nothing is won with adapters of one base,
    whose passes plain fusion shares.
    """

    paper: ClassVar[str] = "Fu et al. 2025, arXiv 2502.01662 (alternate proposal)"

    draft_tokens: int = Field(default=1, ge=1, le=64)
    """Tokens that the smallest member, the first of equals, drafts in its turn; more than 1 helps
    where its passes cost much less than the others'. The others draft one, which comes from the
    pass in which they read.
    """

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: State | None
    ) -> list[Prediction]:
        """All members of the pool write each answer."""
        return rated(super().predict(pool, queries, state))

    def write(self, session: JointSession, state: Json) -> None:
        """Draft and check in turns until every row has ended."""
        from moco.decoding.drafts import Scheme, speculate

        def fused(
            heard: Sequence[Tensor], shape: Callable[[Tensor], Tensor]
        ) -> tuple[Tensor, Sequence[int]]:
            return self.combine(heard, state), [-1] * len(heard[0])

        sizes = [voice.num_parameters for voice in session.voices]
        order = sorted(range(len(sizes)), key=sizes.__getitem__)
        turns = [(order[0], self.draft_tokens), *((member, 1) for member in order[1:])]
        speculate(session, Scheme(turns, range(len(sizes)), fused))
