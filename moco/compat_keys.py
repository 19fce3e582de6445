"""The vocabulary of the `modelco` package's configs: methods, task types and hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from moco.types import Json

NO_LIMIT = math.inf


@dataclass(frozen=True, slots=True)
class Key:
    """One hyperparameter: what it may be, and what it becomes here."""

    type: Literal[
        "int", "whole", "float", "bool", "choice", "text", "texts", "shares", "matrix", "numbers",
        "members",
    ]  # fmt: skip
    """`whole`: an int that may be written 1.0; `texts`: one per model; `shares`: of training,
    validation and test, which make 1; `matrix`: rows of 0 and 1; `numbers`: a list of them;
    `members`: some of model_names.
    """
    target: str = ""
    """Where it goes, such as `sampling.temperature`, `method.tie`, `roles.router` or
    `members.description`; empty = it has no effect.
    """
    default: Json = None
    """Its meaning where it is not set; None = ours."""
    low: float = 0
    high: float = NO_LIMIT
    open: bool = False
    """Whether `low` itself is excluded."""
    choices: tuple[str, ...] = ()
    nullable: bool = False
    rename: Mapping[str, Json] = field(default_factory=dict)
    """Value there → value here."""
    member: bool = False
    """Whether it is a position in model_names, which becomes that member's alias."""
    why: str = ""
    """Why it has no effect."""
    when: tuple[str, str] = ("", "")
    """Another key and the value with which alone this one has an effect."""


GENERIC: Mapping[str, Key] = {
    "max_response_length": Key("int", "sampling.max_tokens", 512, low=1, high=1_000_000),
    "temperature": Key("float", "sampling.temperature", 0.7, high=10),
    "top_p": Key("float", "sampling.top_p", 0.9, open=True, high=1),
    "ratio": Key("float", "task.dev_ratio", open=True, high=1),
    "seed": Key("int", "seed", high=2**63 - 1),
    "batch_size": Key(
        "int",
        low=1,
        high=10**6,
        nullable=True,
        why="batches are filled up to engine.max_batch_tokens",
    ),
    "big_model_mode": Key("bool", why="models are placed by the engine"),
    "load_in_8bit": Key("bool", why="weights are used as they are stored"),
    "max_parallel_generation_models": Key(
        "int", low=1, high=10**6, nullable=True, why="models are loaded once and stay loaded"
    ),
    "resume": Key("bool", why="every run goes on where it was stopped"),
}
"""Hyperparameters that every method takes. `ratio` cuts dev only, never test."""

TIES = "answers of equal score teach the router nothing, so no reward model has to part them"

PLACED = "models are placed by the engine"
RECIPE = "fine-tuning has a recipe of its own, with a validation and an early stop"
PLACED = "trainings are placed by the engine, and judges are asked while they wait"
UNWRITTEN = "merged models live in memory; `moco merge` writes one"
EVALUATED = "models are compared, and answer, with the run's own sampling"
GREEDY = "judges are asked for the likelihood of each mark, or greedily"
DPO, GRPO = ("training_algorithm", "dpo"), ("training_algorithm", "grpo")

SPARTA: Mapping[str, Key] = {
    "num_iterations": Key("int", "method.num_iterations", 3, low=1, high=100),
    "num_instructions": Key("int", "method.num_instructions", 500, low=1, high=1_000_000),
    "random_match_prob": Key("float", "method.random_match_prob", 0.2, high=1),
    "num_opponents": Key("int", "method.num_opponents", 3, low=1, high=1000),
    "current_iteration": Key("int", high=1000, why="every run goes on where it was stopped"),
    "base_dir": Key("text", why="every run has a folder of its own"),
    "judge_batch_size": Key("int", low=1, high=4096, why="judges are asked in one job"),
    "judge_rounds": Key("int", low=1, high=1000, why=GREEDY),
    "initial_k": Key("float", "method.initial_k", 10.0, open=True, high=1e6),
    "min_k": Key("float", "method.min_k", 5.0, open=True, high=1e6),
    "window_size": Key("int", "method.window_size", 10, low=1, high=100_000),
    "min_deviation": Key("float", "method.min_deviation", 0.1, open=True, high=1e6),
    "epsilon": Key("float", "method.epsilon", 0.01, high=1),
    "decay_rate": Key("float", "method.decay_rate", 0.9, open=True, high=1),
    "decay_steps": Key("int", "method.decay_steps", 10, low=1, high=1_000_000),
    "scaling_factor": Key("float", "method.scaling_factor", 20.0, open=True, high=1e6),
    "score_type": Key(
        "choice", "method.score_type", "normal", choices=("normal", "dynamic", "static")
    ),
    "freeze_ratings": Key("bool", "method.freeze_ratings", False),
    "debug": Key("bool", why="every call is in calls.jsonl"),
}
"""Keys of both forms of Sparta."""

