"""Accuracy against cost, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moco.access import Access, ModelFacts
from moco.analysis import cost, routes, stats
from moco.backends.base import ModelSpec
from moco.types import OperatingPoint, Score, Usage


def table() -> routes.MemberTable:
    """Two members, four questions: the small one is right on two, the large one on three."""
    return routes.MemberTable(
        scores={
            "small": [Score(1), Score(1), Score(0), Score(0)],
            "large": [Score(0), Score(1), Score(1), Score(1)],
        },
        costs={"small": [1.0] * 4, "large": [4.0] * 4},
        values=lambda scores: [None if s.status == "invalid" else s.value for s in scores],
        compare=stats.paired_difference,
    )


def test_a_plan_costs_what_everybody_asked_costs() -> None:
    plan = OperatingPoint(
        0.5, ("small", "small", "large", "large"), (("small",),) * 2 + (("small", "large"),) * 2
    )
    assert table().point(plan) == ((1 + 1 + 5 + 5) / 4, 1.0)


def test_the_frontier_drops_what_a_mixture_beats() -> None:
    points = [(1.0, 0.5), (2.0, 0.55), (3.0, 0.9), (4.0, 0.8)]
    assert routes.frontier(points) == [(1.0, 0.5), (3.0, 0.9)]
    assert routes.frontier([(1.0, 0.0)]) == [(1.0, 0.0)]


def test_area_by_hand() -> None:
    # From 1 to 4: up from 0.5 to 0.9 at 3 (area 1.4), then level (area 0.9).
    assert routes.aiq([(1.0, 0.5), (3.0, 0.9)], 1.0, 4.0) == pytest.approx(2.3 / 3)
    # Below the cheapest point the line from asking nobody counts: 0.25 to 0.5 from 1 to 2.
    assert routes.aiq([(2.0, 0.5)], 1.0, 2.0) == pytest.approx(0.375)
    assert routes.aiq([(1.0, 0.5)], 1.0, 1.0) is None


def test_mixture_of_equal_cost() -> None:
    points = {"a": (1.0, 0.4), "b": (3.0, 0.8), "dear": (5.0, 0.6)}
    assert routes.mixture(points, 2.0) == {"a": 0.5, "b": 0.5}
    assert routes.mixture(points, 0.5) == {"a": 1.0}
    assert routes.mixture(points, 9.0) == {"b": 1.0}


def test_gains_and_regret_by_hand() -> None:
    perfect = routes.Spent([1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 4.0, 4.0], [1, 1, 2, 3])
    assert routes.spending(perfect) == {"mean": 2.5, "depth_p50": 2, "depth_p95": 3}
    found = routes.against_members(perfect, table(), "large")
    assert found["cheapest"] == "small"
    assert found["regret"] == 0.0
    gains = {name: gain[0] for name, gain in found["gains"].items()}
    # The mixture at cost 2.5 is half and half: 0.5 · 0.5 + 0.5 · 0.75.
    assert gains == {
        "best_single": pytest.approx(0.25),
        "random": pytest.approx(1 - 0.625),
        "cheapest": pytest.approx(0.5),
        "mixture_at_equal_cost": pytest.approx(1 - 0.625),
    }


def test_the_curve_spans_the_members_costs() -> None:
    plans = [
        OperatingPoint(w, (name,) * 4, ((name,),) * 4)
        for w, name in ((0.0, "large"), (5.0, "small"))
    ]
    found = routes.curve(table(), plans)
    assert found["curve"] == [[0.0, 4.0, 0.75], [5.0, 1.0, 0.5]]
    assert found["aiq"] == pytest.approx(0.625)


@given(st.lists(st.tuples(st.floats(0.1, 9), st.floats(0, 1)), min_size=1, max_size=12))
def test_the_frontier_is_concave_and_lies_above_every_point(points: list[routes.Point]) -> None:
    hull = routes.frontier(points)
    costs, scores = zip(*hull, strict=True)
    assert list(costs) == sorted(costs)
    assert list(scores) == sorted(scores)
    assert max(s for _, s in points) == scores[-1]
    assert min(c for c, _ in points) == costs[0]


def spec(name: str, size: int = 0, price: tuple[float, float] | None = None) -> ModelSpec:
    return ModelSpec(
        name, name, facts=ModelFacts(access=Access.TEXT, num_parameters=size), price=price
    )


def test_a_pool_has_one_unit_of_cost() -> None:
    usage = Usage(prompt_tokens=100, generated_tokens=50, flops=8e9)
    priced = [spec("a", 10**9, (2.0, 10.0)), spec("b", 10**9, (1.0, 1.0))]
    assert cost.rule_for(priced).of(priced[0], usage) == pytest.approx(7e-4)
    mixed = [priced[0], spec("b", 2 * 10**9)]
    assert cost.rule_for(mixed).unit == "parameter tokens"
    assert cost.rule_for(mixed).of(mixed[1], usage) == pytest.approx(300.0)
    assert cost.rule_for(mixed).of(mixed[0], usage, mixed) == pytest.approx(4.0)
    unknown = [priced[0], spec("c")]
    assert cost.rule_for(unknown).of(unknown[1], usage) == 150.0
