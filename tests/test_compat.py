"""The config form of the modelco package: every key, its type, its meaning here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scripted

from moco import inputs, plan
from moco.compat import tables, translation
from moco.config import RunConfig, TaskConfig
from moco.errors import ConfigError, InputError, MocoError, UnknownNameError
from moco.types import Sampling

GENERIC = [
    "max_response_length", "temperature", "top_p", "batch_size", "big_model_mode", "load_in_8bit",
    "ratio", "max_parallel_generation_models", "resume", "seed",
]  # fmt: skip
FLIGHT = [
    "weight_randomness", "inertia", "cognitive_coeff", "social_coeff", "repel_coeff", "repel_term",
    "step_length", "step_length_factor", "minimum_step_length", "patience", "restart_patience",
]  # fmt: skip
OWN = {
    "single_model": [],
    "api_nudging": [
        "gamma",
        "base_model_id",
        "nudging_model_id",
        "use_kv_cache",
        "search_gamma",
        "search_nudging",
        "do_sample",
    ],
    "api_cascade": ["mode", "percentage"],
    "text_majority_vote": ["tie"],
    "text_multiagent_refine": ["round"],
    "logit_logit_fusion": ["mode"],
    "weight_greedy_soup": [],
    "text_multiagent_feedback": ["round", "feedback_count"],
    "text_knowledge_card": ["exclude_self"],
    "text_moa": ["round"],
    "text_structure": ["num_rounds", "structure_type", "structure_matrix"],
    "text_slm_mux": ["samples_per_model", "tie"],
    "text_bbmas": [
        "max_num_agents_to_act",
        "min_num_agents_to_stop",
        "agent_idle_threshold",
        "max_iterations",
        "max_num_retries",
    ],
    "text_llm_blender": [
        "top_k",
        "ranker_model_name",
        "ranker_gpu_id",
        "ranker_max_response_length",
        "fuser_model_name",
        "fuser_gpu_id",
        "fuser_max_response_length",
        "train_ranker_on_dev",
        "train_fuser_on_dev",
        "ranker_sft_batch_size",
        "ranker_sft_gradient_accumulation_steps",
        "ranker_sft_learning_rate",
        "ranker_sft_epoch",
        "fuser_sft_batch_size",
        "fuser_sft_gradient_accumulation_steps",
        "fuser_sft_learning_rate",
        "fuser_sft_epoch",
    ],
    "text_heterogeneous_swarms": [
        "population",
        "max_iterations",
        "starting_velocity_mode",
        "weight_randomness",
        "inertia",
        "cognitive_coeff",
        "social_coeff",
        "repel_coeff",
        "repel_term",
        "step_length",
        "step_length_factor",
        "minimum_step_length",
        "patience",
        "restart_patience",
    ],
    "text_multiagent_finetuning": [
        "iterations",
        "rounds",
        "w",
        "training_ratio",
        "sft_epochs",
        "sft_learning_rate",
        "sft_batch_size",
        "sft_grad_accum",
    ],
    "text_sparta": [
        "num_iterations",
        "num_instructions",
        "random_match_prob",
        "num_opponents",
        "current_iteration",
        "base_dir",
        "judge_batch_size",
        "judge_rounds",
        "initial_k",
        "min_k",
        "window_size",
        "min_deviation",
        "epsilon",
        "decay_rate",
        "decay_steps",
        "scaling_factor",
        "score_type",
        "freeze_ratings",
        "debug",
    ],
    "text_sparta_stackelberg": [
        "training_algorithm",
        "leader_type",
        "leader_scope",
        "instruction_selection",
        "num_iterations",
        "current_iteration",
        "run_id",
        "base_dir",
        "num_instructions",
        "num_duels_per_iteration",
        "leader_uniform_mix",
        "reward_method",
        "difficulty_reward_weight",
        "preference_quality_reward_weight",
        "score_threshold",
        "ideal_start_gap",
        "ideal_end_gap",
        "preference_gap_sigma",
        "opponent_selection",
        "reputation_gap_sigma",
        "random_match_prob",
        "num_opponents",
        "judge_rounds",
        "initial_k",
        "min_k",
        "window_size",
        "min_deviation",
        "epsilon",
        "decay_rate",
        "decay_steps",
        "scaling_factor",
        "freeze_ratings",
        "judge_max_response_length",
        "judge_temperature",
        "judge_top_p",
        "judge_batch_size",
        "dpo_batch_size",
        "dpo_gradient_accumulation_steps",
        "dpo_learning_rate",
        "dpo_epoch",
        "grpo_batch_size",
        "grpo_gradient_accumulation_steps",
        "grpo_learning_rate",
        "grpo_epoch",
        "grpo_num_generations",
        "grpo_max_completion_length",
        "grpo_beta",
        "grpo_epsilon",
        "grpo_scale_rewards",
        "grpo_loss_type",
        "reward_scale",
        "parallel_grpo_training",
        "gpus_per_grpo_job",
        "max_parallel_grpo_jobs",
        "online_judge_gpu_ids",
        "parallel_dpo_training",
        "eval_max_response_length",
        "eval_temperature",
        "eval_top_p",
        "eval_batch_size",
    ],
    "logit_logit_contrastive": ["k", "lambda_"],
    "api_collm": [
        "training_dataset_name",
        "training_split",
        "training_num",
        "max_seq_length",
        "deferral_threshold",
        "deferral_strategy",
        "threshold_warmup_schedule",
        "threshold_warmup_steps",
    ],
    "api_mentor_collab": ["decision_proportion", "patch_size", "mode", "task", "mlp_threshold"],
    "api_switch_generation": [
        "patch_size",
        "selector_base_model",
        "selector_model_name",
        "training_instance_num",
        "rollout_per_instance",
        "objective_flag",
        "wait_flag",
        "reward_model_name",
        "reward_model_gpu_id",
    ],
    "text_agglm": [
        "agg_model",
        "agglm_log_path",
        "reuse_log",
        "learning_rate",
        "weight_decay",
        "lr_scheduler",
        "max_epochs",
        "train_batch_size",
        "sample_size",
    ],
    "weight_dare_ties": [
        "base_model_name", "mode", "density", "population", "max_iterations",
        "dare_ties_base_path", "starting_velocity_mode", *FLIGHT,
    ],
    "weight_model_swarms": [
        "swarm_base_path", "base_model", "fast_merge_flag", "max_iterations", *FLIGHT,
    ],
    "weight_lorahub": [
        "lorahub_dev_samples", "max_inference_step", "lora_weight_bound", "regular_coef",
    ],
    "weight_expo": [
        "mode", "alpha", "alpha_mode", "alpha_candidates", "k", "expo_base_path",
        "pair_selection", "sft_models", "dpo_models",
    ],
    "api_prompt_routing": ["model_descriptions"],
    "api_trained_router": [
        "router_base_model",
        "model_descriptions",
        "num_train_epochs",
        "reward_model_gpu_id",
        "reward_model_name",
    ],
    "api_graph_routing": [
        "embedding_model_name",
        "model_descriptions",
        "task_description",
        "scenario",
        "hidden_features",
        "in_edges",
        "learning_rate",
        "weight_decay",
        "train_epochs",
        "train_mask_rate",
        "split_ratio",
    ],
}  # fmt: skip
GOOD: dict[str, Any] = {
    "int": 1, "whole": 1.0, "float": 0.5, "bool": 1, "text": "some-model",
    "texts": ["Adds.", "Spells."], "shares": [0.7, 0.2, 0.1], "matrix": [[0, 1], [1, 0]],
    "numbers": [0.1, 0.3], "members": ["zoo://mini/m1"],
}  # fmt: skip


def peer(method: str = "text_majority_vote", models: int = 2, **hyperparameters: Any) -> Any:
    return {
        "method": method,
        "task": "gsm8k",
        "task_type": "exact_match",
        "gpu_ids": [0, 1],
        "model_names": [f"zoo://mini/m{i}" for i in range(models)],
        "hyperparameters": hyperparameters,
    }


def translated(method: str = "text_majority_vote", **hyperparameters: Any) -> RunConfig:
    models = 1 if method == "single_model" else 2
    return translation.translate(peer(method, models, **hyperparameters))


def fields(config: RunConfig) -> dict[str, Any]:
    assert isinstance(config.method, dict)
    return config.method


@pytest.mark.parametrize("method", OWN)
@pytest.mark.parametrize("bare", [False, True])
def test_every_method_is_known_with_and_without_its_level(method: str, bare: bool) -> None:
    name = tables.METHODS[method]
    config = translated(name if bare else method)
    assert fields(config)["name"] == name
    plan.build_method(config.method)


@pytest.mark.parametrize("method", OWN)
def test_every_key_has_an_effect_or_a_note(method: str) -> None:
    for name in (*GENERIC, *OWN[method]):
        table = {**tables.GENERIC, **tables.PEERS[tables.METHODS[method]].keys}
        key = table[name]
        value = key.choices[-1] if key.type == "choice" else GOOD[key.type]
        value = max(value, key.low) if key.type in ("int", "float") else value
        other = dict([key.when]) if key.when[0] else {}
        given, unset = translated(method, **other, **{name: value}), translated(method, **other)
        noted = any(f"hyperparameters.{name} " in note for note in given.notes)
        assert noted == (not key.target), name
        if key.target and key.default is None:
            assert given.model_dump() != unset.model_dump(), name


@pytest.mark.parametrize("method", OWN)
def test_every_key_is_checked_for_type_and_range(method: str) -> None:
    table = {**tables.GENERIC, **tables.PEERS[tables.METHODS[method]].keys}
    for name, key in table.items():
        bad: list[Any] = [
            ["-"] if key.type == "numbers" else [1],
            {"a": 1},
            float("nan"),
            10**400,
            -(10**400),
            -5,
        ]
        bad += [] if key.type == "text" else ["32"]
        bad += [2, 0.0] if key.type == "bool" else [True]
        bad += [1.0, 1.5] if key.type == "int" else [1.5] if key.type == "whole" else []
        bad += [] if key.nullable else [None]
        for value in bad:
            with pytest.raises(ConfigError, match=rf"hyperparameters\.{name}"):
                translated(method, **{name: value})


def test_the_tables_hold_exactly_the_keys_of_the_form() -> None:
    assert set(tables.GENERIC) == set(GENERIC)
    for method, own in OWN.items():
        table = tables.PEERS[tables.METHODS[method]].keys
        assert set(table) - set(GENERIC) == set(own)


def test_defaults_are_those_of_the_form() -> None:
    config = translated()
    sampling = config.sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0.7, 0.9, 512)
    assert config.engine.devices == ("cuda:0", "cuda:1") and config.seed == 0
    assert fields(config) == {"name": "majority_vote", "preset": "paper", "tie": "random"}
    refine = {"name": "multiagent_refine", "preset": "paper", "round": 3, "final": "summarizer"}
    assert fields(translated("text_multiagent_refine")) == refine
    cascade = {"name": "cascade", "preset": "paper", "mode": "logprob", "percentage": 0.5}
    assert fields(translated("api_cascade")) == cascade
    assert fields(translated("logit_fusion"))["mode"] == "product"
    nudging = fields(translated("api_nudging"))
    assert (nudging["gamma"], nudging["base"], nudging["nudging"]) == (0.4, "m0", "m1")
    assert translated("single_model").sampling.max_tokens == 100


def test_values_are_renamed() -> None:
    assert fields(translated(tie="dev-based"))["tie"] == "dev"
    assert fields(translated("api_cascade", mode="just_ask"))["mode"] == "ask"
    assert fields(translated("api_nudging", search_gamma=1))["search_gamma"] is True
    swapped = fields(translated("api_nudging", base_model_id=1, nudging_model_id=0))
    assert (swapped["base"], swapped["nudging"]) == ("m1", "m0")
    greedy = translated("api_nudging", do_sample=0, temperature=0.9)
    assert greedy.sampling.temperature == 0
    config = translated(max_response_length=64, temperature=0, top_p=1, seed=7)
    assert (config.sampling.max_tokens, config.sampling.temperature, config.seed) == (64, 0, 7)


def test_routers_describe_members_and_name_roles() -> None:
    texts = ["Adds.", "Spells."]
    config = translated("api_prompt_routing", model_descriptions=texts)
    assert [m.description for m in config.pool if not isinstance(m, str)] == texts
    with pytest.raises(ConfigError, match="has 1 texts for 2 models"):
        translated("api_prompt_routing", model_descriptions=["Adds."])
    with pytest.raises(ConfigError, match="one per model"):
        translated("api_prompt_routing", model_descriptions=["Adds.", ""])
    router = translated("api_trained_router", router_base_model="zoo://mini/base")
    assert router.roles == {"router": "zoo://mini/base"}
    assert fields(router) == {
        "name": "trained_router", "preset": "paper", "kind": "lm", "epochs": 5,
    }  # fmt: skip
    assert translated("trained_router").roles == {"router": "Qwen/Qwen2.5-7B-Instruct"}
    graph = translated(
        "api_graph_routing",
        embedding_model="sentence-transformers/all-MiniLM-L6-v2",
        scenario="Cost First",
        split_ratio=[0.6, 0.3, 0.1],
        batch_size=8,
    )
    assert graph.roles == {"embedder": "minilm-l6"}
    own = fields(graph)
    assert (own["scenario"], own["validation_share"], own["maskings"]) == ("cost", 0.3, 8)
    assert own["task_description"] == "gsm8k"
    assert plan.build_method(graph.method).cost_weight == 4.0
    with pytest.raises(ConfigError, match="must make 1"):
        translated("api_graph_routing", split_ratio=[0.8, 0.8, 0.1])


def test_text_methods_have_the_meaning_they_have_there() -> None:
    star = fields(translated("text_structure", structure_type="star"))
    assert (star["structure"], star["round"]) == ("wheel", 3)  # there a star has a ring
    own = fields(translated("structure", structure_type="other", structure_matrix=[[0, 1], [0, 0]]))
    assert (own["structure"], own["matrix"]) == ("own", [[0, 1], [0, 0]])
    with pytest.raises(ConfigError, match="rows of 0 and 1"):
        translated("structure", structure_type="other", structure_matrix=[[0, 2], [0, 0]])
    mux = fields(translated("text_slm_mux", tie="model-order", samples_per_model=7))
    assert (mux["k"], mux["tie"], mux["temperature"]) == (7, "order", 0.7)
    blender = translated("text_llm_blender", fuser_model_name="zoo://mini/base")
    assert blender.roles == {"ranker": "Qwen/Qwen2.5-7B-Instruct", "fuser": "zoo://mini/base"}
    assert fields(translated("text_moa"))["round"] == 1
    assert fields(translated("text_heterogeneous_swarms"))["start"] == "random"


def test_the_leader_and_its_followers_are_those_of_the_form() -> None:
    dpo = fields(translated("text_sparta_stackelberg", leader_type="bandit"))
    assert (dpo["leader"], dpo["training"], dpo["num_instructions"]) == ("exp3", "dpo", 500)
    config = translated(
        "sparta_stackelberg", training_algorithm="grpo", grpo_learning_rate=0.01,
        dpo_learning_rate=0.5, instr_sample_gamma=0.4,
    )  # fmt: skip
    grpo = fields(config)
    assert (grpo["learning_rate"], grpo["num_instructions"]) == (0.01, 128)
    assert grpo["leader_mix"] == 0.4
    assert any("dpo_learning_rate has no effect: training_algorithm" in n for n in config.notes)
    sparta = plan.build_method(translated("text_sparta", initial_k=7, score_type="static").method)
    assert (sparta.initial_k, sparta.score_type, sparta.judging) == (7, "static", "scores")


def test_of_a_key_that_stands_twice_the_last_counts_as_there(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    models = '"model_names": ["zoo://mini/base", "zoo://mini/words"]'
    tuned = '{"temperature": 0.7,\n"temperature": 0.3}'
    rest = f'"method": "text_moa", "task": "gsm8k", {models}, "hyperparameters": {tuned}'
    path.write_text("{" + rest + "}")
    found = inputs.read_run(path)
    assert found.sampling.temperature == 0.3
    assert "line 2: the key 'temperature' stands twice; the last counts" in found.notes


def test_a_selector_is_used_as_it_is_or_trained() -> None:
    trained = translated("api_switch_generation", rollout_per_instance=8)
    assert fields(trained)["rollouts"] == 4
    assert plan.build_method(trained.method).use == "switcher"
    assert trained.roles == {"selector": "Qwen/Qwen2.5-7B-Instruct"}
    given = translated("switch_generation", selector_model_name="zoo://mini/base")
    assert given.roles == {"selector": "zoo://mini/base"}
    method = plan.build_method(given.method)
    assert not method.train and method.use == "switcher"
    assert not method.problems({}, Sampling())


def test_a_mentors_verifier_is_trained_or_the_generator_judges() -> None:
    free = translated("api_mentor_collab", mlp_threshold=0.3, task="Math")
    assert fields(free)["mode"] == "free" and "mlp_threshold" not in fields(free)
    assert any("mlp_threshold has no effect: mode is not train" in n for n in free.notes)
    trained = translated("api_mentor_collab", mode="train", mlp_threshold=0.3, task="Math")
    method = plan.build_method(trained.method)
    assert (fields(trained)["mode"], fields(trained)["mlp_threshold"]) == ("train", 0.3)
    assert method.needs().dev and method.model_dump()["verifier"] == "mlp"
    assert any("task has no effect here" in n for n in trained.notes)
    assert fields(translated("api_mentor_collab", mode="train"))["mlp_threshold"] == 0.5


def test_ratio_cuts_dev_and_never_test() -> None:
    config = translated(ratio=0.25)
    assert isinstance(config.task, TaskConfig)
    assert (config.task.dev_ratio, config.task.dev, config.task.test) == (0.25, None, None)


def test_unknown_keys_are_errors_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"temprature: unknown key\. Did you mean 'temperature'"):
        translated(temprature=0.5)
    with pytest.raises(ConfigError, match=r"model_name: unknown key.*'model_names'"):
        translation.translate({**peer(), "model_name": "x"})
    with pytest.raises(ConfigError, match=r"task_type: 'exact_mach'.*'exact_match'"):
        translation.translate({**peer(), "task_type": "exact_mach"})
    with pytest.raises(UnknownNameError, match="'text_majority_vote'"):
        translation.translate(peer("text_majority_votes"))
    with pytest.raises(ConfigError, match="must be one of random, dev-based"):
        translated(tie="dev")
    with pytest.raises(ConfigError, match="no model 2, only 0 to 1"):
        translated("api_nudging", base_model_id=2)


def test_all_problems_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        translated(temprature=1, top_p=2, batch_size="8")
    assert all(key in str(caught.value) for key in ("temprature", "top_p", "batch_size"))


def test_a_key_of_another_method_has_a_note_and_is_still_checked() -> None:
    assert any("gamma" in note for note in translated(gamma=0.3).notes)
    with pytest.raises(ConfigError, match="gamma: must be at least 0 and at most 1"):
        translated(gamma=3)


def test_searched_weights_have_the_meaning_they_have_there() -> None:
    dare = translated("weight_dare_ties", base_model_name="zoo://mini/base", mode="optimized")
    assert dare.roles == {"base": "zoo://mini/base"}
    merge = plan.build_method(dare.method)
    assert (merge.density, merge.population, merge.max_iterations) == (1.0, 5, 5)
    assert not merge.guard and merge.budget == 0
    swarm = plan.build_method(
        translated(
            "model_swarms", cognitive_coefficient=0.7, repel_term_flag=0, weight_randomness_flag=0
        ).method
    )
    assert (swarm.cognitive_coeff, swarm.repel_term, swarm.weight_randomness) == (0.7, False, False)
    assert (swarm.max_iterations, swarm.patience, swarm.step_length) == (10, 5, 0.5)
    assert len(swarm._start(3, np.random.default_rng(0))) == 3  # the members and no more
    hub = translated("weight_lorahub")
    assert (hub.seed, translated("weight_lorahub", seed=7).seed) == (42, 7)
    own = plan.build_method(hub.method)
    assert (own.examples, own.budget, own.bound, own.objective) == (5, 20, 1.5, "score")


def test_pairs_are_named_by_their_models() -> None:
    models = [f"zoo://mini/m{i}" for i in range(4)]
    data = peer("weight_expo", 4, mode="pairs", sft_models=models[2:], dpo_models=models[:2])
    expo = plan.build_method(translation.translate(data).method)
    assert (expo.sft_models, expo.dpo_models) == (["m2", "m3"], ["m0", "m1"])
    assert (expo.alpha_mode, expo.guard) == ("fixed", False)
    with pytest.raises(ConfigError, match="'zoo://mini/x' is none of model_names"):
        translated("expo", mode="pairs", sft_models=["zoo://mini/x"], dpo_models=["zoo://mini/m0"])
    with pytest.raises(ConfigError, match="alpha_candidates: must be at least -1"):
        translated("expo", alpha_candidates=[0.1, 99])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_names": []}, "model_names"),
        ({"model_names": "zoo://mini"}, "model_names"),
        ({"model_names": ["a", 3]}, r"model_names\.1"),
        ({"gpu_ids": ["0"]}, "gpu_ids"),
        ({"gpu_ids": [True]}, "gpu_ids"),
        ({"gpu_ids": [-1]}, "gpu_ids"),
        ({"hyperparameters": [1]}, "hyperparameters"),
        ({"method": 3}, "method"),
        ({"task": None}, "task"),
        ({"task_type": 1}, "task_type"),
    ],
)
def test_top_level_types(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        translation.translate({**peer(), **change})


@pytest.mark.parametrize("key", ["method", "task", "model_names"])
def test_missing_keys(key: str) -> None:
    data = peer()
    del data[key]
    with pytest.raises(ConfigError, match=f"{key}: is missing"):
        translation.translate(data)


def test_gpus_that_are_not_here_mean_cpu_with_a_note() -> None:
    config = translation.translate({**peer(), "gpu_ids": [777]})
    assert config.engine.devices == ("cuda:777",)
    assert any("GPU 777" in note for note in config.notes)
    assert translation.translate({**peer(), "gpu_ids": []}).engine.devices == ("cpu",)


def test_members_of_one_last_name_get_names_of_their_own() -> None:
    assert translation.names_of(["a/base", "b/base", "c/x", "c/x"]) == [
        "a_base",
        "b_base",
        "x",
        "x",
    ]


def test_documented_names_mean_the_same() -> None:
    assert tables.ALIASES["contrast_strength"] == "lambda_"
    assert tables.ALIASES["embedding_model"] == "embedding_model_name"


def test_a_hub_name_is_told_its_form(tmp_path: Path) -> None:
    data = {**peer(), "model_names": ["allenai/some-model", "allenai/other"]}
    path = scripted.write_config(tmp_path, data, "peer.json")
    with pytest.raises(InputError, match="hf://allenai/some-model@<revision>"):
        plan.plan(inputs.read_run(path), pull=False)


def test_changes_reach_both_sides_of_the_translation(tmp_path: Path) -> None:
    path = scripted.write_config(tmp_path, peer(), "peer.json")
    changes = ["hyperparameters.temperature=0.2", "task.test=5", "method.k=3", "seed=4"]
    config = inputs.read_run(path, changes)
    assert config.sampling.temperature == 0.2 and config.seed == 4
    assert isinstance(config.task, TaskConfig) and config.task.test == 5
    assert fields(config)["k"] == 3 and fields(config)["tie"] == "random"
    with pytest.raises(MocoError, match=r"hyperparameters\.tie"):
        inputs.read_run(path, ["hyperparameters.tie=7"])


def test_a_run_in_the_form_of_the_paper(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scripted.write_data(tmp_path)
    data = {**peer(), "task": "./quiz.jsonl", "task_type": "multiple_choice"}
    path = scripted.write_config(tmp_path, data, "peer.json")
    pool = scripted.json.dumps(list(scripted.POOL))
    code, out, _ = scripted.call(capsys, "run", path, f"pool={pool}", "-l", "logs", "-q")
    assert code == 0 and "majority_vote" in out
    config = scripted.only_folder(tmp_path / "logs") / "config.yaml"
    assert "no effect" not in out
    code, out, _ = scripted.call(capsys, "-c", config, "-l", "logs2")
    assert code == 0 and "majority_vote on quiz" in out
