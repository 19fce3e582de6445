"""Questions that only the team solves."""

from __future__ import annotations

import pytest

from moco.analysis.emergence import emergence


def test_by_hand() -> None:
    members = {"a": [1.0, 0.0, 0.0, 0.0, None, 0.0], "b": [0.0, 1.0, 0.2, 0.0, None, 0.0]}
    found = emergence([0.0, 1.0, 1.0, 0.0, 1.0, None], members)
    assert {k: found[k] for k in ("unsolved", "emergent", "solvable", "lost")} == {
        "unsolved": 2, "emergent": 1, "solvable": 2, "lost": 1,
    }  # fmt: skip
    assert found["rate"] == 0.5 and found["ci95"] == pytest.approx([0.0945, 0.9055], abs=1e-3)


def test_nothing_unsolved_has_no_rate() -> None:
    found = emergence([1.0], {"a": [1.0]})
    assert (found["unsolved"], found["rate"], found["ci95"]) == (0, None, None)


def test_one_member_has_no_emergence_over_itself() -> None:
    own = [1.0, 0.0, 1.0]
    found = emergence(own, {"a": own})
    assert found["emergent"] == 0 and found["lost"] == 0
