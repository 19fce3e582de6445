"""The bundled pool on a GPU gives what it gives on the CPU (float32); skipped without one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from moco import registry
from moco.config import parse
from moco.pool import Dev, Pool
from moco.scorers.exact import Exact
from moco.tasks import mini
from moco.types import Generation, Request, Sample, Sampling

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")

MEMBERS = ["zoo://mini/base", "zoo://mini/facts", "zoo://mini/words_lora", "zoo://mini/outsider_a"]
NEAR = 1e-3
"""Two tokens whose log-probabilities are this close may swap between devices."""


@pytest.fixture
def samples() -> list[Sample]:
    return mini.samples("test")[::10]


@contextmanager
def opened(
    device: str, folder: Path, monkeypatch: pytest.MonkeyPatch, members: Sequence[str] = MEMBERS
) -> Iterator[Pool]:
    """A pool on this device with a cache of its own: the device is in no cache key."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / device.replace(":", "")))
    roles = {"embedder": "zoo://mini/embedder", "reward": "zoo://mini/reward"}
    sampling = Sampling(max_tokens=48)
    with Pool.open(members, roles=roles, sampling=sampling, engine={"devices": [device]}) as pool:
        yield pool


def alike(ours: Sequence[Generation], theirs: Sequence[Generation]) -> int:
    """How many generations differ; each must part at a near tie of its two likeliest tokens."""
    parted = 0
    for a, b in zip(ours, theirs, strict=True):
        if a.token_ids == b.token_ids:
            assert a.logprobs == pytest.approx(b.logprobs, abs=1e-3)
            continue
        parted += 1
        at = next(
            i for i, (x, y) in enumerate(zip(a.token_ids, b.token_ids, strict=False)) if x != y
        )
        assert abs(a.top[at][0][1] - a.top[at][1][1]) < NEAR
    return parted


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_generations(
    temperature: float, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for device in ("cpu", "cuda:0"):
        with opened(device, tmp_path, monkeypatch) as pool:
            sampling = Sampling(max_tokens=48, temperature=temperature, top_p=0.9)
            requests = [
                Request(name, s.query.prompt, sampling, top_logprobs=2, query_id=s.query.id)
                for name in pool.names
                for s in samples
            ]
            found[device] = pool.generate(requests)
    if temperature == 0:
        assert alike(found["cpu"], found["cuda:0"]) <= 1
    else:
        pairs = zip(found["cpu"], found["cuda:0"], strict=True)
        same = sum(a.token_ids == b.token_ids for a, b in pairs)
        assert same >= 0.97 * len(found["cpu"])


def test_scores_vectors_and_rewards(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for device in ("cpu", "cuda:0"):
        with opened(device, tmp_path, monkeypatch) as pool:
            pairs = [(s.query.prompt, f"Answer: {s.target[0]}") for s in samples]
            texts = [s.query.text for s in samples]
            found[device] = (
                [x.total for model in pool for x in model.loglikelihood(pairs)],
                pool.roles["embedder"].embed(texts),
                pool[0].hidden(texts, "last"),
                pool.roles["reward"].reward(pairs),
            )
    for ours, theirs in zip(found["cpu"], found["cuda:0"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("logit_fusion", ["zoo://mini/base", "zoo://mini/facts", "zoo://mini/words"]),
        ("nudging", ["zoo://mini/base", "zoo://mini/outsider_a"]),
        ("greedy_soup", ["zoo://mini/base", "zoo://mini/facts", "zoo://mini/words"]),
        ("greedy_soup", ["zoo://mini/words_lora", "zoo://mini/facts_lora"]),
        ("graph_routing", ["zoo://mini/base", "zoo://mini/facts", "zoo://mini/words"]),
    ],
)
def test_methods(
    name: str,
    members: list[str],
    samples: list[Sample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dev, method = mini.samples("dev")[::6], parse(registry.load("method", name), {})
    texts = {}
    for device in ("cpu", "cuda:0"):
        with opened(device, tmp_path, monkeypatch, members) as pool:
            state = method.fit(pool, Dev(dev, Exact()))
            found = method.predict(pool, [s.query for s in samples], state)
            texts[device] = [p.text for p in found]
    same = sum(a == b for a, b in zip(texts["cpu"], texts["cuda:0"], strict=True))
    assert same >= 0.9 * len(samples)


@pytest.mark.parametrize("name", ["linear", "ties", "dare_ties", "sce", "tsv_m"])
def test_merges(name: str) -> None:
    """A merge on the GPU is that of the CPU, dropped entries included."""
    from moco import sources
    from moco.weights.merge import Merge, Part, Recipe

    folders = [sources.resolve(f"zoo://mini/{m}") for m in ("arithmetic", "words", "facts")]
    rule = parse(registry.load("method", name), {})
    recipe = Recipe(
        rule,
        tuple(Part(f.name, f.name, f) for f in folders),
        sources.resolve("zoo://mini/base") if rule.on == "deltas" else None,
    )
    found: dict[str, dict[tuple[str, int], torch.Tensor]] = {"cpu": {}, "cuda": {}}
    for device, blocks in found.items():
        Merge(recipe, device=device).run(
            lambda tensor, start, block, own=blocks: own.update({(tensor, start): block.cpu()})  # type: ignore[misc]
        )
    assert found["cpu"].keys() == found["cuda"].keys()
    for key, block in found["cpu"].items():
        torch.testing.assert_close(found["cuda"][key], block, atol=1e-4, rtol=1e-3)
