"""What a report averages: items, groups of items, and slices."""

from __future__ import annotations

import pytest

from moco import registry
from moco.analysis import stats, units
from moco.analysis.oracle import oracle
from moco.analysis.units import EVERY_ITEM, Counting
from moco.types import Query, Sample, Score


def sample(number: int, **meta: str) -> Sample:
    return Sample(Query(f"q{number}", "?"), ("A",), meta)


def scores(*values: float | None) -> list[Score]:
    return [Score(0.0, None, "invalid") if v is None else Score(v) for v in values]


PAIRS = [sample(i, group=f"g{i // 2}", domain="art" if i < 4 else "law") for i in range(6)]


def test_every_item_is_a_result_and_draws_are_averaged() -> None:
    draws = [scores(1, 0, None), scores(0, 0, None)]
    assert EVERY_ITEM.values(PAIRS[:3], draws) == [0.5, 0.0, None]


def test_a_draw_that_could_not_be_graded_does_not_count() -> None:
    assert EVERY_ITEM.values(PAIRS[:1], [scores(1), scores(None)]) == [1.0]


def test_a_group_counts_only_when_all_its_items_are_right() -> None:
    counting = Counting("group", 2, "all")
    assert counting.values(PAIRS, [scores(1, 1, 1, 0, 0, 0)]) == [1.0, 0.0, 0.0]


def test_groups_can_be_averaged() -> None:
    assert Counting("group", 2, "mean").values(PAIRS, [scores(1, 1, 1, 0, 0, 0)]) == [1, 0.5, 0]


def test_the_mean_over_items_ranks_like_the_mean_over_groups() -> None:
    counting, own = Counting("group", 2, "all"), scores(1, 1, 1, 0, 1, 0)
    spread = [s.value for s in counting.spread(PAIRS, own)]
    assert spread == [1, 1, 0, 0, 0, 0]
    assert stats.mean(spread) == stats.mean(counting.values(PAIRS, [own]))


def test_results_of_a_group_belong_to_one_cluster() -> None:
    assert Counting("group").clusters([*PAIRS, sample(6)]) == [0, 0, 1, 1, 2, 2, 3]
    assert Counting("group").clusters(PAIRS[::-1]) == [0, 0, 1, 1, 2, 2]
    assert Counting("group", 2, "all").clusters(PAIRS) is None  # a group is one result
    assert EVERY_ITEM.clusters(PAIRS) is None


def test_blend_asks_a_question_many_times() -> None:
    task = registry.load("task", "blend")
    counting = Counting(task.group, task.group_size, task.reducer, task.slices)
    asked = [sample(i, id=f"New-ch-{i // 3}") for i in range(6)]
    assert counting.clusters(asked) == [0, 0, 0, 1, 1, 1]


def test_slices_and_their_macro_mean() -> None:
    counting = Counting("group", 2, "all", slices=("domain", "missing"))
    values = counting.values(PAIRS, [scores(1, 1, 0, 0, 1, 1)])
    tables = counting.by_slice(PAIRS, values)
    assert tables == {"domain": {"art": {"n": 2, "score": 0.5}, "law": {"n": 1, "score": 1.0}}}
    assert units.macro(tables) == {"domain": 0.75}


def test_one_slice_alone_is_no_table() -> None:
    counting = Counting(slices=("domain",))
    assert counting.by_slice(PAIRS[:2], [1.0, 0.0]) == {}


def test_what_only_one_of_two_could_grade_is_in_no_pair() -> None:
    found = stats.paired_difference([1.0, None, 1.0], [0.0, 1.0, None])
    assert found is not None and found[0] == 1.0
    assert stats.paired_difference([None], [1.0]) is None


def test_the_oracle_takes_whoever_could_be_graded() -> None:
    assert oracle({"a": [None, 0.0, None], "b": [1.0, None, None]}) == [1.0, 0.0, None]


def test_an_interval_leaves_out_what_could_not_be_graded() -> None:
    assert stats.interval([1.0, None, 0.0]) == pytest.approx(stats.interval([1.0, 0.0]))
