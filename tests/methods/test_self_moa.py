"""Samples of one member, aggregated: scripted members."""

from __future__ import annotations

from typing import Any

import pytest
from scripted import member

from moco import Pool
from moco.methods.text.self_moa import SelfMoa
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.types import Query, Sample

SAMPLES = [f"Sample {i}. Answer: B" for i in range(40)]
READ = [
    {"match": "Merged.*answer_2", "reply": "Merged again. Answer: A"},
    {"match": "<answer_1>", "reply": "Merged. Answer: A"},
]


def opened(**roles: Any) -> Pool:
    good = member("good", SAMPLES, rules=READ)  # type: ignore[arg-type]
    return Pool.open([member("bad", "Answer: C"), good], roles=roles)


def query(i: int = 0) -> Query:
    return plain(f"q{i}", f"Which one is {i}?", "choice", choices=("red", "green", "blue"))


def dev() -> Dev:
    return Dev([Sample(query(i), ("B",)) for i in range(100, 104)], load("scorer", "choice")())


def test_the_best_member_is_sampled_and_aggregates_itself() -> None:
    with opened() as pool:
        method = SelfMoa()
        state = method.fit(pool, dev())
        found = method.predict(pool, [query(0), query(1)], state)
    assert state == {"member": "good"}
    assert [p.text for p in found] == ["Merged. Answer: A"] * 2
    assert all(p.by == ("good",) and p.notes == {"samples": 6} for p in found)


def test_another_model_may_aggregate() -> None:
    judge = member("judge", "Answer: C")
    with opened(aggregator=judge) as pool:
        method = SelfMoa(member="good")
        (found,) = method.predict(pool, [query()], method.fit(pool, dev()))
    assert found.by == ("good", "judge")
    assert found.text == "Answer: C"


@pytest.mark.parametrize(
    ("k", "window", "texts"),
    [
        (6, None, ["Merged. Answer: A"]),
        (6, 6, ["Merged. Answer: A"]),
        (6, 3, ["Merged. Answer: A", *["Merged again. Answer: A"] * 2]),
        (7, 3, ["Merged. Answer: A", *["Merged again. Answer: A"] * 2]),
    ],
)
def test_a_window_reads_every_sample_once_with_the_answer_so_far(
    k: int, window: int | None, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[list[str]] = []
    steps: list[str] = []
    from moco import prompts

    inner = prompts.aggregate

    def spied(asked: Query, candidates: list[str], **more: Any) -> Any:
        shown.append(list(candidates))
        return inner(asked, candidates, **more)

    monkeypatch.setattr(prompts, "aggregate", spied)
    with opened() as pool:
        method = SelfMoa(member="good", k=k, window=window)
        (found,) = method.predict(pool, [query()], {"member": "good"})
    for read in shown:
        assert len(read) <= (window or k)
        steps += [text for text in read if text.startswith("Sample")]
    assert len(steps) == k
    assert len(shown) == len(texts)
    assert all(read[0] == "Merged. Answer: A" or read[0].startswith("Merged") for read in shown[1:])
    assert found.text == texts[-1]


def test_samples_are_those_of_self_consistency() -> None:
    class Keys:
        def __init__(self) -> None:
            self.fresh: list[str] = []

        def on_call(self, kind: Any, call: Any, data: Any, *, cached: bool) -> None:
            if not cached:
                self.fresh.append(call.stage)

        def on_job(self, kind: Any, calls: Any) -> None:
            """Not looked at."""

    meter = Keys()
    with opened() as pool:
        same = load("method", "self_consistency")(member="good", k=6)
        same.predict(pool, [query()], {"member": "good"})
        SelfMoa(member="good").predict(pool.with_(meter=meter), [query()], {"member": "good"})
    assert meter.fresh == ["aggregate"]
