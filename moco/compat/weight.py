"""The methods of the weight level."""

from __future__ import annotations

from collections.abc import Mapping

from moco.compat.keys import FLIGHT, STARTED, Key, PeerMethod

UNWRITTEN = "merged models live in memory; `moco merge` writes one"

METHODS: Mapping[str, PeerMethod] = {
    "greedy_soup": PeerMethod(),
    "dare_ties": PeerMethod(
        {
            "base_model_name": Key("text", "roles.base"),
            "mode": Key("choice", "method.mode", "average", choices=("average", "optimized")),
            "density": Key("float", "method.density", 1.0, high=1),
            "population": Key("int", "method.population", 5, low=2, high=1000),
            "max_iterations": Key("int", "method.max_iterations", 5, low=1, high=1000),
            "dare_ties_base_path": Key("text", why=UNWRITTEN),
            **STARTED,
            **FLIGHT,
        },
        fixed={"preset": "paper", "budget": 0},
    ),
    "model_swarms": PeerMethod(
        {
            "swarm_base_path": Key("text", why=UNWRITTEN),
            "base_model": Key("text", nullable=True, why="adapters bring their base"),
            "fast_merge_flag": Key(
                "bool",
                why="adapters are never made full; their products are added, not their factors",
            ),
            "max_iterations": Key("int", "method.max_iterations", 10, low=1, high=1000),
            **FLIGHT,
        },
        fixed={"preset": "paper", "population": 2},
    ),
    "lorahub": PeerMethod(
        {
            "lorahub_dev_samples": Key("int", "method.examples", 5, low=1, high=1_000_000),
            "max_inference_step": Key("int", "method.budget", 20, low=1, high=1_000_000),
            "lora_weight_bound": Key("float", "method.bound", 1.5, open=True, high=100),
            "regular_coef": Key("float", "method.regular_coef", 0.05, high=100),
            "seed": Key("int", "seed", 42, high=2**63 - 1),
        },
        fixed={"preset": "paper", "objective": "score"},
    ),
    "expo": PeerMethod(
        {
            "mode": Key(
                "choice",
                "method.mode",
                "worst_to_best",
                choices=("worst_to_best", "topk_bottomk", "pairs"),
            ),
            "alpha": Key("float", "method.alpha", 0.3, low=-1, high=10),
            "alpha_mode": Key(
                "choice", "method.alpha_mode", "fixed", choices=("fixed", "optimized")
            ),
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
        }
    ),
}
"""Our name → the method there."""
