"""A large member's answers from fewer passes: a small one drafts tokens, and it checks them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from moco.access import Requires
from moco.methods.base import Level
from moco.methods.drafting import LOCK_STEP, TARGET, DraftingMethod
from moco.types import Json

if TYPE_CHECKING:
    from moco.decoding.joint import JointSession


class SpeculativeDecoding(DraftingMethod):
    """The drafter writes some tokens ahead, the target reads them in one pass and keeps those that
    pass for its own.

    A token that the drafter drew from q is kept with probability min(1, p / q), p being the
    target's distribution; the first that is not is replaced by one drawn from (p − q)₊, normalised,
    and after a draft kept whole the target writes one more token from the same pass. So each token
    is distributed as the target's own, with the run's temperature and top-p, and a greedy answer is
    the target's, token for token. Answers end at the target's stop ids only.
    """

    level: ClassVar[Level] = "logit"
    paper: ClassVar[str] = (
        "Leviathan, Kalman, Matias 2023, arXiv 2211.17192; Chen et al. 2023, arXiv 2302.01318"
    )
    requires: ClassVar[Requires] = LOCK_STEP
    idempotent: ClassVar[bool] = True

    def write(self, session: JointSession, state: Json) -> None:
        """Draft and check until every row has ended."""
        from moco.decoding.drafts import Scheme, speculate

        session.shared_stops = session.stop_ids(TARGET)
        scheme = Scheme(
            self.turns(), (TARGET,), lambda heard, _: (heard[0], [TARGET] * len(heard[0]))
        )
        speculate(session, scheme)
