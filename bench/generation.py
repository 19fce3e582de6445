"""Generation speed against `transformers.generate`, on one CPU or GPU, interleaved, medians.

    python bench/generation.py [MODEL [QUESTIONS]] [--dtype bfloat16] [--repeats 5] [--share 1]

MODEL is a folder or a name of the catalogue, QUESTIONS a task of the catalogue or a JSON file that
holds a list of texts or of objects with a text under `input`, at its top or under `test`; without
them SmolLM2 135M and GSM8K, pulled before. `--share 0.1` is a quick look. Two loads: 64 prompts
with up to 128 new tokens each, and 128 requests of 8 to 256 new tokens each, in arrival order. The
opponent runs static batches in that order, padded on the left, at the best of four batch sizes;
only tokens that were asked for count. Tokens per second of wall
time decide; tokens per second of this process's CPU time, which neighbours on the machine disturb
less, are shown beside them.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers

from moco import registry, sources
from moco.backends.base import ModelSpec, Row, generate
from moco.backends.hf import HfBackend
from moco.tasks import opening
from moco.types import Request, Sampling

STATIC_BATCHES = (8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Load:
    """Prompts with the new tokens that each may get."""

    name: str
    prompts: Sequence[str]
    limits: Sequence[int]
    target: float
    """How many times the opponent's tokens per second are wanted."""

    def part(self, share: float) -> Load:
        """The first requests of it, for a quick look."""
        count = max(1, round(share * len(self.prompts)))
        return replace(self, prompts=self.prompts[:count], limits=self.limits[:count])


@dataclass(frozen=True, slots=True)
class Rate:
    """Tokens per second of wall time and of CPU time."""

    wall: float
    cpu: float


def model_folder(ref: str) -> Path:
    """Where a model lies; ends the program where it has not been pulled."""
    path = sources.resolve(ref, pull=False)
    if path is None:
        raise SystemExit(f"{ref} is not on this machine; fetch it: moco model pull {ref}")
    return path


def questions_file(ref: str) -> Path:
    """A file as it is, or that of a task; ends the program where it has not been pulled."""
    if Path(ref).is_file():
        return Path(ref)
    path = opening.locate(registry.load("task", ref), pull=False)
    if not isinstance(path, Path):
        raise SystemExit(f"{ref} is not on this machine; fetch it: moco data pull {ref}")
    return path


def questions(path: Path, count: int) -> list[str]:
    """The first texts of a JSON file."""
    found = json.loads(path.read_text(encoding="utf-8"))
    items = found["test"] if isinstance(found, dict) else found
    return [item if isinstance(item, str) else item["input"] for item in items[:count]]


def ours(backend: HfBackend, load: Load) -> int:
    """Answer the load; how many tokens were made."""
    rows = [
        Row(Request("m", prompt, Sampling(max_tokens=limit)), backend.spec, bytes(32))
        for prompt, limit in zip(load.prompts, load.limits, strict=True)
    ]
    return sum(len(generation.token_ids) for generation in generate(backend, rows))


def theirs(model: Any, backend: HfBackend, load: Load, batch: int) -> int:
    """The same through `transformers.generate` in static batches."""
    renderer, made = backend.renderer(backend.spec), 0
    stops = sorted(renderer.stop_ids)
    for start in range(0, len(load.prompts), batch):
        rows = [renderer.ids(prompt) for prompt in load.prompts[start : start + batch]]
        limits = load.limits[start : start + batch]
        width = max(map(len, rows))
        ids = torch.tensor([[stops[0]] * (width - len(r)) + list(r) for r in rows])
        mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows])
        output = model.generate(
            ids.to(model.device),
            attention_mask=mask.to(model.device),
            do_sample=False,
            max_new_tokens=max(limits),
            eos_token_id=stops,
            pad_token_id=stops[0],
        )[:, width:].tolist()
        for row, limit in zip(output, limits, strict=True):
            end = next((i + 1 for i, token in enumerate(row) if token in stops), len(row))
            made += min(end, limit)
    return made


def rate(work: Callable[[], int]) -> Rate:
    """Do the work and time it."""
    wall, cpu = time.perf_counter(), time.process_time()
    tokens = work()
    return Rate(tokens / (time.perf_counter() - wall), tokens / (time.process_time() - cpu))


def compare(
    backend: HfBackend, model: Any, load: Load, repeats: int, static: Sequence[int]
) -> bool:
    """Measure one load and print the ratio; whether the target is met."""
    rates = {b: rate(lambda b=b: theirs(model, backend, load, b)) for b in static}
    best = max(rates, key=lambda b: rates[b].wall)
    shown = ", ".join(f"{b}: {r.wall:.1f}" for b, r in rates.items())
    print(f"{load.name}: transformers tokens/s by static batch: {shown}", flush=True)
    wall, cpu = [], []
    for _ in range(repeats):
        mine = rate(lambda: ours(backend, load))
        other = rate(lambda: theirs(model, backend, load, best))
        wall.append(mine.wall / other.wall)
        cpu.append(mine.cpu / other.cpu)
        print(
            f"  ours {mine.wall:.1f}, transformers at {best} {other.wall:.1f} tokens/s, "
            f"ratio {wall[-1]:.2f} (CPU time {cpu[-1]:.2f})",
            flush=True,
        )
    ratio = statistics.median(wall)
    print(
        f"{load.name}: median ratio {ratio:.2f} (CPU time {statistics.median(cpu):.2f}), "
        f"wanted {load.target}",
        flush=True,
    )
    return ratio >= load.target


def main() -> int:
    """Exit code 0 when every target is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="smollm2-135m")
    parser.add_argument("questions", nargs="?", default="gsm8k")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--share", type=float, default=1.0, help="part of each load's requests")
    parser.add_argument("--static", type=int, nargs="+", default=STATIC_BATCHES)
    parser.add_argument("--load", choices=("equal", "mixed", "both"), default="both")
    options = parser.parse_args()
    folder, file = model_folder(options.model), questions_file(options.questions)
    torch.set_num_threads(options.threads)
    spec = ModelSpec("m", "m", path=folder, dtype=options.dtype)
    backend = HfBackend(spec, options.device)
    model = (
        transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, options.dtype), attn_implementation="sdpa"
        )
        .to(options.device)
        .eval()
    )
    prompts, dice = questions(file, 128), random.Random(0)
    loads = {
        "equal": Load("64 prompts, up to 128 new tokens", prompts[:64], [128] * 64, 1.1),
        "mixed": Load(
            "128 requests of 8 to 256 new tokens",
            prompts,
            [dice.randint(8, 256) for _ in prompts],
            1.5,
        ),
    }
    loads = {name: load.part(options.share) for name, load in loads.items()}
    chosen = loads if options.load == "both" else {options.load: loads[options.load]}
    met = [
        compare(backend, model, load, options.repeats, options.static) for load in chosen.values()
    ]
    return 0 if all(met) else 1


if __name__ == "__main__":
    raise SystemExit(main())