STARTED: Mapping[str, Key] = {
    "starting_velocity_mode": Key(
        "choice",
        "method.start",
        "random",
        choices=("random", "zero"),
        rename={"zero": "rest"},
    ),
}
"""How particles start."""
FLIGHT: Mapping[str, Key] = {
    "weight_randomness": Key("bool", "method.weight_randomness", True),
    "inertia": Key("float", "method.inertia", 0.2, high=10),
    "cognitive_coeff": Key("float", "method.cognitive_coeff", 0.3, high=10),
    "social_coeff": Key("float", "method.social_coeff", 0.4, high=10),
    "repel_coeff": Key("float", "method.repel_coeff", 0.05, high=10),
    "repel_term": Key("bool", "method.repel_term", True),
    "step_length": Key("float", "method.step_length", 0.5, open=True, high=10),
    "step_length_factor": Key("float", "method.step_length_factor", 0.95, open=True, high=1),
    "minimum_step_length": Key("float", "method.minimum_step_length", 0.1, open=True, high=10),
    "patience": Key("int", "method.patience", 5, low=1, high=1000),
    "restart_patience": Key("int", "method.restart_patience", 3, low=1, high=1000),
}
"""How particles fly."""

HYPERPARAMETERS: Mapping[str, Mapping[str, Key]] = {
    "single_model": {
        "max_response_length": Key("int", "sampling.max_tokens", 100, low=1, high=1_000_000),
    },
    "nudging": {
        "gamma": Key("float", "method.gamma", 0.4, high=1),
        "base_model_id": Key("int", "method.base", 0, member=True),
        "nudging_model_id": Key("int", "method.nudging", 1, member=True),
        "search_gamma": Key("bool", "method.search_gamma", False),
        "search_nudging": Key("bool", "method.search_nudging", False),
        "use_kv_cache": Key("bool", why="the cache is always used"),
        "do_sample": Key("bool", why="true is what temperature says; false makes it 0"),
    },
    "cascade": {
        "mode": Key(
            "choice",
            "method.mode",
            "logit",
            choices=("logit", "just_ask"),
            rename={"logit": "logprob", "just_ask": "ask"},
        ),
        "percentage": Key("float", "method.percentage", 0.5, high=1),
    },
    "majority_vote": {
        "tie": Key(
            "choice",
            "method.tie",
            "random",
            choices=("random", "dev-based"),
            rename={"dev-based": "dev"},
        ),
    },
    "multiagent_refine": {
        "round": Key("int", "method.round", 3, low=1, high=20),
    },
    "logit_fusion": {
        "mode": Key(
            "choice",
            "method.mode",
            "average",
            choices=("average",),
            rename={"average": "product"},
        ),
    },
    "greedy_soup": {},
    "prompt_routing": {
        "model_descriptions": Key("texts", "members.description"),
    },
    "trained_router": {
        "router_base_model": Key("text", "roles.router", "Qwen/Qwen2.5-7B-Instruct"),
        "model_descriptions": Key("texts", "members.description", nullable=True),
        "num_train_epochs": Key("int", "method.epochs", 5, low=1, high=1000),
        "reward_model_gpu_id": Key("int", high=1023, why=TIES),
        "reward_model_name": Key("text", why=TIES),
    },
    "multiagent_feedback": {
        "round": Key("int", "method.round", 3, low=1, high=20),
        "feedback_count": Key("int", "method.feedback_count", 3, low=1, high=1000),
    },
    "knowledge_card": {
        "exclude_self": Key("bool", "method.exclude_self", False),
    },
    "moa": {
        "round": Key("int", "method.round", 1, low=1, high=20),
    },
    "structure": {
        "num_rounds": Key("int", "method.round", 3, low=1, high=20),
        "structure_type": Key(
            "choice",
            "method.structure",
            choices=("chain", "tree", "star", "circle", "complete", "other"),
            rename={"star": "wheel", "other": "own"},
        ),
        "structure_matrix": Key("matrix", "method.matrix", nullable=True),
    },
    "slm_mux": {
        "samples_per_model": Key("int", "method.k", 5, low=2, high=1000),
        "tie": Key(
            "choice",
            "method.tie",
            "dev-based",
            choices=("dev-based", "model-order", "random"),
            rename={"dev-based": "dev", "model-order": "order"},
        ),
    },
    "bbmas": {
        "max_num_agents_to_act": Key("int", "method.max_num_agents_to_act", 1, low=1, high=1000),
        "min_num_agents_to_stop": Key("int", "method.min_num_agents_to_stop", 1, low=1, high=1000),
        "agent_idle_threshold": Key("int", "method.agent_idle_threshold", 6, low=1, high=1000),
        "max_iterations": Key("int", "method.max_iterations", 10, low=1, high=1000),
        "max_num_retries": Key(
            "int", high=1000, why="an action that cannot be read is asked for once more"
        ),
    },
    "llm_blender": {
        "top_k": Key("int", "method.top_k", 3, low=1, high=26),
        "ranker_model_name": Key("text", "roles.ranker", "Qwen/Qwen2.5-7B-Instruct"),
        "ranker_gpu_id": Key("int", high=1023, why=PLACED),
        "ranker_max_response_length": Key(
            "int", low=1, high=1_000_000, why="the ranker names a label"
        ),
        "fuser_model_name": Key("text", "roles.fuser"),
        "fuser_gpu_id": Key("int", high=1023, why=PLACED),
        "fuser_max_response_length": Key(
            "int", low=1, high=1_000_000, why="the fuser's answer is as long as any"
        ),
        "train_ranker_on_dev": Key("bool", "method.train_ranker", False),
        "train_fuser_on_dev": Key("bool", "method.train_fuser", False),
        "ranker_sft_batch_size": Key("int", low=1, high=4096, why=RECIPE),
        "ranker_sft_gradient_accumulation_steps": Key("int", low=1, high=4096, why=RECIPE),
        "ranker_sft_learning_rate": Key("float", open=True, high=1, why=RECIPE),
        "ranker_sft_epoch": Key("int", "method.epochs", 3, low=1, high=1000),
        "fuser_sft_batch_size": Key("int", low=1, high=4096, why=RECIPE),
        "fuser_sft_gradient_accumulation_steps": Key("int", low=1, high=4096, why=RECIPE),
        "fuser_sft_learning_rate": Key("float", open=True, high=1, why=RECIPE),
        "fuser_sft_epoch": Key("int", low=1, high=1000, why="ranker_sft_epoch holds for both"),
    },
    "heterogeneous_swarms": {
        "population": Key("int", "method.population", 5, low=2, high=1000),
        "max_iterations": Key("int", "method.max_iterations", 5, low=1, high=1000),
        **STARTED,
        **FLIGHT,
    },
    "collm": {
        "training_dataset_name": Key("text", why="the task's own dev questions are learnt from"),
        "training_split": Key("text", why="the task's own dev questions are learnt from"),
        "training_num": Key("int", "method.num_examples", 10_000, low=1, high=1_000_000),
        "max_seq_length": Key("int", "method.max_length", 2048, low=1, high=1_000_000),
        "deferral_threshold": Key("float", "method.deferral_threshold", 0.5, high=1),
        "deferral_strategy": Key(
            "choice", "method.deferral_strategy", "defer", choices=("defer", "compose")
        ),
        "threshold_warmup_schedule": Key(
            "choice",
            "method.threshold_warmup_schedule",
            "none",
            choices=("none", "linear", "cosine"),
        ),
        "threshold_warmup_steps": Key(
            "int", "method.threshold_warmup_steps", 15, low=1, high=100_000
        ),
    },
    "mentor_collab": {
        "decision_proportion": Key("int", "method.decision_proportion", 25, high=100),
        "patch_size": Key("int", "method.patch_size", 16, low=1, high=1024),
        "mode": Key("choice", "method.mode", "free", choices=("free", "train")),
        "task": Key(
            "choice", choices=("General", "Math"), why="a verifier is trained on the task's own dev"
        ),
        "mlp_threshold": Key("float", "method.mlp_threshold", 0.5, high=1, when=("mode", "train")),
    },
    "switch_generation": {
        "patch_size": Key("int", "method.patch_size", 25, low=1, high=4096),
        "selector_base_model": Key("text", "roles.selector", "Qwen/Qwen2.5-7B-Instruct"),
        "selector_model_name": Key("text", "roles.selector", nullable=True),
        "training_instance_num": Key(
            "int", "method.training_instances", 500, low=1, high=1_000_000
        ),
        "rollout_per_instance": Key("int", "method.rollouts", 16, low=1, high=1000),
        "objective_flag": Key("bool", why="nothing is put between patches"),
        "wait_flag": Key("bool", why="nothing is put between patches"),
        "reward_model_name": Key("text", why="the task's own score is used"),
        "reward_model_gpu_id": Key("int", high=1024, why="the task's own score is used"),
    },
    "dare_ties": {
        "base_model_name": Key("text", "roles.base"),
        "mode": Key("choice", "method.mode", "average", choices=("average", "optimized")),
        "density": Key("float", "method.density", 1.0, high=1),
        "population": Key("int", "method.population", 5, low=2, high=1000),
        "max_iterations": Key("int", "method.max_iterations", 5, low=1, high=1000),
        "dare_ties_base_path": Key("text", why=UNWRITTEN),
        **STARTED,
        **FLIGHT,
    },
    "model_swarms": {
        "swarm_base_path": Key("text", why=UNWRITTEN),
        "base_model": Key("text", nullable=True, why="adapters bring their base"),
        "fast_merge_flag": Key(
            "bool", why="adapters are never made full; their products are added, not their factors"
        ),
        "max_iterations": Key("int", "method.max_iterations", 10, low=1, high=1000),
        **FLIGHT,
    },
    "lorahub": {
        "lorahub_dev_samples": Key("int", "method.examples", 5, low=1, high=1_000_000),
        "max_inference_step": Key("int", "method.budget", 20, low=1, high=1_000_000),
        "lora_weight_bound": Key("float", "method.bound", 1.5, open=True, high=100),
        "regular_coef": Key("float", "method.regular_coef", 0.05, high=100),
        "seed": Key("int", "seed", 42, high=2**63 - 1),
    },
    "expo": {
        "mode": Key(
            "choice",
            "method.mode",
            "worst_to_best",
            choices=("worst_to_best", "topk_bottomk", "pairs"),
        ),
        "alpha": Key("float", "method.alpha", 0.3, low=-1, high=10),
        "alpha_mode": Key("choice", "method.alpha_mode", "fixed", choices=("fixed", "optimized")),
        "alpha_candidates": Key(
            "numbers", "method.alpha_candidates", [0.1, 0.2, 0.3, 0.4, 0.5], low=-1, high=10
        ),
        "k": Key("int", "method.k", 1, low=1, high=1000),
        "expo_base_path": Key("text", why=UNWRITTEN),
        "pair_selection": Key(
            "choice",
            "method.pair_selection",
            "dpo_score",
            choices=("dpo_score", "improvement", "sft_score"),
        ),
        "sft_models": Key("members", "method.sft_models", nullable=True),
        "dpo_models": Key("members", "method.dpo_models", nullable=True),
    },
    "logit_contrastive": {
        "k": Key("int", "method.k", 1, low=1, high=1000),
        "lambda_": Key("float", "method.strength", 0.2, high=100),
    },
    "sparta": SPARTA,
    "sparta_stackelberg": {
        **{key: SPARTA[key] for key in SPARTA if key not in ("score_type", "debug")},
        "num_iterations": Key("int", "method.num_iterations", 1, low=1, high=100),
        "num_instructions": Key("int", "method.num_instructions", low=1, high=1_000_000),
        "run_id": Key("text", why="every run has a folder of its own"),
        "training_algorithm": Key("choice", "method.training", "dpo", choices=("dpo", "grpo")),
        "leader_type": Key(
            "choice",
            "method.leader",
            "probabilistic",
            choices=("probabilistic", "exp3", "bandit", "uniform", "random"),
            rename={"probabilistic": "exp3", "bandit": "exp3", "random": "uniform"},
        ),
        "leader_scope": Key(
            "choice", "method.leader_scope", "global", choices=("global", "per_model")
        ),
        "instruction_selection": Key("text", why="leader_type says how questions are drawn"),
        "num_duels_per_iteration": Key("int", "method.num_duels", low=1, high=1_000_000),
        "leader_uniform_mix": Key("float", "method.leader_mix", 0.2, high=1),
        "reward_method": Key(
            "choice",
            "method.leader_reward",
            "weighted",
            choices=("weighted", "difficulty_only", "preference_quality_only"),
            rename={"difficulty_only": "difficulty", "preference_quality_only": "preference"},
        ),
        "difficulty_reward_weight": Key("float", "method.difficulty_weight", 0.3, high=1000),
        "preference_quality_reward_weight": Key(
            "float", "method.preference_weight", 0.7, open=True, high=1000
        ),
        "score_threshold": Key("float", "method.score_threshold", 3.0, low=1, high=9.9),
        "ideal_start_gap": Key("float", "method.ideal_start_gap", 0.6, high=1),
        "ideal_end_gap": Key("float", "method.ideal_end_gap", 0.15, high=1),
        "preference_gap_sigma": Key(
            "float", "method.preference_gap_sigma", 0.15, low=0.01, high=10
        ),
        "opponent_selection": Key(
            "choice",
            "method.opponent_selection",
            "schedule_decreasing",
            choices=("lowest_diff", "highest_diff", "schedule_decreasing", "schedule_increasing"),
        ),
        "reputation_gap_sigma": Key(
            "float", "method.reputation_gap_sigma", 0.15, low=0.05, high=10
        ),
        "judge_max_response_length": Key("int", low=1, high=100_000, why=GREEDY),
        "judge_temperature": Key("float", high=10, why=GREEDY),
        "judge_top_p": Key("float", open=True, high=1, why=GREEDY),
        "dpo_batch_size": Key("int", low=1, high=4096, why=RECIPE),
        "dpo_gradient_accumulation_steps": Key("int", low=1, high=4096, why=RECIPE),
        "dpo_learning_rate": Key(
            "float", "method.learning_rate", 1e-6, open=True, high=1, when=DPO
        ),
        "dpo_epoch": Key("whole", "method.epochs", 1, low=1, high=1000, when=DPO),
        "grpo_batch_size": Key("int", low=1, high=4096, why=RECIPE),
        "grpo_gradient_accumulation_steps": Key("int", low=1, high=4096, why=RECIPE),
        "grpo_learning_rate": Key(
            "float", "method.learning_rate", 1e-6, open=True, high=1, when=GRPO
        ),
        "grpo_epoch": Key("whole", "method.epochs", 1, low=1, high=1000, when=GRPO),
        "grpo_num_generations": Key("int", "method.num_generations", 4, low=2, high=1024),
        "grpo_max_completion_length": Key(
            "int", low=1, high=100_000, why="rollouts have the room of all answers"
        ),
        "grpo_beta": Key("float", "method.grpo_beta", 0.0, high=10),
        "grpo_epsilon": Key("float", high=1, why=RECIPE),
        "grpo_scale_rewards": Key("text", why="rewards are taken relative to their group"),
        "grpo_loss_type": Key("text", why=RECIPE),
        "reward_scale": Key("text", why="rewards are taken relative to their group"),
        "parallel_grpo_training": Key("bool", why=PLACED),
        "gpus_per_grpo_job": Key("int", low=1, high=1024, why=PLACED),
        "max_parallel_grpo_jobs": Key("int", low=1, high=1024, nullable=True, why=PLACED),
        "online_judge_gpu_ids": Key("text", nullable=True, why=PLACED),
        "parallel_dpo_training": Key("bool", why=PLACED),
        "eval_max_response_length": Key("int", low=1, high=100_000, why=EVALUATED),
        "eval_temperature": Key("float", high=10, why=EVALUATED),
        "eval_top_p": Key("float", open=True, high=1, why=EVALUATED),
        "eval_batch_size": Key("int", low=1, high=4096, why=EVALUATED),
    },
    "multiagent_finetuning": {
        "iterations": Key("int", "method.iterations", 1, low=1, high=100),
        "rounds": Key("int", "method.rounds", 2, low=2, high=20),
        "w": Key("float", "method.w", 0.5, high=1),
        "training_ratio": Key("float", open=True, high=1, why="a fifth of dev is held out"),
        "sft_epochs": Key("int", "method.epochs", 1, low=1, high=1000),
        "sft_learning_rate": Key("float", "method.learning_rate", 1e-5, open=True, high=1),
        "sft_batch_size": Key("int", low=1, high=4096, why=RECIPE),
        "sft_grad_accum": Key("int", low=1, high=4096, why=RECIPE),
    },
    "agglm": {
        "agg_model": Key("text", "roles.aggregator", "Qwen/Qwen2.5-1.5B-Instruct"),
        "agglm_log_path": Key("text", why="every run has a folder of its own"),
        "reuse_log": Key("bool", why="equal trainings are done once, told apart by content"),
        "learning_rate": Key("float", "method.learning_rate", 1e-4, open=True, high=1),
        "weight_decay": Key("float", high=1, why=RECIPE),
        "lr_scheduler": Key("text", why=RECIPE),
        "max_epochs": Key("int", "method.epochs", 1, low=1, high=1000),
        "train_batch_size": Key("int", "method.num_generations", 4, low=2, high=1024),
        "sample_size": Key("int", "method.sets", 2, low=1, high=1000),
    },
    "graph_routing": {
        "embedding_model_name": Key(
            "text",
            "roles.embedder",
            "minilm-l6",
            rename={"sentence-transformers/all-MiniLM-L6-v2": "minilm-l6"},
        ),
        "model_descriptions": Key("texts", "members.description"),
        "task_description": Key("text", "method.task_description"),
        "scenario": Key(
            "choice",
            "method.scenario",
            "Performance First",
            choices=("Performance First", "Balance", "Cost First"),
            rename={
                "Performance First": "performance",
                "Balance": "balance",
                "Cost First": "cost",
            },
        ),
        "hidden_features": Key("int", "method.hidden_features", 8, low=1, high=1024),
        "in_edges": Key("int", low=3, high=3, why="an edge holds a score and a cost"),
        "learning_rate": Key("float", "method.learning_rate", 1e-4, open=True, high=1),
        "weight_decay": Key("float", "method.weight_decay", 1e-4, high=1),
        "train_epochs": Key("int", "method.train_epochs", 500, high=100_000),
        "train_mask_rate": Key("float", "method.train_mask_rate", 0.5, open=True, high=0.99),
        "split_ratio": Key("shares", "method.validation_share", [0.8, 0.1, 0.1], high=0.5),
        "batch_size": Key("int", "method.maskings", 32, low=1, high=1000),
    },
}
"""Our method name → its own hyperparameters; a key of GENERIC here has another default."""

