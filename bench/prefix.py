"""What it saves that rows take over a prompt's beginning from each other, interleaved, medians.

    python bench/prefix.py [--model REF] [--samples 8] [--tokens 32] [--repeats 3]

Two loads, with and without sharing: k samples of one long prompt, and prompts that show the same
question and answers but end in another instruction. Prints read positions, seconds and the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

from moco import sources
from moco.backends import hf_generate
from moco.backends.base import ModelSpec, Row, generate
from moco.backends.hf import HfBackend
from moco.types import Request, Sampling

QUESTIONS = 8
BODY = (
    "A farmer in region {i} has {i} sheep, sells a third of them and buys twelve more. Here are"
    " answers of others. "
    + "One counted the sheep again, step by step, and wrote down each sum with care. "
    * 12
)
ENDS = ("How many are left?", "Which answer is right?", "What is wrong above?", "Rank the answers.")
NEVER = 1 << 30


def rows_of(spec: ModelSpec, samples: int, tokens: int, *, equal: bool) -> list[Row]:
    """Requests: samples of equal prompts, or prompts with different ends."""
    found = []
    for i in range(QUESTIONS):
        for k in range(samples):
            prompt = BODY.format(i=i + 10) + (ENDS[0] if equal else ENDS[k % len(ENDS)])
            sampling = Sampling(temperature=0.7, max_tokens=tokens)
            request = Request(spec.name, prompt, sampling, draw=k)
            found.append(Row(request, spec, bytes([i, k]) * 16))
    return found


def measured(backend: HfBackend, rows: Sequence[Row], shared: int) -> tuple[float, int]:
    """(seconds, positions read)."""
    kept = hf_generate.SHARED
    hf_generate.SHARED = shared
    try:
        start = time.perf_counter()
        found = generate(backend, rows)
    finally:
        hf_generate.SHARED = kept
    return time.perf_counter() - start, sum(g.usage.positions for g in found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    spec = ModelSpec("m", args.model, path=sources.resolve(args.model), dtype=args.dtype)
    backend = HfBackend(spec, "auto")
    for equal, name in ((True, "samples of one prompt"), (False, "prompts with other ends")):
        rows = rows_of(spec, args.samples, args.tokens, equal=equal)
        pairs = [
            (measured(backend, rows, NEVER), measured(backend, rows, hf_generate.SHARED))
            for _ in range(args.repeats)
        ]
        apart, shared = (statistics.median(p[i][0] for p in pairs) for i in (0, 1))
        ratio = statistics.median(a[0] / b[0] for a, b in pairs)
        read = f"{pairs[0][0][1]} and {pairs[0][1][1]} positions"
        print(f"{name}: {apart:.1f} s apart, {shared:.1f} s shared, ratio {ratio:.2f}, {read}")


if __name__ == "__main__":
    main()
