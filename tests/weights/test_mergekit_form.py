"""mergekit's YAML: every merge, its parameters and defaults, its models; what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from moco import inputs, registry
from moco.errors import ConfigError, UnknownNameError
from moco.merging import config as merge_config
from moco.merging import mergekit, mergekit_keys
from moco.merging import plan as merge_plan
from moco.weights.settings import TensorInfo, depths

NAMES = [n for n, rule in mergekit_keys.RULES.items() if rule.method in registry.names("method")]
VECTORS = (
    "task_arithmetic", "ties", "dare_ties", "dare_linear", "della", "della_linear", "breadcrumbs",
    "breadcrumbs_ties",
)  # fmt: skip


def merge(name: str, **changes: Any) -> dict[str, Any]:
    """A config of two models over a base."""
    base = "smollm2-135m" if name not in ("linear", "karcher") else None
    weighted = name in ("linear", *VECTORS)
    data: dict[str, Any] = {
        "merge_method": name,
        "models": [
            {"model": f"own/{m}", **({"parameters": {"weight": 0.5}} if weighted else {})}
            for m in ("one", "two")
        ],
        **({"base_model": base} if base else {}),
    }
    if name == "slerp":
        data |= {"parameters": {"t": 0.3}, "base_model": "own/two"}
    return data | changes


def method(data: dict[str, Any]) -> Any:
    """The merge of ours that a config becomes."""
    return merge_plan.build_method(merge_config.from_data(data))


def refused(data: dict[str, Any]) -> str:
    """The message about a config."""
    with pytest.raises((ConfigError, UnknownNameError)) as caught:
        merge_config.from_data(data)
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_every_merge_is_one_of_ours(name: str) -> None:
    found = merge_config.from_data(merge(name))
    made = merge_plan.build_method(found)
    assert type(made).name() == mergekit_keys.RULES[name].method
    members = [m if isinstance(m, str) else m.model for m in found.pool]
    if name == "slerp":  # it starts at the base
        assert members == ["hf://own/two", "hf://own/one"] and made.t == 0.3
    else:
        assert members == ["hf://own/one", "hf://own/two"]
    if mergekit_keys.RULES[name].base == "differences":
        base = found.roles["base"]
        assert not isinstance(base, str) and base.model == "smollm2-135m" and found.files == "base"
    else:
        assert not found.roles
    assert not found.notes


DEFAULTS: Sequence[tuple[str, dict[str, Any]]] = [
    ("linear", {"normalize": True}),
    ("task_arithmetic", {"normalize": False, "scale": 1.0}),
    ("ties", {"normalize": True, "scale": 1.0, "density": 1.0}),
    ("dare_ties", {"normalize": False, "scale": 1.0, "density": 1.0, "rescale": "norm"}),
    ("dare_linear", {"normalize": False, "scale": 1.0, "density": 1.0, "rescale": "norm"}),
    ("della", {"normalize": True, "density": 1.0, "epsilon": 0.15, "rescale": "norm",
               "consensus": True, "scale": 1.0}),
    ("della_linear", {"normalize": False, "epsilon": 0.15, "consensus": False, "scale": 1.0}),
    ("breadcrumbs", {"normalize": False, "density": 1.0, "gamma": 0.01, "consensus": False,
                     "scale": 1.0}),
    ("breadcrumbs_ties", {"normalize": False, "gamma": 0.01, "consensus": True}),
    ("sce", {"select_topk": 1.0}),
    ("karcher", {"max_iter": 10, "tol": 1e-5}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields"), [d for d in DEFAULTS if d[0] in NAMES])
def test_what_is_not_set_has_mergekits_default(name: str, fields: dict[str, Any]) -> None:
    made = method(merge(name))
    assert {key: getattr(made, key) for key in fields} == fields


def test_parameters_of_models_and_of_all() -> None:
    data = merge("dare_ties", parameters={"density": 0.3, "lambda": 0.7, "rescale": False})
    data["models"][1]["parameters"] |= {"density": 0.9, "weight": -0.25}
    made = method(data)
    assert made.weights == {"one": 0.5, "two": -0.25}
    assert made.density == {"one": 0.3, "two": 0.9}
    assert made.scale == 0.7 and made.rescale == "none"


def test_a_weight_for_all_models() -> None:
    data = merge("linear", parameters={"weight": 2, "normalize": False})
    for entry in data["models"]:
        del entry["parameters"]
    assert method(data).weights == {"one": 2, "two": 2} and not method(data).normalize


TENSORS = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"] + [
    f"model.layers.{i}.{part}.weight" for i in range(5) for part in ("self_attn.q_proj", "mlp.up")
]


def values(setting: Any) -> dict[str, float]:
    """What a setting is for every tensor."""
    deep = depths(TENSORS)
    infos = [TensorInfo(n, (4, 4), "matrix", deep[n], ("a",), ("",)) for n in TENSORS]
    return {info.name: round(info.at(setting), 6) for info in infos}


def test_numbers_over_the_layers() -> None:
    data = merge("ties", parameters={"lambda": [1, 0.5, 0]})
    found = values(method(data).scale)
    inner = [found[f"model.layers.{i}.mlp.up.weight"] for i in range(5)]
    assert inner == [1, 0.75, 0.5, 0.25, 0]
    # mergekit gives what follows the last layer the first number too
    assert [found[name] for name in TENSORS[:3]] == [1, 1, 1]


@pytest.mark.parametrize("layers", ["transformer.h", "h", "layers"])
def test_layers_may_stand_first_in_a_name(layers: str) -> None:
    names = [f"{layers}.{i}.attn.weight" for i in range(3)] + ["wte.weight", "ln_h.weight"]
    scale, deep = method(merge("ties", parameters={"lambda": [1, 0.5, 0]})).scale, depths(names)
    infos = [TensorInfo(n, (4, 4), "matrix", deep[n], ("a",), ("",)) for n in names]
    assert [info.at(scale) for info in infos] == [1, 0.5, 0, 1, 1]


def test_filters_fall_through_to_the_next_scope() -> None:
    data = merge("slerp", parameters={"t": [
        {"filter": "self_attn", "value": [0, 1]}, {"filter": "mlp", "value": 0.2}, {"value": 0.5},
    ]})  # fmt: skip
    found = values(method(data).t)
    assert found["model.layers.1.self_attn.q_proj.weight"] == 0.25
    assert found["model.layers.3.mlp.up.weight"] == 0.2 and found["model.norm.weight"] == 0.5
    data = merge("ties", parameters={"density": [{"filter": "mlp", "value": 0.1}]})
    data["models"][0]["parameters"]["density"] = {"filter": "q_proj", "value": 0.7}
    density = method(data).density
    assert values(density["one"]) == {
        n: 0.7 if "q_proj" in n else 0.1 if "mlp" in n else 1.0 for n in TENSORS
    }
    assert values(density["two"]) == {n: 0.1 if "mlp" in n else 1.0 for n in TENSORS}


def test_a_slice_over_all_layers() -> None:
    sources = [{"model": f"own/{m}", "layer_range": [0, 30]} for m in ("one", "two")]
    data = {
        "merge_method": "slerp", "base_model": "own/one",
        "slices": [{"sources": sources, "parameters": {"t": 0.25}}], "parameters": {"t": 0.9},
    }  # fmt: skip
    found = merge_config.from_data(data)
    assert merge_plan.build_method(found).t == 0.25 and found.layers == 30  # type: ignore[attr-defined]
    for ranges in ([[0, 15], [15, 30]], [[2, 30], [2, 30]], [[0, 30], [0, 20]], [None, [0, 30]]):
        for source, own in zip(sources, ranges, strict=True):
            source["layer_range"] = own
        assert "layer_range" in refused(data)
    assert "only one slice" in refused(data | {"slices": [{"sources": sources}] * 2})
    assert "merged apart" in refused({"merge_method": "linear", "modules": {}})


def test_the_base_may_stand_among_the_models() -> None:
    data = merge("ties")
    data["models"].append({"model": "smollm2-135m"})
    assert len(merge_config.from_data(data).pool) == 2
    linear = merge("linear", base_model="own/three", parameters={"weight": 1})
    assert [m.name for m in merge_config.from_data(linear).pool] == ["one", "two", "three"]  # type: ignore[union-attr]
    del linear["parameters"]
    assert "weight of three: is missing" in refused(linear)


def test_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "here").mkdir()
    refs = ["own/here", "own/there@abc", "zoo://mini/base+own/lora", "smollm2-135m"]
    data = {"merge_method": "linear", "parameters": {"weight": 1},
            "models": [{"model": ref} for ref in refs]}  # fmt: skip
    pool = merge_config.from_data(data).pool
    found = [(m.model, m.adapter, m.name) for m in pool if not isinstance(m, str)]
    assert found == [
        ("own/here", "", "here"),
        ("hf://own/there@abc", "", "there"),
        ("zoo://mini/base", "hf://own/lora", "lora"),
        ("smollm2-135m", "", "smollm2-135m"),
    ]


def test_types_tokenizers_and_templates() -> None:
    data = merge("ties", dtype="bfloat16", out_dtype="torch.float16")
    found = merge_config.from_data(data)
    assert found.engine.dtype == "float16" and "arithmetic is in float32" in found.notes[0]
    assert merge_config.from_data(merge("ties", dtype="float32")).engine.dtype == "float32"
    sources = {"union": "union", "base": "base", "own/one": "first", "own/two": "two",
               "smollm2-135m": "base", "own/four": "hf://own/four"}  # fmt: skip
    for given, ours in sources.items():
        for keys in ({"tokenizer_source": given}, {"tokenizer": {"source": given}}):
            assert merge_config.from_data(merge("ties", **keys)).tokenizer == ours
    assert merge_config.from_data(merge("slerp", tokenizer_source="base")).tokenizer == "first"
    assert merge_config.from_data(merge("linear", tokenizer_source="base")).tokenizer == "first"
    assert merge_config.from_data(merge("ties", chat_template="auto")).chat_template == "auto"


def test_what_has_no_effect_is_a_note() -> None:
    data = merge("task_arithmetic", parameters={"int8_mask": True, "density": 0.5})
    notes = merge_config.from_data(data).notes
    assert "int8_mask: has no effect here" in notes[0]
    assert "parameters.density: is not read there, as in mergekit" in notes[1]
    data = merge("karcher")
    data["models"][0]["parameters"] = {"weight": 3}
    assert "models.0.parameters.weight" in merge_config.from_data(data).notes[0]


REFUSED: list[tuple[dict[str, Any], str]] = [
    (merge("linera"), "'linera' is unknown. Did you mean 'linear'?"),
    (merge("nuslerp"), "nuslerp is not had here; these are: linear"),
    (merge("linear") | {"merge_method": None}, "merge_method: is missing"),
    (merge("linear") | {"merge_method": ["x"]}, "merge_method: must be a name"),
    ({"merge_method": "linear"}, "give `models`"),
    (merge("linear", slices=[]), "not both"),
    (merge("linear", models=[]), "models: must be a list"),
    (merge("linear", models=[{"model": 3}]), "models.0.model: must be a model reference"),
    (merge("linear", models=[{"model": "a/b", "weight": 1}]), "models.0.weight: unknown key"),
    (merge("linear", models=[{"model": "a/b"}] * 2), "'a/b' is listed twice"),
    (merge("linear", models=[{"model": "a/b"}, {"model": "a/c"}]), "weight of b: is missing"),
    (merge("linear", dtpye="bfloat16"), "dtpye: unknown key of this form. Did you mean 'dtype'?"),
    (merge("linear", dtype="int8"), "dtype: 'int8' is none of"),
    (merge("linear", parameters=3), "parameters: must be a mapping"),
    (merge("linear", parameters={"normalise": True}), "unknown parameter. Did you mean"),
    (merge("linear", parameters={"normalize": 1}), "normalize: must be true or false"),
    (merge("ties", parameters={"rescale": True}), "ties has no such setting here"),
    (merge("ties", parameters={"lambda": "1"}), "parameters.lambda: must be a number"),
    (merge("ties", parameters={"lambda": [{"value": True}]}), "lambda: must be a number"),
    (merge("ties", parameters={"lambda": []}), "parameters.lambda: must be a number"),
    (merge("slerp", parameters={"t": {"filter": "mlp", "value": 1}}), "its filters leave tensors"),
    (merge("slerp", parameters={}), "parameters.t: is missing"),
    (merge("ties", base_model=None), "base_model: is missing; ties takes differences"),
    (merge("slerp", base_model=None), "base_model: is missing; slerp starts at it"),
    (merge("ties", base_model=3), "base_model: must be a model reference"),
    (merge("ties", tokenizer_source=3), "tokenizer_source: must be union"),
    (merge("ties", tokenizer="base"), "tokenizer: must be {source: …}"),
    (merge("ties", tokenizer={"source": "base", "tokens": {"a": {}}}), "tokenizer.tokens: is not"),
    (merge("ties", tokenizer={"pad_to_multiple_of": 8}), "tokenizer.pad_to_multiple_of: is not"),
    (merge("ties", tokenizer={"from": 8}), "tokenizer.from: unknown key"),
    (merge("ties", chat_template="chatml"), "neither auto nor a template"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "words"), REFUSED, ids=[w[:30] for _, w in REFUSED])
def test_what_cannot_be_had_is_refused_with_the_reason(data: dict[str, Any], words: str) -> None:
    assert words in refused(data)


def test_all_faults_are_told_at_once() -> None:
    told = refused(merge("linera", dtpye=1, models=[{"model": 3}]))
    assert told.count("\n") == 3


def test_changes_reach_both_forms(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(
        "merge_method: linear\nmodels: [{model: own/a}, {model: own/b}]\nparameters: {weight: 1}\n"
    )
    changes = ["parameters.weight=3", "seed=5", "method.normalize=false", "engine.dtype=float16"]
    found = merge_config.read(file, changes)
    assert found.seed == 5 and found.engine.dtype == "float16"
    made: Any = merge_plan.build_method(found)
    assert made.weights == {"a": 3, "b": 3} and not made.normalize
    with pytest.raises(ConfigError, match="is a merge: moco merge"):
        inputs.read(file)


def test_layers_of_a_slice_are_those_of_the_model(model_dir: Callable[..., Path]) -> None:
    folders = [str(model_dir("llama", seed)) for seed in (0, 1)]
    data: dict[str, Any] = {
        "merge_method": "slerp", "base_model": folders[0], "parameters": {"t": 0.5},
        "slices": [{"sources": [{"model": f, "layer_range": [0, 3]} for f in folders]}],
    }  # fmt: skip
    problems = merge_plan.plan(merge_config.from_data(data), pull=False).problems
    assert [str(p) for p in problems if "has 2 layers, the slice covers 3" in str(p)]
    for source in data["slices"][0]["sources"]:
        source["layer_range"] = [0, 2]
    assert not merge_plan.plan(merge_config.from_data(data), pull=False).problems


def test_marks() -> None:
    assert mergekit.is_mergekit({"base_model": "x"}) and not mergekit.is_mergekit({"method": "x"})
    assert merge_config.is_merge({"method": "linear", "pool": []})
    assert not merge_config.is_merge({"method": "linear", "pool": [], "task": "mini"})
    assert not merge_config.is_merge({"method": "majority_vote", "pool": []})
    assert not merge_config.is_merge({"method": "nothing_such", "pool": []})
