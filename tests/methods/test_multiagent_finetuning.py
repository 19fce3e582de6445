"""Debates, labels by vote, rows of generators and critics, tuned agents of real tiny models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted import member

from moco import Pool
from moco.errors import DataError
from moco.methods.text.multiagent_finetuning import MultiagentFinetuning, _Debate
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.types import Generation, Query, Sample, Sampling


def query(name: str = "q") -> Query:
    return plain(name, f"Which one is {name}?", "choice", choices=("red", "green", "blue"))


def dev(count: int = 6, right: str = "A") -> Dev:
    samples = [Sample(query(f"d{i}"), (right,)) for i in range(count)]
    return Dev(samples, load("scorer", "choice")())


def debate(first: str, last: str) -> _Debate:
    """Letters of three members' first and last answers; x = none."""

    def said(letters: str) -> list[Generation]:
        return [Generation(f"Answer: {x}" if x != "x" else "hm", "eos") for x in letters]

    asked: list[Any] = [["plain"] * 3, ["shown 0", "shown 1", "shown 2"]]
    return _Debate(query(), [said(first), said(last)], asked)


METHOD = MultiagentFinetuning()


@pytest.mark.parametrize(
    ("first", "last", "right"),
    [
        ("ABC", "AAB", [[True, False, False], [True, True, False]]),
        ("ABx", "AAA", [[True, False, False], [True, True, True]]),
        ("ABC", "ABC", None),
        ("ABC", "Axx", None),
        ("ABC", "xxx", None),
    ],
)
def test_labels_need_a_majority(first: str, last: str, right: Any) -> None:
    assert METHOD._right(dev(), debate(first, last)) == right


def test_gold_may_label() -> None:
    gold = MultiagentFinetuning(labels="gold")
    samples = [Sample(query(), ("C",))]
    found = gold._right(Dev(samples, load("scorer", "choice")()), debate("ABC", "CAx"))
    assert found == [[False, False, True], [True, False, False]]


def test_critics_learn_from_the_prompt_they_answered_in_the_asked_mix() -> None:
    corrected = [(debate("BAA", "AAA"), [[False, True, True], [True] * 3])] * 2
    kept = [(debate("AAA", "AAA"), [[True] * 3, [True] * 3])] * 10
    rows = METHOD._critic_rows([*corrected, *kept], 0, "seed")
    assert len(rows) == 4  # two of each, as w = 0.5
    assert {row["prompt"] for row in rows} == {"shown 0"}
    assert len(MultiagentFinetuning(w=0.2)._critic_rows([*corrected, *kept], 0, "s")) == 10
    assert len(MultiagentFinetuning(w=1)._critic_rows([*corrected, *kept], 0, "s")) == 2
    assert len(MultiagentFinetuning(w=0)._critic_rows([*corrected, *kept], 0, "s")) == 10
    assert len(METHOD._critic_rows(kept, 0, "seed")) == 10  # there is nothing to mix with


def test_no_agreement_is_said() -> None:
    members = [member(n, f"Answer: {x}") for n, x in zip("abc", "ABC", strict=True)]
    pool = Pool.open(members)
    with pool, pytest.raises(DataError, match="no label to learn from"):
        METHOD.fit(pool, dev())


def test_agents_are_tuned_on_what_the_vote_confirms(tmp_path: Path) -> None:
    members = ["zoo://mini/base", "zoo://mini/words", "zoo://mini/base"]
    method = MultiagentFinetuning(keep="tuned", learning_rate=2e-3, epochs=3)
    pool = Pool.open(
        members, sampling=Sampling(max_tokens=10), engine={"devices": ["cpu"], "dtype": "float32"}
    )
    with pool:
        kept = pool.with_(artifacts=tmp_path)
        state = method.fit(kept, dev(10))
        (told,) = state["training"]
        assert told["labelled"] > 0 and sum(told["generators"]) > 0
        assert any(ref is not None for ref in state["generators"])
        again = json.loads(json.dumps(state))
        asked = [query(f"t{i}") for i in range(4)]
        found = method.predict(kept, asked, again)
        assert [p.query_id for p in found] == [q.id for q in asked]
        calls = pool.context.engine.fresh_calls
        assert method.fit(kept, dev(10)) == state
        assert pool.context.engine.fresh_calls == calls
        better = MultiagentFinetuning(learning_rate=2e-3, epochs=3).fit(kept, dev(10))
        improved = told["after"] > told["before"]
        assert any(ref is not None for ref in better["generators"]) == improved
