"""Cluster routing, random and cheapest routers, through a pool of scripted members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scripted import member

from moco import Pool
from moco.methods.api.cluster_routing import ClusterRouting
from moco.methods.baseline.cheapest import Cheapest
from moco.methods.baseline.random_router import RandomRouter
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.types import Query, Sample

TOPICS = {
    "sum": "What is {} plus seven and twelve",
    "city": "Which country has the capital city number {}",
}
ENGINE = {"devices": ["cpu"], "dtype": "float32"}


def samples(split: str, count: int) -> list[Sample]:
    found = []
    for i in range(count):
        text = list(TOPICS.values())[i % 2].format(i + 1000 * (split == "test")) + "?"
        found.append(Sample(plain(f"{split}{i}", text, "choice", choices=("red", "green")), ("A",)))
    return found


def knows(name: str, topic: str, reply: Any = "Answer: A", **changes: Any) -> dict[str, Any]:
    start = TOPICS[topic].partition(" {}")[0]
    rules = [{"match": start, "reply": reply}]
    return {**member(name, "Answer: B", rules=rules), **changes}


MEMBERS = [knows("sums", "sum"), knows("cities", "city")]


def opened(members: Sequence[Any] = MEMBERS, seed: int = 0) -> Pool:
    roles = {"embedder": "zoo://mini/embedder"}
    return Pool.open(list(members), roles=roles, engine=ENGINE, seed=seed)


def dev_of(count: int = 30) -> Dev:
    return Dev(samples("dev", count), load("scorer", "choice")())


def queries(count: int = 8) -> list[Query]:
    return [s.query for s in samples("test", count)]


@pytest.mark.parametrize("settings", [{}, {"num_clusters": 4, "nearest": 2}])
def test_each_cluster_has_its_member(settings: dict[str, Any], tmp_path: Path) -> None:
    with opened() as pool:
        kept = pool.with_(artifacts=tmp_path)
        method = ClusterRouting(**settings)
        state = method.fit(kept, dev_of())
        found = method.predict(kept, queries(), state)
        assert [p.by for p in found] == [("sums",), ("cities",)] * 4
        assert all(p.text == "Answer: A" for p in found)
        assert state["learnt"]["clusters"] == settings.get("num_clusters", 2)


def test_several_answers_of_the_chosen_member_are_voted(tmp_path: Path) -> None:
    often = ["Answer: A", "Answer: A", "Answer: B"]
    members = [knows("sums", "sum", often), knows("cities", "city", often)]
    with opened(members, seed=1) as pool:
        kept = pool.with_(artifacts=tmp_path)
        method = ClusterRouting(k=15, runs=3)
        state = method.fit(kept, dev_of())
        found = method.predict(kept, queries(), state)
    assert [p.by for p in found] == [("sums",), ("cities",)] * 4
    assert all(p.notes["samples"] == 15 for p in found)
    assert all("A" in p.text for p in found)


def test_the_paper_asks_for_64_clusters_and_ten_samples() -> None:
    paper = ClusterRouting(preset="paper")
    assert (paper.num_clusters, paper.k, paper.nearest, paper.guard) == (64, 10, 1, False)


def test_the_random_router_is_fair_seeded_and_independent_of_other_questions() -> None:
    asked = queries(200)
    with opened() as pool:
        method = RandomRouter()
        state = method.fit(pool, dev_of(2))
        found = [route.member for route in method.choose(pool, asked, state)]
        counts = Counter(found)
        assert 70 <= counts["sums"] <= 130
        turned = [r.member for r in method.choose(pool, asked[::-1], state)][::-1]
        assert turned == found
        assert [method.choose(pool, [q], state)[0].member for q in asked[:9]] == found[:9]
    with opened(seed=5) as other:
        again = [route.member for route in method.choose(other, asked, state)]
        assert again != found


def test_the_cheapest_is_found_by_price() -> None:
    prices = ({"prompt": 2.0, "generated": 9.0}, {"prompt": 2.0, "generated": 8.0})
    members = [{**m, "price": price} for m, price in zip(MEMBERS, prices, strict=True)]
    with opened(members) as pool:
        method = Cheapest()
        found = method.predict(pool, queries(4), method.fit(pool, dev_of(4)))
    assert {p.by for p in found} == {("cities",)}
