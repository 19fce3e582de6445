"""The cascade on the bundled models in float32: confidence, decisions, the search on dev."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from moco import Pool
from moco.errors import DataError
from moco.methods.api.cascade import Cascade
from moco.methods.base import dev_best
from moco.pool import Dev
from moco.registry import load
from moco.routing.calibrate import confidence
from moco.tasks.base import Dataset
from moco.tasks.opening import open_task
from moco.types import Prediction, Query, Sampling

MEMBERS = ["zoo://mini/arithmetic", "zoo://mini/words", "zoo://mini/facts"]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool.open(
        MEMBERS,
        sampling=Sampling(max_tokens=40),
        engine={"devices": ["cpu"], "dtype": "float32"},
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def data() -> Dataset:
    opened = open_task(load("task", "mini"), pull=False)
    assert opened is not None
    return opened.data


@pytest.fixture(scope="module")
def dev(data: Dataset) -> Dev:
    return Dev(data.dev[:60], load("scorer", load("task", "mini").scorer)())


@pytest.fixture(scope="module")
def queries(data: Dataset) -> list[Query]:
    return [sample.query for sample in data.test[::10]]


def told(predictions: Sequence[Prediction]) -> list[Any]:
    return [(p.query_id, p.text, p.by, p.notes["level"]) for p in predictions]


def sure(predictions: Sequence[Prediction]) -> list[list[float]]:
    return [list(p.notes["confidences"]) for p in predictions]


@pytest.mark.parametrize("calibration", ["logistic", "none"])
def test_alone_in_a_batch_and_in_another_order_it_decides_the_same(
    calibration: Any, pool: Pool, dev: Dev, queries: list[Query], tmp_path: Any, monkeypatch: Any
) -> None:
    method = Cascade(percentage=0.5, calibration=calibration)
    state = method.fit(pool, dev)
    together = method.predict(pool, queries, state)
    assert len({p.notes["level"] for p in together}) > 1
    monkeypatch.setenv("MOCO_CACHE", str(tmp_path))  # so that nothing is read from the cache
    with Pool.open(
        MEMBERS,
        sampling=Sampling(max_tokens=40),
        engine={"devices": ["cpu"], "dtype": "float32"},
    ) as fresh:
        alone = [method.predict(fresh, [query], state)[0] for query in queries[:8]]
        turned = method.predict(fresh, queries[::-1], state)[::-1]
        assert fresh.context.engine.fresh_calls > 0
    assert told(alone) == told(together[:8])
    assert told(turned) == told(together)
    for one, other in ((sure(alone), sure(together[:8])), (sure(turned), sure(together))):
        assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(one, other, strict=True))


def test_confidence_is_that_of_the_written_tokens_at_temperature_one(
    pool: Pool, queries: list[Query]
) -> None:
    model = pool[0]
    for sampling in (Sampling(max_tokens=40), Sampling(1.3, 0.8, max_tokens=40)):
        given = model.ask([q.prompt for q in queries[:6]], sampling=sampling)
        pairs = [(q.prompt, g.text) for q, g in zip(queries, given, strict=False)]
        found = model.token_logprobs(pairs)
        for generation, own in zip(given, found, strict=True):
            written = generation.logprobs[: len(own)]
            assert written == pytest.approx(own, abs=1e-4)
            assert confidence(generation) == pytest.approx(
                np.exp(np.mean(generation.logprobs)), abs=1e-3
            )


def test_the_search_beats_the_best_member_and_reports_what_it_found(
    pool: Pool, dev: Dev, queries: list[Query]
) -> None:
    method = Cascade()
    state = method.fit(pool, dev)
    calls = pool.context.engine.fresh_calls
    assert method.fit(pool, dev) == state
    best = max(dev_best(pool, dev)[1].values())
    assert state["dev"]["score"] >= best
    assert state["dev"]["candidates"] > 100
    assert 0 <= state["dev"]["regret"] <= 1 - best
    costs = [plan["knob"] for plan in state["frontier"]]
    scores = [plan["score"] for plan in state["frontier"]]
    assert costs == sorted(costs) and scores == sorted(scores)
    assert pool.context.engine.fresh_calls == calls  # searching again asks no model
    again = json.loads(json.dumps(state))
    predictions = method.predict(pool, queries, state)
    assert told(method.predict(pool, queries, again)) == told(predictions)
    plans = method.points(pool, queries, state)
    assert [plan.knob for plan in plans] == costs
    same = next(
        plan for plan, own in zip(plans, state["frontier"], strict=True)
        if own["levels"] == state["levels"] and own["thresholds"] == state["thresholds"]
    )  # fmt: skip
    assert list(same.by) == [p.by[0] for p in predictions]


def test_budget_and_cost_weight_make_it_cheaper(pool: Pool, dev: Dev) -> None:
    free = Cascade().fit(pool, dev)
    cheapest = min(plan["knob"] for plan in free["frontier"])
    budget = (cheapest + free["dev"]["cost"]) / 2
    kept = Cascade(budget=budget).fit(pool, dev)
    assert kept["dev"]["cost"] <= budget < free["dev"]["cost"]
    alone = Cascade(cost_weight=100.0).fit(pool, dev)
    assert len(alone["levels"]) == 1 and alone["dev"]["cost"] == pytest.approx(cheapest)
    with pytest.raises(DataError, match=r"method\.budget"):
        Cascade(budget=cheapest / 2).fit(pool, dev)


def test_an_order_is_kept_and_two_levels_may_be_asked(pool: Pool, dev: Dev) -> None:
    order = ("facts", "arithmetic", "words")
    found = Cascade(order=order, max_levels=2).fit(pool, dev)
    assert len(found["levels"]) <= 2
    for plan in found["frontier"]:
        places = [order.index(name) for name in plan["levels"]]
        assert places == sorted(places) and len(places) <= 2


def test_shares_pass_on_that_many_dev_questions(pool: Pool, dev: Dev) -> None:
    method = Cascade(percentage=0.3, calibration="none")
    state = method.fit(pool, dev)
    predictions = method.predict(pool, dev.queries, state)
    passed = np.mean([p.notes["level"] > 0 for p in predictions])
    assert passed == pytest.approx(0.3, abs=0.02)
    ends = {share: levels_at(pool, dev, share) for share in (0.0, 1.0)}
    assert max(ends[0.0]) == 0 and np.mean([level > 0 for level in ends[1.0]]) >= 0.95


def levels_at(pool: Pool, dev: Dev, share: float) -> list[int]:
    method = Cascade(percentage=share, calibration="none")
    found = method.predict(pool, dev.queries, method.fit(pool, dev))
    return [int(p.notes["level"]) for p in found]


def test_given_thresholds_need_no_dev(pool: Pool, queries: list[Query]) -> None:
    method = Cascade(thresholds=(0.0, 0.5))
    assert not method.needs().dev
    assert all(p.notes["level"] == 0 for p in method.predict(pool, queries[:4], None))
    hard = Cascade(thresholds=(1.0, 1.0)).predict(pool, queries[:4], None)
    assert {p.by for p in hard} == {("facts",)}


def test_settings_of_the_search_are_refused_where_nothing_is_searched() -> None:
    facts = dict.fromkeys(["a", "b"])
    for method in (
        Cascade(percentage=0.5, budget=1.0),
        Cascade(mode="ask", cost_weight=1.0),
        Cascade(thresholds=(0.5,), max_levels=2),
    ):
        (problem,) = method.problems(facts, Sampling())
        assert "only the policy search uses it" in problem.what
    assert Cascade(budget=1.0).problems(facts, Sampling()) == []
