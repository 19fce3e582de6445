"""The dev table: how well each member answered each dev question, and at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moco.pool import Dev, Pool
from moco.types import Generation, Query

EMBEDDER = "embedder"
"""The role whose model turns questions into vectors."""


@dataclass(frozen=True)
class DevTable:
    """Dev scores and costs, questions by members; NaN where a member was not asked."""

    names: tuple[str, ...]
    """Member aliases, in pool order."""
    queries: tuple[Query, ...]
    scores_QM: np.ndarray
    costs_QM: np.ndarray
    """In the pool's unit."""
    answers: tuple[tuple[Generation, ...], ...] = ()
    """Each member's first answers, in question order; none of a member asked only a few."""

    @property
    def means(self) -> np.ndarray:
        """Mean score per member over the questions it was asked."""
        found: np.ndarray = np.nanmean(self.scores_QM, axis=0)
        return found

    @property
    def mean_costs(self) -> np.ndarray:
        """Mean cost per member."""
        found: np.ndarray = np.nanmean(self.costs_QM, axis=0)
        return found

    @property
    def best(self) -> int:
        """The member of the best mean score, the first on ties."""
        return int(np.argmax(np.round(self.means, 9)))

    def permuted(self, seed: int) -> DevTable:
        """The same scores on other questions: a control from which nothing can be learnt."""
        order = np.random.default_rng(seed).permutation(len(self.queries))
        return replace(self, scores_QM=self.scores_QM[order], costs_QM=self.costs_QM[order])

    def of(self, rows: Sequence[int]) -> DevTable:
        """The part of the table with these questions."""
        picked = np.asarray(rows, dtype=int)
        return replace(
            self,
            queries=tuple(self.queries[i] for i in rows),
            scores_QM=self.scores_QM[picked],
            costs_QM=self.costs_QM[picked],
            answers=tuple(tuple(own[i] for i in rows) if own else () for own in self.answers),
        )


def observe(
    pool: Pool,
    dev: Dev,
    *,
    runs: int = 1,
    temperature: float = 0.7,
    newcomers: Mapping[str, int] | None = None,
) -> DevTable:
    """Every member answers every dev question by its plain prompt, `runs` times.

    One run uses the run's own sampling, so all methods share its answers; several draw at
    `temperature` and give mean scores. A newcomer answers so many dev questions only (seeded).
    """
    own = pool.context.sampling
    sampling = own if runs == 1 else replace(own, temperature=temperature)
    queries, count = dev.queries, len(dev.queries)
    scores_QM, costs_QM = np.full((2, count, len(pool)), np.nan)
    answers = []
    for column, name in enumerate(pool.names):
        few = (newcomers or {}).get(name, count)
        rows = _some(count, few, pool.context.seed)
        asked = [queries[i] for i in rows]
        ids, alone = [q.id for q in asked], pool.of([name])
        draws = [alone.ask_all(asked, sampling=sampling, draw=draw)[0] for draw in range(runs)]
        scores = [dev.score(ids, [g.text for g in given]) for given in draws]
        costs = [[pool.cost_of(name, g) for g in given] for given in draws]
        scores_QM[rows, column] = np.mean(scores, axis=0)
        costs_QM[rows, column] = np.mean(costs, axis=0)
        answers.append(tuple(draws[0]) if few >= count else ())
    return DevTable(tuple(pool.names), tuple(queries), scores_QM, costs_QM, tuple(answers))


def _some(count: int, few: int, seed: int) -> list[int]:
    """All rows, or a seeded sample of so many."""
    if few >= count:
        return list(range(count))
    return sorted(np.random.default_rng([seed, few]).permutation(count)[:few].tolist())


def vectors(pool: Pool, queries: Sequence[Query]) -> np.ndarray:
    """Unit-length embeddings of questions with their options, without the answer-format line, by
    the model in the role `embedder`; shape [queries, width], float64.
    """
    texts = [query.body or query.text for query in queries]
    found = pool.roles[EMBEDDER].embed(texts, stage="embed", query_ids=[q.id for q in queries])
    return unit(np.asarray(found, dtype=float))


def unit(rows_NE: np.ndarray) -> np.ndarray:
    """The rows scaled to length 1; a zero row stays zero."""
    lengths = np.linalg.norm(rows_NE, axis=-1, keepdims=True)
    scaled: np.ndarray = np.divide(rows_NE, lengths, out=np.zeros_like(rows_NE), where=lengths > 0)
    return scaled
