"""A cascade token by token: the small member writes unless a rule defers to the large one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from moco.access import Requires
from moco.methods.base import Level
from moco.methods.drafting import DRAFTER, LOCK_STEP, TARGET, DraftingMethod
from moco.types import Json

if TYPE_CHECKING:
    from torch import Tensor

    from moco.decoding.joint import JointSession


class SpeculativeCascade(DraftingMethod):
    """Each token comes from the drafter's distribution q or, where a rule defers, from the target's
    distribution p; the drafter writes ahead and the target reads its drafts in one pass.

    The wanted distribution π is q where the rule holds and p elsewhere. A drafted token is kept
    with probability min(1, π / q), else replaced by one drawn from (π − q)₊, normalised; so tokens
    are distributed as π exactly. With max q and max p the members' highest probabilities at
    temperature 1, λ = 2·alpha − 1 and TV = Σ (q − p)₊ over the distributions that tokens are drawn
    from (temperature and top-p applied), the rules are

    - `chow`: max q ≥ 1 − alpha
    - `diff`: max q ≥ max p − λ
    - `opt`: max q ≥ max p − λ · TV, optimal where a deferral costs λ per expected rejection

    with both sides compared to four decimals. At alpha 0 no rule ever holds, and the answer is the
    target's; at alpha 1 each always holds, and it is the drafter's. Notes give the share of tokens
    whose distribution was each member's (`share_by_writer`).
    """

    level: ClassVar[Level] = "logit"
    paper: ClassVar[str] = "Narasimhan et al. 2024, arXiv 2405.19261 (speculative cascades)"
    requires: ClassVar[Requires] = LOCK_STEP
    idempotent: ClassVar[bool] = True

    rule: Literal["opt", "diff", "chow"] = "opt"
    """When the drafter's distribution stands."""
    alpha: float = Field(default=0.6, ge=0, le=1)
    """How readily it does: 0 = never, 1 = always."""

    def write(self, session: JointSession, state: Json) -> None:
        """Draft and check until every row has ended."""
        from moco.decoding.drafts import Scheme, speculate

        speculate(session, Scheme(self.turns(), (DRAFTER, TARGET), self._chosen))

    def _chosen(
        self, heard: Sequence[Tensor], shape: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, list[int]]:
        """The drafter's logits where the rule holds, else the target's; and whose they are."""
        q_BV, p_BV = heard
        stands_B = self.stands(q_BV, p_BV, shape)
        owners = [DRAFTER if stands else TARGET for stands in stands_B.tolist()]
        return q_BV.where(stands_B[:, None], p_BV), owners

    def stands(self, q_BV: Tensor, p_BV: Tensor, shape: Callable[[Tensor], Tensor]) -> Tensor:
        """Whether the rule holds in each row, by both members' logits; `shape` makes of logits the
        distributions that tokens are drawn from.
        """
        import torch

        if self.alpha in (0, 1):
            return torch.full((len(q_BV),), self.alpha == 1, device=q_BV.device)
        sure_B, surer_B = (x.softmax(-1).amax(-1).double() for x in (q_BV, p_BV))
        if self.rule == "chow":
            margin_B = sure_B - (1 - self.alpha)
        else:
            leave = 2 * self.alpha - 1
            parts = (shape(q_BV) - shape(p_BV)).clamp(min=0).sum(-1) if self.rule == "opt" else 1
            margin_B = sure_B - surer_B + leave * parts
        return margin_B.round(decimals=4) >= 0
