"""LoraHub: references made likely, weights in a box, guarded by base and members."""

from __future__ import annotations

from dataclasses import replace

import pytest
from methods.searches import ADAPTERS, FULL, best_on_dev, dev, files, pool_of

from moco.access import Access, check
from moco.errors import DataError
from moco.methods.searching import composed
from moco.methods.weight.lorahub import LoraHub
from moco.prompts import as_answer

SMALL = {"population": 6, "budget": 14}


def test_one_load_one_job_per_generation_nothing_written() -> None:
    method = LoraHub(**SMALL)
    with pool_of(ADAPTERS) as (pool, jobs):
        before = files()
        state = method.fit(pool, dev())
        method.predict(pool, dev().queries, state)
        assert files() == before and len(pool.context.engine.loads) == 1
    search = jobs.of("dev search")
    assert search == [("loglikelihood", 36, 6), ("loglikelihood", 36, 6), ("loglikelihood", 12, 2)]
    trials = [own["weights"] for own in state["search"]["trials"]]
    third = round(1 / 3, 6)
    assert trials[:5] == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [third] * 3]
    assert all(-1.5 <= weight <= 1.5 for own in trials for weight in own)
    assert len({tuple(own) for own in trials}) == 14
    chosen, beaten = best_on_dev(state)
    assert chosen >= beaten
    assert len(state["confirm"]["to_beat"]) == 4  # the members, and the base
    assert state["confirm"]["to_beat"][3]["weights"] == dict.fromkeys(state["weights"], 0.0)


def test_the_objective_is_the_mean_likelihood_per_token_less_the_mean_magnitude() -> None:
    asked = dev(4)
    with pool_of(ADAPTERS) as (pool, _):
        weights = {"arithmetic_lora": 0.5, "words_lora": -1.0, "facts_lora": 0.0}
        model = composed(pool, weights)
        pairs = [(q.prompt, as_answer(q, asked.references(q)[0])) for q in asked.queries]
        each = [sum(own) / len(own) for own in model.token_logprobs(pairs)]
        (found,) = LoraHub(regular_coef=0.2)._objective(pool, [weights], asked)
    assert found == pytest.approx(sum(each) / 4 - 0.2 * 1.5 / 3, abs=1e-4)


def test_a_search_makes_references_likelier() -> None:
    with pool_of(ADAPTERS) as (pool, _):
        state = LoraHub(guard=False, regular_coef=0.0, **SMALL).fit(pool, dev())
    scores = [own["score"] for own in state["search"]["trials"]]
    assert max(scores) > max(scores[:5])
    assert state["search"]["questions"] == 12 and state["confirm"] == {}


def test_scores_of_answers_may_be_searched_instead() -> None:
    method = LoraHub(objective="score", examples=4, guard=False, **SMALL)
    assert Access.LOGPROBS not in method.needs().access and method.needs().answers is None
    with pool_of(ADAPTERS) as (pool, jobs):
        state = method.fit(pool, dev())
    assert [own[0] for own in jobs.of("dev search")] == ["generate"] * 3
    assert state["search"]["questions"] == 4
    penalties = [sum(map(abs, own["weights"])) / 3 * 0.05 for own in state["search"]["trials"]]
    for trial, penalty in zip(state["search"]["trials"], penalties, strict=True):
        right = (trial["score"] + penalty) * 4
        assert right == pytest.approx(round(right), abs=1e-3)


def test_nothing_at_all_is_the_base() -> None:
    queries = dev().queries
    with pool_of([*ADAPTERS, "zoo://mini/base"]) as (pool, _):
        nothing = composed(pool.of(pool.names[:3]), dict.fromkeys(pool.names[:3], 0.0))
        prompts = [q.prompt for q in queries]
        one, two = nothing.ask(prompts), pool.named("base").ask(prompts)
    assert [g.text for g in one] == [g.text for g in two]


def test_only_adapters_of_one_base_are_taken() -> None:
    method = LoraHub()
    with pool_of(FULL) as (pool, _):
        facts = {model.name: model.spec.facts for model in pool}
        problems = method.problems(facts, pool.context.sampling)
        assert [p.where for p in problems] == [f"pool.{name}" for name in pool.names]
        assert [p.where for p in check(method.needs(), facts)] == ["pool.words", "pool.facts"]
    with pool_of(ADAPTERS) as (pool, _):
        facts = {model.name: model.spec.facts for model in pool}
        assert method.problems(facts, pool.context.sampling) == check(method.needs(), facts) == []


def test_dev_without_references_is_said() -> None:
    bare = dev(4)
    bare = replace(bare, samples=[replace(s, target=()) for s in bare.samples])
    with pool_of(ADAPTERS) as (pool, _), pytest.raises(DataError, match="objective: score"):
        LoraHub().fit(pool, bare)