FIXED: Mapping[str, Mapping[str, Json]] = {
    "single_model": {},
    "nudging": {"preset": "paper"},
    "cascade": {"preset": "paper"},
    "majority_vote": {"preset": "paper"},
    "multiagent_refine": {"preset": "paper", "final": "summarizer"},
    "logit_fusion": {"preset": "paper"},
    "greedy_soup": {"preset": "paper"},
    "multiagent_feedback": {"preset": "paper"},
    "knowledge_card": {"preset": "paper"},
    "moa": {"preset": "paper"},
    "structure": {"preset": "paper"},
    "slm_mux": {"preset": "paper"},
    "bbmas": {"preset": "paper"},
    "llm_blender": {"preset": "paper"},
    "heterogeneous_swarms": {"preset": "paper"},
    "agglm": {"preset": "paper"},
    "sparta": {"preset": "paper"},
    "logit_contrastive": {"preset": "paper"},
    "mentor_collab": {"preset": "paper"},
    "collm": {"preset": "paper"},
    "switch_generation": {"preset": "paper"},
    "sparta_stackelberg": {"preset": "paper"},
    "multiagent_finetuning": {"preset": "paper"},
    "dare_ties": {"preset": "paper", "budget": 0},
    "model_swarms": {"preset": "paper", "population": 2},
    "lorahub": {"preset": "paper", "objective": "score"},
    "expo": {"preset": "paper"},
    "prompt_routing": {"preset": "paper"},
    "trained_router": {"preset": "paper", "kind": "lm"},
    "graph_routing": {"preset": "paper"},
}
"""What a method of the peer always does, where ours has a choice."""

