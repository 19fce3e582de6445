"""What joint decoding costs, as ratios: prompts of 200 tokens, 256 new ones, no early end.

    python bench/joint.py [fusion lora reread nudging speculative buffers compiled]
                           [--repeats 5] [--tokens 256]

fusion       three separately loaded models against one (expected: at most 3.3)
lora         three rank-8 adapters on one base against one folded member (at most 1.6 alone, 2.3 in
             a batch of 8) and against three loaded models (at most 0.8)
reread       one fusion against reading everything anew for each token, timed at 16 lengths and
             summed (at least 5 alone, 20 in a batch of 8)
nudging      Gemma nudged by SmolLM2 against Gemma alone, at a threshold where 10 to 20% of the
             tokens come from the nudging model (at most 1.5 alone, 2 in a batch of 8)
speculative  the speculative ensemble against plain fusion of the same two models, alone (below 1
             where more than 60% of the drafts are accepted)
buffers      key-value buffers that grow against such of full length from the start
compiled     layers that went through torch.compile against those as they are

Medians of interleaved runs. Models: smollm2-135m and gemma3-270m, pulled before, in bfloat16.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from moco import sources
from moco.backends.base import LoadSettings, ModelSpec
from moco.backends.hf import HfBackend
from moco.decoding.joint import run_joint
from moco.engine.jobs import JointRow
from moco.methods.api.nudging import Nudging
from moco.methods.base import JointMethod
from moco.methods.logit.logit_fusion import LogitFusion
from moco.rendering import Renderer
from moco.types import Generation, Json, Sampling

PROMPT = 200
LENGTHS = 16
WORDS = "List facts about the number {i} and say where it is used in daily life and in science. "


def loaded(
    ref: str, device: str, adapters: Sequence[Path] = (), compile: bool = False
) -> HfBackend:
    """A model whose answers never end by themselves."""
    path = sources.resolve(ref)
    spec = ModelSpec(ref, ref, path=path, dtype="bfloat16")
    found = HfBackend(spec, device, LoadSettings(compile=compile))
    for spec in (found.spec, *adapted(found.spec, adapters)):
        found.renderer(spec).__dict__["stop_ids"] = frozenset()
    return found


def adapted(spec: ModelSpec, adapters: Sequence[Path]) -> list[ModelSpec]:
    """The model with each of these adapters."""
    return [
        ModelSpec(f.name, str(f), path=spec.path, adapter=f, dtype=spec.dtype, fingerprint=f.name)
        for f in adapters
    ]


def prompt(renderer: Renderer, number: int) -> str:
    """A prompt of so many tokens, as near as whole words allow."""
    words = (WORDS.format(i=number) * 40).split()
    count = next(n for n in range(len(words)) if renderer.count(" ".join(words[:n])) >= PROMPT)
    return " ".join(words[:count])


def write(
    backends: Sequence[HfBackend],
    batch: int,
    tokens: int,
    method: JointMethod[Json] | None = None,
    state: Json = None,
    specs: Sequence[ModelSpec] = (),
) -> tuple[float, list[Generation]]:
    """Wall time of one batch, and what was written."""
    asked = [prompt(backends[0].renderer(backends[0].spec), i) for i in range(batch)]
    sampling = Sampling(max_tokens=tokens)
    rows = [JointRow(p, (p,) * len(backends), sampling, bytes(32)) for p in asked]
    written: list[Generation] = []
    start = time.perf_counter()
    run_joint(
        backends, list(specs) or [b.spec for b in backends], rows,
        (method or LogitFusion(), state), lambda _, g: written.append(g), lambda: False,
    )  # fmt: skip
    assert len(written) == batch
    return time.perf_counter() - start, written


def compare(what: str, runs: Sequence[Callable[[], float]], names: Sequence[str], n: int) -> None:
    """Medians of interleaved runs, each against the first as medians of ratios."""
    table = [[run() for run in runs] for _ in range(n)]
    columns = list(zip(*table, strict=True))
    shown = [f"{name} {statistics.median(c):.2f} s" for name, c in zip(names, columns, strict=True)]
    ratios = [
        f"{name} / {names[0]} {statistics.median(row[i] / row[0] for row in table):.2f}"
        for i, name in enumerate(names)
        if i
    ]
    print(f"{what}: {', '.join(shown)}; {', '.join(ratios)}", flush=True)


def fusion(args: argparse.Namespace) -> None:
    """Three separately loaded models against one."""
    three = [loaded("smollm2-135m", args.device) for _ in range(3)]
    for batch in args.batches:
        write(three, batch, 8)
        runs = [
            lambda own=own, batch=batch: write(own, batch, args.tokens)[0]
            for own in (three[:1], three)
        ]
        compare(f"fusion, batch {batch}", runs, ["one", "three"], args.repeats)


def lora(args: argparse.Namespace) -> None:
    """Three adapters on one base against one folded member, and against three loaded models."""
    with tempfile.TemporaryDirectory() as folder:
        adapters = [random_adapter(Path(folder) / f"lora{i}", i) for i in range(3)]
        shared = loaded("smollm2-135m", args.device, adapters)
        specs = adapted(shared.spec, adapters)
        three = [loaded("smollm2-135m", args.device) for _ in range(3)]
        for batch in args.batches:
            write([shared] * 3, batch, 8, specs=specs)
            runs: list[Callable[[], float]] = [
                lambda batch=batch: write(three[:1], batch, args.tokens)[0],
                lambda batch=batch: write([shared] * 3, batch, args.tokens, specs=specs)[0],
                lambda batch=batch: write(three, batch, args.tokens)[0],
            ]
            names = ["one folded", "three adapters", "three loaded"]
            compare(f"lora, batch {batch}", runs, names, args.repeats)


def random_adapter(folder: Path, seed: int) -> Path:
    """A rank-8 adapter on all linear layers with random weights."""
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import AutoModelForCausalLM

    path = sources.resolve("smollm2-135m")
    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16)
    config = LoraConfig(
        r=8, lora_alpha=16, target_modules="all-linear", task_type=TaskType.CAUSAL_LM,
        init_lora_weights=False,
    )  # fmt: skip
    get_peft_model(base, config).save_pretrained(folder, save_embedding_layers=False)
    return folder


def reread(args: argparse.Namespace) -> None:
    """One fusion of two models against reading prompt and answer anew for each token."""
    two = [loaded("smollm2-135m", args.device) for _ in range(2)]
    spaced = [round(i * (args.tokens - 1) / (LENGTHS - 1)) for i in range(LENGTHS)]
    for batch in [b for b in args.batches if b <= 8]:
        write(two, batch, 8)
        for _ in range(args.repeats):
            cached = write(two, batch, args.tokens)[0]
            ids = torch.randint(100, 1000, (batch, PROMPT + args.tokens), device=two[0].device)
            total = 0.0
            for length in spaced:
                start = time.perf_counter()
                with torch.inference_mode():
                    for backend in two:
                        plain(backend, ids[:, : PROMPT + length])
                total += (time.perf_counter() - start) * args.tokens / LENGTHS
            print(f"reread, batch {batch}: cached {cached:.2f} s, ratio {total / cached:.1f}")


def plain(backend: HfBackend, ids: torch.Tensor) -> torch.Tensor:
    """Logits after each row, everything read anew, as one batch without padding."""
    session = backend.session()
    rows = session.add(len(ids))
    found = session.extend(rows, ids.tolist()).logits_NV
    session.close()
    return found


def nudging(args: argparse.Namespace) -> None:
    """Gemma nudged by SmolLM2 against Gemma alone."""
    base, nudger = loaded("gemma3-270m", args.device), loaded("smollm2-135m", args.device)
    method = Nudging()
    for batch in [b for b in args.batches if b <= 8]:
        shares = {
            g: share(write([base, nudger], batch, args.tokens, method, {"gamma": g})[1])
            for g in (0.1, 0.2, 0.3, 0.4, 0.5)
        }
        best = min(shares, key=lambda g: abs(shares[g] - 0.15))
        state = {"gamma": best}
        part = share(write([base, nudger], batch, args.tokens, method, state)[1])
        print(f"nudging, batch {batch}: gamma {best}, {part:.1%} of the bytes by the nudger")
        runs: list[Callable[[], float]] = [
            lambda batch=batch: write([base], batch, args.tokens)[0],
            lambda batch=batch, state=state: write(
                [base, nudger], batch, args.tokens, method, state
            )[0],
        ]
        compare(f"nudging, batch {batch}", runs, ["base alone", "nudged"], args.repeats)


def share(written: Sequence[Generation]) -> float:
    """Share of the bytes that SmolLM2 wrote."""
    spans = [span for g in written for span in g.notes["spans"]]
    return sum(n for who, n in spans if who == "smollm2-135m") / max(sum(n for _, n in spans), 1)


def speculative(args: argparse.Namespace) -> None:
    """The speculative ensemble against plain fusion of a model and a noisy copy, alone."""
    from moco.methods.logit.speculative_ensemble import SpeculativeEnsemble

    two = [loaded("smollm2-135m", args.device) for _ in range(2)]
    with torch.no_grad():
        for weight in two[1].model.parameters():
            weight.add_(torch.randn_like(weight) * weight.std() * args.noise)
    mixed, fast = LogitFusion(mode="mixture"), SpeculativeEnsemble(mode="mixture")
    _, written = write(two, 1, args.tokens, fast, {})
    drafted = sum(g.notes.get("drafted", 0) for g in written)
    accepted = sum(g.notes.get("accepted", 0) for g in written)
    print(f"speculative: {accepted / max(drafted, 1):.0%} of {drafted} drafts accepted")
    runs: list[Callable[[], float]] = [
        lambda: write(two, 1, args.tokens, mixed)[0],
        lambda: write(two, 1, args.tokens, fast, {})[0],
    ]
    compare("speculative, batch 1", runs, ["fusion", "speculative"], args.repeats)


def buffers(args: argparse.Namespace) -> None:
    """Key-value buffers that grow with their rows against such that are as long as the context of
    prompt and answer from the start.
    """
    from moco.decoding import kv

    one, growing = [loaded("smollm2-135m", args.device)], kv.rounded
    whole = growing(PROMPT + args.tokens + kv.STEP)

    def fixed(batch: int) -> float:
        kv.rounded = lambda length: max(whole, growing(length))
        try:
            return write(one, batch, args.tokens)[0]
        finally:
            kv.rounded = growing

    for batch in args.batches:
        write(one, batch, 8)
        runs: list[Callable[[], float]] = [
            lambda batch=batch: write(one, batch, args.tokens)[0],
            lambda batch=batch: fixed(batch),
        ]
        compare(f"buffers, batch {batch}", runs, ["growing", "fixed"], args.repeats)


def compiled(args: argparse.Namespace) -> None:
    """Compiled layers against plain ones; compiling, before, is timed apart."""
    one = [loaded("smollm2-135m", args.device)]
    start = time.perf_counter()
    other = [loaded("smollm2-135m", args.device, compile=True)]
    write(other, 1, 8)
    print(f"compiled: loaded and compiled in {time.perf_counter() - start:.1f} s", flush=True)
    for batch in args.batches:
        write(other, batch, 8)
        runs: list[Callable[[], float]] = [
            lambda own=own, batch=batch: write(own, batch, args.tokens)[0] for own in (one, other)
        ]
        compare(f"compiled, batch {batch}", runs, ["plain", "compiled"], args.repeats)


PARTS = {f.__name__: f for f in (fusion, lora, reread, nudging, speculative, buffers, compiled)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--noise", type=float, default=0.02, help="of the copy, relative")
    args = parser.parse_args()
    for part in args.parts or PARTS:
        PARTS[part](args)


if __name__ == "__main__":
    main()
