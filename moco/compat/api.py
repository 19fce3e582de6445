"""The methods of the API level."""

from __future__ import annotations

from collections.abc import Mapping

from moco.compat.keys import Key, PeerMethod

TIES = "answers of equal score teach the router nothing, so no reward model has to part them"

METHODS: Mapping[str, PeerMethod] = {
    "nudging": PeerMethod(
        {
            "gamma": Key("float", "method.gamma", 0.4, high=1),
            "base_model_id": Key("int", "method.base", 0, member=True),
            "nudging_model_id": Key("int", "method.nudging", 1, member=True),
            "search_gamma": Key("bool", "method.search_gamma", False),
            "search_nudging": Key("bool", "method.search_nudging", False),
            "use_kv_cache": Key("bool", why="the cache is always used"),
            "do_sample": Key("bool", why="true is what temperature says; false makes it 0"),
        }
    ),
    "cascade": PeerMethod(
        {
            "mode": Key(
                "choice",
                "method.mode",
                "logit",
                choices=("logit", "just_ask"),
                rename={"logit": "logprob", "just_ask": "ask"},
            ),
            "percentage": Key("float", "method.percentage", 0.5, high=1),
        }
    ),
    "mentor_collab": PeerMethod(
        {
            "decision_proportion": Key("int", "method.decision_proportion", 25, high=100),
            "patch_size": Key("int", "method.patch_size", 16, low=1, high=1024),
            "mode": Key("choice", "method.mode", "free", choices=("free", "train")),
            "task": Key(
                "choice",
                choices=("General", "Math"),
                why="a verifier is trained on the task's own dev",
            ),
            "mlp_threshold": Key(
                "float", "method.mlp_threshold", 0.5, high=1, when=("mode", "train")
            ),
        }
    ),
    "collm": PeerMethod(
        {
            "training_dataset_name": Key(
                "text", why="the task's own dev questions are learnt from"
            ),
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
        }
    ),
    "switch_generation": PeerMethod(
        {
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
        }
    ),
    "prompt_routing": PeerMethod(
        {
            "model_descriptions": Key("texts", "members.description"),
        }
    ),
    "trained_router": PeerMethod(
        {
            "router_base_model": Key("text", "roles.router", "Qwen/Qwen2.5-7B-Instruct"),
            "model_descriptions": Key("texts", "members.description", nullable=True),
            "num_train_epochs": Key("int", "method.epochs", 5, low=1, high=1000),
            "reward_model_gpu_id": Key("int", high=1023, why=TIES),
            "reward_model_name": Key("text", why=TIES),
        },
        fixed={"preset": "paper", "kind": "lm"},
    ),
    "graph_routing": PeerMethod(
        {
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
        }
    ),
}
"""Our name → the method there."""
