"""One model picks the option whose text it finds most likely, without writing anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from moco.access import Access, ModelFacts, Problem, Requires
from moco.methods.base import Level, Method
from moco.methods.baseline.single_model import member_problems
from moco.pool import Pool
from moco.prompts import LETTERS, replace_last_user
from moco.types import Prediction, Query, Sampling


class OptionLikelihood(Method[None]):
    """One member picks the option text of highest log-likelihood after the bare question.

    The options are not shown. Log-likelihoods are divided by the length of the option, so that
    long options are not at a disadvantage. The way base models are usually evaluated.
    """

    level: ClassVar[Level] = "baseline"
    paper: ClassVar[str] = "Brown et al. 2020, arXiv 2005.14165, section 2.4"
    requires: ClassVar[Requires] = Requires(
        access=Access.TEXT | Access.LOGPROBS, answers=frozenset({"choice"})
    )

    member: str = ""
    """Alias of the member that picks; empty = the only one."""
    normalise: Literal["bytes", "tokens", "none"] = "bytes"
    """What an option's log-likelihood is divided by: its length in UTF-8 bytes (comparable between
    vocabularies), in tokens, or nothing."""

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """The member must exist, or the pool must leave no choice."""
        return member_problems(self.member, facts)

    def predict(self, pool: Pool, queries: Sequence[Query], state: None) -> list[Prediction]:
        """All options of all questions in one request list."""
        model = pool.named(self.member or pool.names[0])
        prompts = [replace_last_user(q.prompt, q.bare or q.text) for q in queries]
        pairs = [(p, o.strip()) for q, p in zip(queries, prompts, strict=True) for o in q.choices]
        ids = [q.id for q in queries for _ in q.choices]
        found = iter(model.loglikelihood(pairs, stage="options", query_ids=ids))
        predictions = []
        for query in queries:
            scores = []
            for option, likelihood in zip(query.choices, found, strict=False):
                length = self._length(option, likelihood.logprobs)
                scores.append(round(likelihood.total / length, 6))
            best = max(range(len(scores)), key=lambda i: (scores[i], -i))
            notes = {"scores": scores}
            text = f"Answer: {LETTERS[best]}"
            predictions.append(Prediction(query.id, text, (model.name,), notes=notes))
        return predictions

    def _length(self, option: str, logprobs: Sequence[float]) -> int:
        if self.normalise == "bytes":
            return max(len(option.strip().encode()), 1)
        return len(logprobs) if self.normalise == "tokens" else 1
