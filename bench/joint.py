"""What joint decoding costs: fusing three models against one model, at batch 1 and 8.

    python bench/joint.py [--model REF] [--tokens 64] [--repeats 5]

Prints seconds per run (median, runs of the two interleaved) and their ratio; the three models are
three separately loaded copies, so that nothing is shared. At most 3.3 is expected.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

from moco import sources
from moco.backends.base import ModelSpec
from moco.backends.hf import HfBackend
from moco.decoding.joint import run_joint
from moco.engine.jobs import JointRow
from moco.methods.logit.logit_fusion import LogitFusion
from moco.types import Generation, Sampling

QUESTION = "List a few facts about the number {i} and say where it is used."


def seconds(backends: Sequence[HfBackend], batch: int, tokens: int) -> float:
    """Wall time of one fused batch; every row writes exactly `tokens` tokens or ends early."""
    prompts = [QUESTION.format(i=i) for i in range(batch)]
    sampling = Sampling(max_tokens=tokens)
    rows = [JointRow(p, (p,) * len(backends), sampling, bytes(32)) for p in prompts]
    written: list[Generation] = []
    start = time.perf_counter()
    run_joint(
        backends, [b.spec for b in backends], rows, (LogitFusion(), None),
        lambda _, generation: written.append(generation), lambda: False,
    )  # fmt: skip
    assert len(written) == batch
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    path = sources.resolve(args.model)
    spec = ModelSpec("m", args.model, path=path, dtype=args.dtype)
    backends = [HfBackend(spec, "auto") for _ in range(3)]
    for batch in (1, 8):
        seconds(backends, batch, 8)
        pairs = [
            (seconds(backends[:1], batch, args.tokens), seconds(backends, batch, args.tokens))
            for _ in range(args.repeats)
        ]
        one, three = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"batch {batch}: one {one:.2f} s, three fused {three:.2f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