ALIASES: Mapping[str, str] = {
    "max_sequence_length": "max_seq_length",
    "embedding_model": "embedding_model_name",
    "inertia_coefficient": "inertia",
    "cognitive_coefficient": "cognitive_coeff",
    "social_coefficient": "social_coeff",
    "repel_coefficient": "repel_coeff",
    "repel_term_flag": "repel_term",
    "weight_randomness_flag": "weight_randomness",
    "contrast_strength": "lambda_",
    "instr_sample_gamma": "leader_uniform_mix",
}
"""Documented name → the name that the package's code reads."""

TASK_TYPES = (
    "multiple_choice",
    "exact_match",
    "f1_match",
    "general_verifier",
    "noncompliance",
    "reward_model",
    "text_generation",
    "generation_diversity",
    "coding",
    "smdd",
    "kernel_bench",
    "gene_ranking",
    "ifeval",
)

_BUILT = {
    "single_model": "",
    "nudging": "api_",
    "cascade": "api_",
    "majority_vote": "text_",
    "multiagent_refine": "text_",
    "logit_fusion": "logit_",
    "greedy_soup": "weight_",
    "multiagent_feedback": "text_",
    "knowledge_card": "text_",
    "moa": "text_",
    "structure": "text_",
    "slm_mux": "text_",
    "bbmas": "text_",
    "llm_blender": "text_",
    "heterogeneous_swarms": "text_",
    "agglm": "text_",
    "sparta": "text_",
    "logit_contrastive": "logit_",
    "mentor_collab": "api_",
    "collm": "api_",
    "switch_generation": "api_",
    "sparta_stackelberg": "text_",
    "multiagent_finetuning": "text_",
    "dare_ties": "weight_",
    "model_swarms": "weight_",
    "lorahub": "weight_",
    "expo": "weight_",
    "prompt_routing": "api_",
    "trained_router": "api_",
    "graph_routing": "api_",
}
METHODS: Mapping[str, str] = {
    **{name: name for name in _BUILT},
    **{prefix + name: name for name, prefix in _BUILT.items()},
}
"""Name there, with or without its level → name here."""
