"""All that a config of the `modelco` package may name: methods, task types, hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping

from moco.compat import api, logit, text, weight
from moco.compat.keys import Key, PeerMethod

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

LEVELS = {
    "api": api.METHODS,
    "text": text.METHODS,
    "logit": logit.METHODS,
    "weight": weight.METHODS,
}
PEERS: Mapping[str, PeerMethod] = {
    "single_model": PeerMethod(
        {
            "max_response_length": Key("int", "sampling.max_tokens", 100, low=1, high=1_000_000),
        },
        fixed={},
    ),
    **{name: peer for methods in LEVELS.values() for name, peer in methods.items()},
}
"""Our name → the method there."""
METHODS: Mapping[str, str] = {
    **{name: name for name in PEERS},
    **{f"{level}_{name}": name for level, methods in LEVELS.items() for name in methods},
}
"""Name there, with or without its level → name here."""

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
