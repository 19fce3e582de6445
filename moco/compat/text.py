"""The methods of the text level."""

from __future__ import annotations

from collections.abc import Mapping

from moco.compat.keys import FLIGHT, RECIPE, STARTED, Key, PeerMethod

PLACED = "models are placed by the engine"
TRAINED = "trainings are placed by the engine, and judges are asked while they wait"
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

METHODS: Mapping[str, PeerMethod] = {
    "majority_vote": PeerMethod(
        {
            "tie": Key(
                "choice",
                "method.tie",
                "random",
                choices=("random", "dev-based"),
                rename={"dev-based": "dev"},
            ),
        }
    ),
    "multiagent_refine": PeerMethod(
        {
            "round": Key("int", "method.round", 3, low=1, high=20),
        },
        fixed={"preset": "paper", "final": "summarizer"},
    ),
    "multiagent_feedback": PeerMethod(
        {
            "round": Key("int", "method.round", 3, low=1, high=20),
            "feedback_count": Key("int", "method.feedback_count", 3, low=1, high=1000),
        }
    ),
    "knowledge_card": PeerMethod(
        {
            "exclude_self": Key("bool", "method.exclude_self", False),
        }
    ),
    "moa": PeerMethod(
        {
            "round": Key("int", "method.round", 1, low=1, high=20),
        }
    ),
    "structure": PeerMethod(
        {
            "num_rounds": Key("int", "method.round", 3, low=1, high=20),
            "structure_type": Key(
                "choice",
                "method.structure",
                choices=("chain", "tree", "star", "circle", "complete", "other"),
                rename={"star": "wheel", "other": "own"},
            ),
            "structure_matrix": Key("matrix", "method.matrix", nullable=True),
        }
    ),
    "slm_mux": PeerMethod(
        {
            "samples_per_model": Key("int", "method.k", 5, low=2, high=1000),
            "tie": Key(
                "choice",
                "method.tie",
                "dev-based",
                choices=("dev-based", "model-order", "random"),
                rename={"dev-based": "dev", "model-order": "order"},
            ),
        }
    ),
    "bbmas": PeerMethod(
        {
            "max_num_agents_to_act": Key(
                "int", "method.max_num_agents_to_act", 1, low=1, high=1000
            ),
            "min_num_agents_to_stop": Key(
                "int", "method.min_num_agents_to_stop", 1, low=1, high=1000
            ),
            "agent_idle_threshold": Key("int", "method.agent_idle_threshold", 6, low=1, high=1000),
            "max_iterations": Key("int", "method.max_iterations", 10, low=1, high=1000),
            "max_num_retries": Key(
                "int", high=1000, why="an action that cannot be read is asked for once more"
            ),
        }
    ),
    "llm_blender": PeerMethod(
        {
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
        }
    ),
    "heterogeneous_swarms": PeerMethod(
        {
            "population": Key("int", "method.population", 5, low=2, high=1000),
            "max_iterations": Key("int", "method.max_iterations", 5, low=1, high=1000),
            **STARTED,
            **FLIGHT,
        }
    ),
    "agglm": PeerMethod(
        {
            "agg_model": Key("text", "roles.aggregator", "Qwen/Qwen2.5-1.5B-Instruct"),
            "agglm_log_path": Key("text", why="every run has a folder of its own"),
            "reuse_log": Key("bool", why="equal trainings are done once, told apart by content"),
            "learning_rate": Key("float", "method.learning_rate", 1e-4, open=True, high=1),
            "weight_decay": Key("float", high=1, why=RECIPE),
            "lr_scheduler": Key("text", why=RECIPE),
            "max_epochs": Key("int", "method.epochs", 1, low=1, high=1000),
            "train_batch_size": Key("int", "method.num_generations", 4, low=2, high=1024),
            "sample_size": Key("int", "method.sets", 2, low=1, high=1000),
        }
    ),
    "sparta": PeerMethod(SPARTA),
    "sparta_stackelberg": PeerMethod(
        {
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
                choices=(
                    "lowest_diff",
                    "highest_diff",
                    "schedule_decreasing",
                    "schedule_increasing",
                ),
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
            "parallel_grpo_training": Key("bool", why=TRAINED),
            "gpus_per_grpo_job": Key("int", low=1, high=1024, why=TRAINED),
            "max_parallel_grpo_jobs": Key("int", low=1, high=1024, nullable=True, why=TRAINED),
            "online_judge_gpu_ids": Key("text", nullable=True, why=TRAINED),
            "parallel_dpo_training": Key("bool", why=TRAINED),
            "eval_max_response_length": Key("int", low=1, high=100_000, why=EVALUATED),
            "eval_temperature": Key("float", high=10, why=EVALUATED),
            "eval_top_p": Key("float", open=True, high=1, why=EVALUATED),
            "eval_batch_size": Key("int", low=1, high=4096, why=EVALUATED),
        }
    ),
    "multiagent_finetuning": PeerMethod(
        {
            "iterations": Key("int", "method.iterations", 1, low=1, high=100),
            "rounds": Key("int", "method.rounds", 2, low=2, high=20),
            "w": Key("float", "method.w", 0.5, high=1),
            "training_ratio": Key("float", open=True, high=1, why="a fifth of dev is held out"),
            "sft_epochs": Key("int", "method.epochs", 1, low=1, high=1000),
            "sft_learning_rate": Key("float", "method.learning_rate", 1e-5, open=True, high=1),
            "sft_batch_size": Key("int", low=1, high=4096, why=RECIPE),
            "sft_grad_accum": Key("int", low=1, high=4096, why=RECIPE),
        }
    ),
}
"""Our name → the method there."""
