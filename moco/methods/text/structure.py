"""Models revise their answers given those of their neighbours in a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from moco import prompts
from moco.access import ModelFacts, Problem
from moco.methods.base import Level
from moco.methods.discussion import Discussion, Standing, Talk, ask_members, unknown
from moco.pool import Pool
from moco.types import Json, Prediction, Query, Sampling

Row = tuple[Annotated[int, Field(ge=0, le=1)], ...]


class Structure(Discussion):
    """Members sit in a graph; round by round each revises its answer given its neighbours' last
    answers.

    The best member on dev takes the hub of a star or wheel, the root of a tree, the end of a chain
    (to which all answers travel). The last round is decided by vote, by a summary, or
    (`final: hub`) by that member's answer.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = "Yu et al. 2024, arXiv 2410.15686 (NetSafe)"
    paper_preset: ClassVar[Mapping[str, Json]] = {
        "round": 3, "final": "hub", "stop_on_consensus": False,
    }  # fmt: skip

    structure: Literal["chain", "tree", "star", "wheel", "circle", "complete", "own"] = "star"
    """Who hears whom: neighbours in a row; parent and children; the hub and each other member; the
    same with a ring around it; a ring; everybody; or `matrix`.
    """
    matrix: tuple[Row, ...] | None = None
    """With `structure: own`: one row per member in pool order, 1 where it hears the column's
    member.
    """
    final: Literal["auto", "vote", "summarizer", "hub"] = "auto"  # type: ignore[assignment]
    """How the last round is decided: a vote, one member that summarises, (auto) a vote wherever
    answers can be compared and a summary elsewhere, or the answer of the member at the hub.
    """

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """A matrix fits the pool and no other structure."""
        found = super().problems(facts, sampling)
        if (self.structure == "own") != (self.matrix is not None):
            what = "goes with structure: own" if self.matrix is not None else "is missing"
            found.append(Problem("method.matrix", what, "give both or neither"))
        elif self.matrix is not None:
            found += self._matrix_problems(self.matrix, len(facts))
        if self.structure in ("star", "wheel", "tree") and len(facts) == 2:
            what = f"a {self.structure} of two members is a chain"
            found.append(Problem("method.structure", what, note=True))
        return found

    def _matrix_problems(self, matrix: Sequence[Row], members: int) -> list[Problem]:
        if len(matrix) != members or any(len(row) != members for row in matrix):
            shape = f"{len(matrix)} rows of {sorted({len(row) for row in matrix})}"
            fix = f"give {members} rows of {members}"
            return [
                Problem("method.matrix", f"has {shape} values, the pool {members} members", fix)
            ]
        selves = [i for i in range(members) if matrix[i][i]]
        if selves:
            what = (
                f"row {selves[0]}: a member does not hear itself (its own answer is always shown)"
            )
            return [Problem("method.matrix", what, "set the diagonal to 0")]
        return []

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: Standing | None
    ) -> list[Prediction]:
        """The discussion with the best member at the hub."""
        known = state or unknown(pool)
        names = self._placed(pool, known)
        return super().predict(pool.of(names), queries, known)

    def _placed(self, pool: Pool, state: Standing) -> list[str]:
        """Members in the order of their places: the best first, or last in a chain; a matrix is for
        the pool's own order.
        """
        if self.structure == "own" or state["best"] not in pool.names:
            return pool.names
        rest = [name for name in pool.names if name != state["best"]]
        return [*rest, state["best"]] if self.structure == "chain" else [state["best"], *rest]

    def step(self, pool: Pool, talks: Sequence[Talk], number: int) -> None:
        """Members with neighbours revise, all at once; the others keep their answers."""
        n, spare = len(pool), pool.spare()
        heard = neighbours(self.structure, n, self.matrix)
        active = [i for i in range(n) if heard[i]]
        asked = []
        for talk in talks:
            order = pool.shuffled(talk.query, n, f"round {number}")
            for i in active:
                shown = [j for j in order if j == i or j in heard[i]]
                texts = [talk.texts[j] for j in shown]
                prompt = prompts.refine(talk.query, texts, shown.index(i), spare=spare)
                asked.append((i, talk.query.id, prompt))
        given = iter(ask_members(pool, asked, f"round {number + 1}"))
        for talk in talks:
            made = {i: next(given) for i in active}
            talk.rounds.append([made.get(i, own) for i, own in enumerate(talk.rounds[-1])])

    def decide(self, pool: Pool, talks: Sequence[Talk], state: Standing) -> list[Prediction]:
        """The hub's answer, or the discussion's vote or summary."""
        if self.final != "hub":
            return super().decide(pool, talks, state)
        best = state["best"] if state["best"] in pool.names else pool.names[0]
        place = pool.names.index(best)
        return [
            Prediction(
                talk.query.id,
                talk.texts[place],
                (best,),
                talk.rounds[-1][place].stop,
                {"rounds": len(talk.rounds), "decided": "hub"},
            )
            for talk in talks
        ]


def neighbours(
    structure: str, members: int, matrix: Sequence[Sequence[int]] | None = None
) -> list[set[int]]:
    """Whom each place hears; place 0 is the hub or root, the last one the end of a chain."""
    n = members
    edges: set[tuple[int, int]] = set()
    if structure == "own":
        return [{j for j, heard in enumerate(row) if heard} for row in matrix or ()]
    if structure in ("chain", "circle"):
        edges = {(i, i + 1) for i in range(n - 1)}
    if structure == "circle" and n > 2:
        edges.add((n - 1, 0))
    if structure == "tree":
        edges = {((i - 1) // 2, i) for i in range(1, n)}
    if structure in ("star", "wheel"):
        edges = {(0, i) for i in range(1, n)}
    if structure == "wheel" and n > 3:
        edges |= {(i, i + 1) for i in range(1, n - 1)} | {(n - 1, 1)}
    if structure == "complete":
        edges = {(i, j) for i in range(n) for j in range(i)}
    found: list[set[int]] = [set() for _ in range(n)]
    for a, b in edges:
        found[a].add(b)
        found[b].add(a)
    return found
