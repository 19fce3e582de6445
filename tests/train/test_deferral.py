"""The deferral head and the adapter trained with it: loss by hand, fits, files, resuming."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from moco.errors import DataError
from moco.pool import Pool
from moco.train import lora_model
from moco.train.deferral import (
    HEAD_FILE,
    Deferral,
    Heard,
    fit_head,
    head_of,
    hear,
    mixture_loss,
)
from moco.types import Sampling

BASE = "zoo://mini/base"
SUMS = [(a, b) for a in range(2, 9) for b in range(2, 6)]


def opened() -> Pool:
    return Pool.open([BASE], sampling=Sampling(max_tokens=8), engine={"devices": ["cpu"]})


def lesson(pool: Pool, sure: float = -0.01, count: int = 12) -> list[dict[str, Any]]:
    """Sums with their working; the assistant is as sure of each token."""
    from moco.train.rows import rows_of

    data = [
        {
            "prompt": f"Ada has {a} coins and is given {b} more. How many coins now?",
            "completion": f"{a}+{b}={a + b}.\nAnswer: {a + b}", "held": i % 4 == 3,
        }
        for i, (a, b) in enumerate(SUMS[:count])
    ]  # fmt: skip
    rows = rows_of(pool[0].spec, data, 0)
    return [
        {
            **d,
            "assistant": [sure] * (len(r.ids) - r.start),
            "first": [True] * (len(r.ids) - r.start),
        }
        for d, r in zip(data, rows, strict=True)
    ]


def test_loss_and_gradient_by_hand() -> None:
    z = torch.tensor([0.4, -2.0], dtype=torch.float64, requires_grad=True)
    p, q, cost = [0.2, 0.9], [0.7, 0.001], 0.3
    own, assistant = (torch.tensor(x, dtype=torch.float64).log() for x in (p, q))
    losses = mixture_loss(z, own, assistant, cost)
    losses.sum().backward()
    assert z.grad is not None
    for i, output in enumerate((0.4, -2.0)):
        d = 1 / (1 + math.exp(-output))
        mixed = (1 - d) * p[i] + d * q[i]
        assert losses[i].item() == pytest.approx(-math.log(mixed) + cost * d, abs=1e-12)
        slope = d * (1 - d) * (cost - (q[i] - p[i]) / mixed)
        assert float(z.grad[i]) == pytest.approx(slope, abs=1e-12)
    certain = mixture_loss(torch.tensor([-80.0, 80.0]), own.float()[:1], assistant.float()[:1], 0.0)
    assert certain.tolist() == pytest.approx([-math.log(0.2), -math.log(0.7)], abs=1e-5)


def crowd(count: int, seed: int) -> Heard:
    """Tokens of which the first of four features says who is right; scales differ widely."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(count, 4, generator=generator) * torch.tensor([1.0, 100.0, 0.01, 0.0])
    good, bad = math.log(0.9), math.log(0.05)
    helps = states[:, 0] > 0.3
    own = torch.where(helps, bad, good)
    return Heard(states + 5, own, torch.where(helps, good, bad), helps)


def test_the_head_finds_who_is_right() -> None:
    seen, unseen = crowd(400, 0), crowd(200, 1)
    head = fit_head(seen, unseen, 0.0)
    asks = head.output(unseen.states_NW) > 0
    assert (asks == unseen.helps_N).float().mean() > 0.95
    losses = mixture_loss(head.output(unseen.states_NW), unseen.own_N, unseen.assistant_N, 0.0)
    assert losses.mean() < 0.5 * -torch.maximum(unseen.own_N.mean(), unseen.assistant_N.mean())
    shy = fit_head(seen, unseen, 5.0)
    assert (shy.output(unseen.states_NW) > 0).sum() == 0
    again = fit_head(seen, unseen, 0.0)
    assert torch.equal(again.weight_W, head.weight_W) and torch.equal(again.bias, head.bias)


def test_without_weak_labels_the_likelihood_decides() -> None:
    """Where no token is marked as the assistant's, the mixture still prefers the surer model."""
    seen = crowd(400, 0)
    blind = Heard(seen.states_NW, seen.own_N, seen.assistant_N, torch.zeros(400, dtype=torch.bool))
    outputs = fit_head(blind, crowd(200, 1), 0.0).output(seen.states_NW)
    assert outputs[seen.helps_N].mean() > 2 + outputs[~seen.helps_N].mean()


