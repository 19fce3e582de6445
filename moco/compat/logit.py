"""The methods of the logit level."""

from __future__ import annotations

from collections.abc import Mapping

from moco.compat.keys import Key, PeerMethod

METHODS: Mapping[str, PeerMethod] = {
    "logit_fusion": PeerMethod(
        {
            "mode": Key(
                "choice",
                "method.mode",
                "average",
                choices=("average",),
                rename={"average": "product"},
            ),
        }
    ),
    "logit_contrastive": PeerMethod(
        {
            "k": Key("int", "method.k", 1, low=1, high=1000),
            "lambda_": Key("float", "method.strength", 0.2, high=100),
        }
    ),
}
"""Our name → the method there."""
