"""Calibrated confidence: the regression on made-up log-probabilities."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest

from moco.routing import calibrate
from moco.routing.calibrate import Calibration
from moco.types import Generation, Query

QUERY = Query("q", "Which one?", kind="choice", choices=("red", "green"))


def answers(count: int, seed: int) -> tuple[list[Query], list[Generation], np.ndarray]:
    """Answers whose mean log-probability says how probably they are right."""
    random = np.random.default_rng(seed)
    means = -random.exponential(0.5, size=count)
    given = [
        Generation("Answer: A", "eos", logprobs=tuple(m + 0.2 * random.normal(size=8)))
        for m in means
    ]
    chance = 1 / (1 + np.exp(-(2 + 4 * means)))
    return [QUERY] * count, given, (random.random(count) < chance).astype(float)


def test_features_by_hand() -> None:
    own = (-1.0, -2.0, -3.0, -4.0, -5.0)
    given = [
        Generation("Answer: A", "eos", logprobs=own),
        Generation("no idea", "eos", logprobs=(-0.5, -math.inf)),
        Generation("", "error"),
    ]
    found = calibrate.features([QUERY] * 3, given)
    assert found[0] == pytest.approx([-3, -5, -4.6, -4, -3, math.log(5), 1])
    assert found[1, :2] == pytest.approx([-25.25, -50]) and found[1, 6] == 0
    assert np.isnan(found[2]).all()


def test_known_coefficients_are_recovered() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(40_000, 3)) * [1, 5, 0.2] + [3, -1, 0]
    logit = 0.5 + 1.5 * (rows[:, 0] - 3) - 0.4 * rows[:, 1] + 2 * rows[:, 2]
    right = (random.random(len(rows)) < 1 / (1 + np.exp(-logit))).astype(float)
    found, held = calibrate.fit(rows, right, 0)
    slopes = np.asarray(found.weights) / np.asarray(found.scales)
    assert slopes == pytest.approx([1.5, -0.4, 2], abs=0.1)
    bias = found.bias - float((slopes * np.asarray(found.means)).sum())
    assert bias == pytest.approx(0.5 - 1.5 * 3, abs=0.25)
    assert found.probabilities(rows) == pytest.approx(held, abs=0.02)


def test_soft_labels_and_a_constant_feature() -> None:
    """Labels that are probabilities give back the curve that they lie on."""
    x = np.linspace(-2, 2, 400)
    rows = np.column_stack([x, np.full(400, 7.0), 3 + 1e-6 * x])
    soft = 1 / (1 + np.exp(-(1 + 2 * x)))
    found, _ = calibrate.fit(rows, soft, 0)
    assert found.weights[1:] == (0.0, 0.0)
    assert found.probabilities(rows) == pytest.approx(soft, abs=0.01)


def test_held_out_confidences_are_honest() -> None:
    """Where nothing can be learnt, held-out confidences say the base rate."""
    random = np.random.default_rng(1)
    queries, given, _ = answers(200, 1)
    found = calibrate.calibrate(queries, given, (random.random(200) < 0.3).astype(float), 0)
    assert found.held_out_Q.std() < 0.06
    assert found.held_out_Q.mean() == pytest.approx(0.3, abs=0.08)


def test_confidence_is_calibrated_on_new_answers() -> None:
    queries, given, right = answers(400, 2)
    found = calibrate.calibrate(queries, given, right, 0)
    assert found.calibration is not None and not found.note
    others, news, truth = answers(4000, 3)
    sure = calibrate.confidences(others, news, json.loads(json.dumps(found.to_json())))
    assert np.array_equal(sure, np.round(sure, 4))
    for low in (0.0, 0.25, 0.5, 0.75):
        inside = (sure >= low) & (sure < low + 0.25)
        assert truth[inside].mean() == pytest.approx(sure[inside].mean(), abs=0.07)
    again = Calibration.from_json(found.to_json())
    assert again == found.calibration


def test_an_answer_is_as_sure_alone_as_among_others() -> None:
    queries, given, right = answers(60, 4)
    learnt = calibrate.calibrate(queries, given, right, 0).to_json()
    whole = calibrate.confidences(queries, given, learnt)
    for i in range(0, 60, 7):
        assert calibrate.confidences([QUERY], [given[i]], learnt)[0] == whole[i]
    assert calibrate.confidences([], [], learnt).shape == (0,)


@pytest.mark.parametrize(
    ("count", "value", "word"),
    [(12, None, "20 are needed"), (40, 1.0, "wrong"), (40, 0.0, "right")],
)
def test_too_little_to_learn_from(count: int, value: float | None, word: str) -> None:
    queries, given, right = answers(count, 5)
    labels = right if value is None else np.full(count, value)
    found = calibrate.calibrate(queries, given, labels, 0)
    assert found.calibration is None and word in found.note
    assert found.to_json() == {"note": found.note}
    plain = [round(math.exp(sum(g.logprobs) / 8), 4) for g in given]
    assert found.held_out_Q.tolist() == pytest.approx([min(p, 1.0) for p in plain], abs=1e-4)
    assert calibrate.confidences(queries, given, found.to_json()).tolist() == list(found.held_out_Q)


def test_answers_without_tokens_are_not_trusted() -> None:
    queries, given, right = answers(40, 6)
    given[3] = Generation("", "error")
    found = calibrate.calibrate(queries, given, right, 0)
    assert found.calibration is not None and found.held_out_Q[3] == 0
    assert calibrate.confidences(queries, given, found.to_json())[3] == 0
    assert calibrate.confidences(queries, given, None)[3] == 0


def test_perfectly_separable_answers_stay_finite() -> None:
    rows = np.concatenate([np.full((30, 1), -1.0), np.full((30, 1), 1.0)])
    found, held = calibrate.fit(rows, (rows[:, 0] > 0).astype(float), 0)
    assert np.isfinite([found.bias, *found.weights]).all()
    assert held[:30].max() < 0.1 and held[30:].min() > 0.9


def test_ten_thousand_answers_take_seconds() -> None:
    queries, given, right = answers(10_000, 7)
    rows = calibrate.features(queries, given)
    start = time.perf_counter()
    calibrate.fit(rows, right, 0)
    assert time.perf_counter() - start < 5
