"""The merge engine and the rules on task vectors: by hand, by property, by block."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from moco import registry
from moco.config import parse
from moco.errors import ConfigError
from moco.types import Sampling
from moco.weights import merge as engine
from moco.weights import ops
from moco.weights.settings import Filtered, TensorInfo, depths, value_at
from tests.weights.gathering import composed, gather, parts, rule

MERGES = [
    name for name in registry.names("method") if hasattr(registry.load("method", name), "merge")
]
TOY = TensorInfo("model.layers.0.x.weight", (1, 4), "matrix", 0.0, ("a", "b", "c"), ("A", "B", "C"))


def made(name: str, **parameters: Any) -> Any:
    """A merge rule by its name."""
    return parse(registry.load("method", name), parameters)


def on_rows(method: Any, *rows: Sequence[float]) -> list[float]:
    """What a rule makes of vectors that are one block of their own."""
    tensors = [torch.tensor([row], dtype=torch.float32) for row in rows]
    info = TensorInfo(
        TOY.name, (1, len(rows[0])), "matrix", 0.0, TOY.members[: len(rows)],
        TOY.keys[: len(rows)], stop=len(rows[0]),
    )  # fmt: skip
    span = [(0, len(rows[0]))]
    facts = None
    if method.surveys:
        facts = method.survey(engine.Blocks(span, lambda *_: (tensors, None)), info)
    found = method.merge(tensors, info, facts)
    return [round(float(x), 6) for x in found.reshape(-1)]


def test_ties_by_hand() -> None:
    one, two, three = [4, -1, 0.5, 3], [-2, 3, 0.25, 1], [3, 2, -5, 0.1]
    # density 0.5 keeps (4, 3), (-2, 3), (3, -5); sums are 5, 3, -5, 3: the elected signs + + - +
    assert on_rows(made("ties", density=0.5), one, two, three) == [3.5, 3, -5, 3]
    weights = {"a": 2, "b": 1, "c": 1}
    # weighted sums 9, 3, -5, 6; the weighted means of what agrees
    assert on_rows(made("ties", density=0.5, weights=weights), one, two, three) == [
        round(11 / 3, 6), 3, -5, 3,
    ]  # fmt: skip
    assert on_rows(made("ties", density=0.5, normalize=False, scale=0.5), one, two, three) == [
        3.5, 1.5, -2.5, 1.5,
    ]  # fmt: skip


def test_ties_of_magnitudes_keep_the_first() -> None:
    assert on_rows(made("ties", density=0.5), [1, -1, 1, 1]) == [1, -1, 0, 0]


def test_task_arithmetic_by_hand() -> None:
    rule = made("task_arithmetic", weights={"b": -1}, scale=0.5)
    assert on_rows(rule, [4, 2, 0, 1], [2, 2, 2, 2]) == [1, 0, -1, -0.5]


def test_linear_by_hand() -> None:
    assert on_rows(made("linear", weights={"a": 3}), [4, 0], [0, 8]) == [3, 2]
    assert on_rows(made("linear", weights={"a": 3}, normalize=False), [4, 0], [0, 8]) == [12, 8]
    with pytest.raises(ConfigError, match="add up to 0"):
        on_rows(made("linear", weights={"a": -1}), [4, 0], [0, 8])


def test_dare_drops_the_same_entries_for_the_sign_and_the_sum() -> None:
    size = 1 << 14
    rows = [torch.ones(size).tolist(), torch.ones(size).tolist()]
    found = torch.tensor(on_rows(made("dare_ties", density=0.5), *rows))
    zero = float((found == 0).double().mean())
    assert abs(zero - 0.25) < 0.02  # only where both were dropped
    assert set(found.tolist()) == {0.0, 2.0}
    linear = torch.tensor(on_rows(made("dare_linear", density=0.5), *rows))
    assert abs(float(linear.mean()) - 1) < 0.03  # unbiased
    kept = torch.tensor(on_rows(made("dare_linear", density=0.25, rescale="norm"), *rows[:1]))
    assert abs(float(kept.sum()) - size) < 0.1


def test_dare_ties_at_density_1_is_task_arithmetic_where_signs_agree() -> None:
    one, two = [1.0, 2, 3, 4], [3.0, 2, 1, 0.5]
    parameters = {"density": 1.0, "normalize": False, "scale": 0.5}
    assert on_rows(made("dare_ties", **parameters), one, two) == on_rows(
        made("task_arithmetic", scale=0.5), one, two
    )


def test_noise_does_not_depend_on_blocks() -> None:
    whole = TensorInfo("t", (50, 7), "matrix", 0, ("a",), ("A",), seed=3, stop=350)
    cuts = [0, 1, 7, 98, 99, 101, 350]
    parts = [
        TensorInfo("t", (50, 7), "matrix", 0, ("a",), ("A",), 3, i, j).noise(0).tolist()
        for i, j in itertools.pairwise(cuts)
    ]
    assert [x for part in parts for x in part] == whole.noise(0).tolist()
    assert (
        whole.noise(0).tolist()
        != TensorInfo("u", (50, 7), "matrix", 0, ("a",), ("A",), seed=3, stop=350).noise(0).tolist()
    )


@given(
    rows=st.lists(
        st.lists(st.floats(-4, 4, width=16), min_size=12, max_size=12), min_size=2, max_size=2
    ),
    count=st.integers(1, 12),
)
@settings(deadline=None)
def test_largest_is_a_stable_sort(rows: list[list[float]], count: int) -> None:
    tensors = [torch.tensor(row) for row in rows]
    blocks = [[t[:5] for t in tensors], [t[5:] for t in tensors]]
    for i, cut in enumerate(ops.largest(blocks, [count, count])):
        kept = torch.cat([cut.keep(tensors[i][:5]), cut.keep(tensors[i][5:])])
        order = torch.argsort(tensors[i].abs(), descending=True, stable=True)[:count]
        assert set(kept.nonzero().reshape(-1).tolist()) == set(order.tolist())


def test_settings_over_layers_and_names() -> None:
    names = ["model.embed_tokens.weight", "model.norm.weight"] + [
        f"model.layers.{i}.mlp.weight" for i in range(5)
    ]
    assert [depths(names)[n] for n in names] == [0, 1, 0, 0.25, 0.5, 0.75, 1]
    assert value_at([0.0, 1.0, 0.0], names[3], 0.25, 9) == 0.5
    chosen = [Filtered(filter="self_attn", value=[0.0, 1.0]), Filtered(value=0.5)]
    assert value_at(chosen, "model.layers.1.self_attn.q", 0.25, 9) == 0.25
    assert value_at(chosen, "model.norm.weight", 1.0, 9) == 0.5
    assert value_at(chosen[:1], "model.norm.weight", 1.0, 9) == 9


def difference(one: dict[str, Tensor], two: dict[str, Tensor]) -> float:
    """The largest difference between two results."""
    assert one.keys() == two.keys()
    return max(float((one[name].float() - two[name].float()).abs().max()) for name in one)


@pytest.mark.parametrize("name", MERGES)
def test_blocks_and_order_of_members_do_not_matter(
    model_dir: Callable[..., Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = made(name)
    most = method.needs().max_models or 3
    folders = [model_dir("llama", seed) for seed in range(1, most + 1)]
    base = model_dir("llama", 0)
    recipe = rule(method, folders, base)
    whole = gather(recipe)
    assert all(bool(torch.isfinite(t).all()) for t in whole.values())
    again = gather(recipe)
    assert difference(whole, again) == 0
    if method.symmetric:
        turned = engine.Recipe(method, tuple(reversed(parts(folders))), base)
        assert difference(whole, gather(turned)) < 2e-5
    monkeypatch.setattr(engine, "BLOCK", 96)
    assert difference(whole, gather(recipe)) < 2e-5


KEEPING = [name for name in MERGES if registry.load("method", name).idempotent]
"""Merges that give equal members back; iso_c levels the spectrum even of a single change."""


@pytest.mark.parametrize("name", KEEPING)
def test_merging_equal_models_is_the_identity(model_dir: Callable[..., Path], name: str) -> None:
    method = made(name, **registry.load("method", name).plain)
    most = method.needs().max_models or 3
    copies = [model_dir("llama", 1)] * most
    found = gather(rule(method, copies, model_dir("llama", 0)))
    assert difference(found, load_file(copies[0] / "model.safetensors")) < 2e-5


@pytest.mark.parametrize("name", MERGES)
def test_adapters_merge_as_their_dense_models_do(
    model_dir: Callable[..., Path],
    adapter_dirs: list[Path],
    name: str,
    tmp_path: Path,
) -> None:
    from moco.weights.writer import write

    base, method = model_dir("llama"), made(name)
    chosen = adapter_dirs[: method.needs().max_models or 3]
    dense = [
        write(tmp_path / f.name, engine.Merge(composed(base, [f], [1.0])).run, base) for f in chosen
    ]
    keyed = tuple(engine.Part(p.name, p.name, p.folder, p.adapter) for p in parts([base], chosen))
    plain = tuple(engine.Part(p.name, p.name, p.folder) for p in parts(dense))
    over = base if method.on == "deltas" else None
    low = gather(engine.Recipe(method, keyed, over))
    full = gather(engine.Recipe(method, plain, over))
    assert difference(low, full) < 2e-3


def test_little_memory_is_kept_to_or_refused(model_dir: Callable[..., Path]) -> None:
    recipe = rule(made("linear"), [model_dir("llama", 0), model_dir("llama", 1)])
    assert difference(gather(recipe), gather(recipe, max_memory=1 << 20)) < 1e-6
    with pytest.raises(ConfigError, match="too few to merge in"):
        gather(recipe, max_memory=1000)


@pytest.mark.parametrize(
    "method", [made("della"), made("model_stock", filter_wise=True)], ids=["della", "model_stock"]
)
def test_rows_are_never_cut(tmp_path: Path, method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.os, "sched_getaffinity", lambda _: {0, 1})
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        save_file({"layers.0.x.weight": torch.randn(6, 2000)}, folder / "model.safetensors")
    recipe = rule(method, folders[1:], folders[0])
    row = 4 * (2 * (2 if recipe.rule.surveys else 1) + engine.TEMPORARIES) * 2000
    assert difference(gather(recipe), gather(recipe, max_memory=row * 3 // 2)) == 0
    with pytest.raises(ConfigError, match=f"too few to merge in: the widest rows take {row:,}"):
        gather(recipe, max_memory=row - 1)


def test_sums_of_adapters_are_composed_not_merged(
    model_dir: Callable[..., Path], adapter_dirs: list[Path]
) -> None:
    from moco import Pool

    base = str(model_dir("llama"))
    members = [{"model": base, "adapter": str(f), "name": f.name} for f in adapter_dirs]
    with Pool.open(members, sampling=Sampling(max_tokens=12)) as pool:
        summed = pool.merge(made("task_arithmetic", weights={"b": 2}, scale=0.5))
        assert summed.spec.derive == "compose"
        assert summed.spec.weights == (0.5, 1.0, 0.5)
        assert pool.merge(made("linear", weights={"a": 2})).spec.weights == (0.5, 0.25, 0.25)
        for rule in (made("ties"), made("linear", weights={"a": [0.0, 1.0]})):
            assert pool.merge(rule).spec.derive == "merge"
        prompts = ["What is the end?", "1 2 3"]
        dense = summed.ask(prompts)
        once = pool.merge(made("task_arithmetic", weights={"b": [2.0, 2.0]}, scale=0.5))
        assert once.spec.derive == "merge"
        assert [g.text for g in once.ask(prompts)] == [g.text for g in dense]