def test_what_the_model_says_is_what_inference_reads() -> None:
    """States and log-probabilities before each learnt token are those of a session."""
    from moco.backends.hf import HfBackend

    with opened() as pool:
        spec = pool[0].spec
        rows = Deferral().rows(spec, lesson(pool, count=3))
        model = lora_model.adapted(spec, "cpu", Deferral())
        heard = hear(model, rows, 2)
        backend = HfBackend(spec, "cpu")
        session = backend.session()
        for row in rows:
            read = session.extend(session.add(), [row.ids[:-1]], [len(row.ids) - row.start])
            count = len(row.ids) - row.start
            own, states = heard.own_N[:count], heard.states_NW[:count]
            heard = Heard(*(getattr(heard, name)[count:] for name in Heard.__slots__))
            learnt = torch.tensor(row.ids[row.start :])
            expected = read.logits_NV.log_softmax(-1).gather(-1, learnt[:, None])[:, 0]
            assert torch.allclose(own, expected, atol=1e-4)
            assert torch.allclose(states, read.hidden_NW, atol=1e-3)
        assert len(heard.own_N) == 0


def run(recipe: Deferral, folder: Path, scratch: Path) -> dict[str, Any]:
    with opened() as pool:
        folder.mkdir()
        recipe.train(pool[0].spec, lesson(pool), folder, "cpu", scratch, lambda rollouts: [])
    log: dict[str, Any] = json.loads((folder / lora_model.LOG_FILE).read_text())
    return log


TUNED = Deferral(epochs=4, learning_rate=4e-3, batch_size=4, rank=4, alpha=8, patience=9, cost=1.0)


def test_a_head_alone_changes_no_answer(tmp_path: Path) -> None:
    log = run(Deferral(tune="head"), tmp_path / "made", tmp_path / "scratch")
    weights = load_file(tmp_path / "made" / "adapter_model.safetensors")
    assert all(not tensor.any() for name, tensor in weights.items() if "lora_B" in name)
    head = load_file(tmp_path / "made" / HEAD_FILE)
    assert {name: tuple(t.shape) for name, t in head.items()} == {
        "weight": (128,), "bias": (1,), "percentiles": (101,),
    }  # fmt: skip
    assert bool((head["percentiles"].diff() >= 0).all())
    assert (log["rows"], log["validation_rows"]) == (9, 3)
    told = log["head"]
    assert told["loss"] < told["own_loss"] and 0 < told["helped"] < told["tokens"]


def test_a_stopped_training_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            if state.global_step == 5:
                raise KeyboardInterrupt

    log = run(TUNED, tmp_path / "whole", tmp_path / "scratch-whole")
    losses = [loss for _, loss in log["validation"]]
    assert losses[-1] < 0.9 * losses[0]
    with monkeypatch.context() as patch:
        own = lora_model.callbacks
        patch.setattr(lora_model, "callbacks", lambda patience: [*own(patience), Stop()])
        with pytest.raises(KeyboardInterrupt):
            run(TUNED, tmp_path / "stopped", tmp_path / "scratch")
    assert lora_model.last_checkpoint(tmp_path / "scratch") is not None
    resumed_log = run(TUNED, tmp_path / "resumed", tmp_path / "scratch")
    assert resumed_log["steps"] == log["steps"] == 12
    assert [x for _, x in resumed_log["validation"]] == pytest.approx(losses, abs=1e-5)
    assert resumed_log["head"] == pytest.approx(log["head"], abs=1e-4)
    for name in (HEAD_FILE, "adapter_model.safetensors"):
        whole, resumed = (load_file(tmp_path / part / name) for part in ("whole", "resumed"))
        assert whole.keys() == resumed.keys()
        assert all(torch.allclose(whole[key], resumed[key], atol=1e-4) for key in whole)
    assert not (tmp_path / "scratch").exists()


def test_rows_that_the_assistant_split_otherwise_are_refused() -> None:
    with opened() as pool:
        data = lesson(pool, count=2)
        data[1]["assistant"] = data[1]["assistant"][:-1]
        with pytest.raises(DataError, match=r"training row 1: needs 12 values.* has 11 and 12"):
            pool.train(pool[0], data, Deferral(tune="head"))


def test_settings_are_part_of_what_is_trained() -> None:
    with opened() as pool:
        first = pool.train(pool[0], lesson(pool), Deferral(tune="head"))
        calls = pool.context.engine.fresh_calls
        again = pool.train(pool[0], lesson(pool), Deferral(tune="head"))
        assert pool.context.engine.fresh_calls == calls
        assert again.spec.adapter == first.spec.adapter
        dear = pool.train(pool[0], lesson(pool), Deferral(tune="head", cost=2.0))
        assert pool.context.engine.fresh_calls == calls + 1
        assert dear.spec.adapter != first.spec.adapter
        heads = [head_of(trained)["percentiles"].mean() for trained in (first, dear)]
        assert heads[1] < heads[0]
