"""The part that searched weights share: one job per generation, halves, the guard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from methods.searches import dev as mini_dev
from scripted import member

from moco import Pool
from moco.methods.searching import (
    Ground,
    Option,
    Searching,
    Weights,
    dev_scores,
    halves_of,
    judged,
    rounded,
    sampled,
    singles_of,
)
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.search.base import Space
from moco.types import Sample


def dev(count: int = 8) -> Dev:
    query = [plain(f"d{i}", f"Which is d{i}?", "choice", choices=("x", "y")) for i in range(count)]
    return Dev([Sample(q, ("A",)) for q in query], load("scorer", "choice")())


def knowing(name: str, ids: Sequence[str]) -> dict[str, Any]:
    """A member that is right on these questions only."""
    match = "|".join(rf"is {i}\?" for i in ids) or "never"
    return member(name, "Answer: B", rules=[{"match": match, "reply": "Answer: A"}])


def choose(single: Sequence[str], other: Sequence[str], finalist: Sequence[str]) -> Any:
    """What is chosen of two singles and a finalist that are right on these questions."""
    asked = dev()
    with (
        Pool.open([knowing("s", single), knowing("o", other), knowing("f", finalist)]) as wide,
    ):
        pool = wide.of(["s", "o"])
        option = Option({"s": 0.5, "o": 0.5}, wide.named("f"))
        halves = halves_of(asked, True)
        return judged(wide, asked, halves, [option], singles_of(pool))


def halves() -> tuple[list[str], list[str]]:
    first, second = dev().split()
    return [q.id for q in first.queries], [q.id for q in second.queries]


def test_a_finalist_that_is_better_on_the_confirming_half_is_chosen() -> None:
    search, confirm = halves()
    chosen, report = choose([*search[:2], confirm[0]], [], [*search[:2], *confirm[:2]])
    assert chosen.single == "" and chosen.weights == {"s": 0.5, "o": 0.5}
    assert report["difference"][0] == 0.25 and report["questions"] == 4
    assert report["chosen"]["dev"] == 0.5 and report["to_beat"][0]["dev"] == 0.375


@pytest.mark.parametrize("case", ["equal there", "worse on all of dev", "another single"])
def test_else_the_best_single_on_dev_answers(case: str) -> None:
    search, confirm = halves()
    single, other, finalist = {
        "equal there": ([confirm[0]], [], [*search, confirm[1]]),
        "worse on all of dev": ([*search, confirm[0]], [], confirm[:2]),
        "another single": ([*search, confirm[0]], confirm[:3], [*search, *confirm[:2]]),
    }[case]
    chosen, report = choose(single, other, finalist)
    assert chosen.single == "s"
    assert report["chosen"]["single"] == "s"
    singles = [own["dev"] for own in report["to_beat"]]
    assert report["chosen"]["dev"] == max(singles)


def test_a_generation_is_one_job_and_scores_are_right() -> None:
    asked = dev()
    with Pool.open([knowing("s", ["d0"]), knowing("o", ["d0", "d1"])]) as pool:
        jobs = []
        metered = pool.with_(meter=type("M", (), {
            "on_call": lambda *a, **k: None, "on_job": lambda self, kind, calls: jobs.append(calls),
        })())  # fmt: skip
        found = dev_scores(metered, [metered[1], metered[0], metered[1]], asked)
    assert [sum(own) for own in found] == [2, 1, 2]
    assert len(jobs) == 1 and len(jobs[0]) == 24


class Numbers(Searching):
    """A search without models."""


def ground(pool: Pool, asked: Dev, calls: list[tuple[int, int]], questions: int = 0) -> Ground:
    def objective(candidates: Sequence[Weights], part: Dev) -> list[float]:
        calls.append((len(candidates), len(part)))
        return [-abs(weights["s"] - 0.25) for weights in candidates]

    return Ground(
        pool=pool,
        dev=asked,
        space=Space(np.asarray([[0.0], [1.0], [0.5], [-1.0]])),
        weights_of=lambda row: rounded(["s"], row),
        model_of=lambda weights: pool[0],
        objective=objective,
        questions=questions,
    )


def test_the_report_holds_every_candidate() -> None:
    calls: list[tuple[int, int]] = []
    method = Numbers(search="random", population=4, budget=10, guard=False)
    with Pool.open([knowing("s", [])]) as pool:
        state = method.searched(ground(pool, dev(), calls))
        again = method.searched(ground(pool, dev(), []))
    assert calls == [(4, 8), (4, 8), (2, 8)]
    assert state == again and state["confirm"] == {} and state["single"] == ""
    trials = state["search"]["trials"]
    assert [own["weights"] for own in trials[:4]] == [[0.0], [1.0], [0.5], [-1.0]]
    assert len(trials) == state["search"]["candidates"] == 10
    best = max(trials, key=lambda own: own["score"])
    assert state["weights"] == {"s": best["weights"][0]}
    assert state["search"]["best_by_generation"][-1] == best["score"]


def test_halving_asks_little_about_most_candidates() -> None:
    calls: list[tuple[int, int]] = []
    method = Numbers(search="random", population=4, max_iterations=1, guard=False, halving=True)
    with Pool.open([knowing("s", [])]) as pool:
        state = method.searched(ground(pool, dev(16), calls))
    assert calls == [(4, 4), (2, 8), (1, 16)]
    assert [own["questions"] for own in state["search"]["trials"]] == [16, 4, 8, 4]
    assert state["weights"] == {"s": 0.0}  # as good as 0.5, and the first


def test_parts_of_dev_are_nested_seeded_and_never_empty() -> None:
    asked = mini_dev(40)
    quarter, half = (asked.split(share, seed=1)[0] for share in (0.25, 0.5))
    names = [{q.id for q in own.queries} for own in (quarter, half)]
    assert len(names[0] - names[1]) <= 3  # kinds are rounded apart
    assert [len(sampled(asked, n, 0)) for n in (0, 10, 40, 99)] == [40, 10, 40, 40]
    assert sampled(asked, 10, 0) == sampled(asked, 10, 0) != sampled(asked, 10, 1)
    one = replace(asked, samples=asked.samples[:1])
    assert halves_of(one, True) == (one, one) and len(sampled(one, 1, 0)) == 1
    first, second = halves_of(asked, True)
    assert len(first) == len(second) == 20 and halves_of(asked, False) == (asked, asked)
