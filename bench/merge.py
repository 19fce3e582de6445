"""Merging against mergekit and against a plain copy, as ratios of whole processes.

    python bench/merge.py [parity speed copy search] [--mergekit FOLDER] [--repeats 5]

parity  the merge of three checkpoints by each rule that mergekit 0.1.5 has too, compared number by
        number (in float32, rounded to bfloat16 once)
speed   `moco merge` against `mergekit-yaml` on three SmolLM2 checkpoints, interleaved, with the
        peak of anonymous memory (expected: linear at most 0.5 of its time, dare_ties 0.3)
copy    linear and dare_ties on three synthetic checkpoints of 2 GB against copying the same bytes
        in blocks of 1 MiB, read and written, fsync at the end of both; the time of importing
        `moco.weights` is taken off (expected: linear at most 2.5)
search  25 compositions of three adapters on 64 prompts in one batch, against the plain base on
        25 × 64 prompts (expected: at most 1.3), and against merging and loading each on disk

mergekit lives in an environment of its own, made on the first run (`--mergekit`, a folder; the
default is bench-mergekit in the cache folder).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file

from moco import paths, sources

MERGEKIT = ("mergekit==0.1.5", "torch==2.13.0")
RULES: dict[str, dict[str, Any]] = {
    "linear": {"weights": [0.5, 0.2, 0.3]},
    "slerp": {"members": 2, "parameters": {"t": 0.3}},
    "task_arithmetic": {"weights": [0.5, 0.2, 0.3], "parameters": {"lambda": 0.7}},
    "ties": {"weights": [0.5, 0.2, 0.3], "each": {"density": 0.4}},
    "dare_linear": {"weights": [0.5, 0.2, 0.3], "each": {"density": 1.0}},
    "dare_ties": {"weights": [0.5, 0.2, 0.3], "each": {"density": 1.0}},
    "breadcrumbs": {"weights": [0.5, 0.2, 0.3], "each": {"density": 0.8, "gamma": 0.02}},
    "model_stock": {},
    "sce": {"parameters": {"select_topk": 0.3}},
    "karcher": {},
}

PROFILED = """
import pathlib, resource, sys
from torch._C._profiler import _ExperimentalConfig
from torch.profiler import ProfilerActivity, profile
from moco.cli import main
everywhere = _ExperimentalConfig(profile_all_threads=True)
with profile(activities=[ProfilerActivity.CPU], experimental_config=everywhere) as seen:
    main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
total = used.ru_utime + used.ru_stime
rows = sorted(seen.key_averages(), key=lambda row: -row.self_cpu_time_total)[:8]
told = [(row.key, row.self_cpu_time_total / 1e6) for row in rows]
told.append(("all else (files, memory)", total - sum(seconds for _, seconds in told)))
lines = [f"    {key:32} {seconds:6.2f} s {seconds / total:4.0%}" for key, seconds in told]
pathlib.Path(__file__ + ".txt").write_text(chr(10).join(lines) + chr(10))
"""
"""A process that runs the command line under torch's profiler."""


def environment(folder: Path) -> Path:
    """mergekit's command, installed in an environment of its own."""
    command = folder / "bin" / "mergekit-yaml"
    if not command.exists():
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *MERGEKIT]
        subprocess.run(pip, check=True)
    return command


def checkpoints(root: Path, count: int = 3) -> tuple[Path, list[Path]]:
    """(SmolLM2, copies of it with noise of a tenth of each tensor's spread)."""
    base, made = sources.resolve("smollm2-135m"), []
    state = load_file(base / "model.safetensors")
    for i in range(count):
        folder = root / f"m{i}"
        shutil.copytree(base, folder)
        torch.manual_seed(i)
        noisy = {
            name: (t.float() + 0.1 * t.float().std() * torch.randn(t.shape)).to(t.dtype)
            for name, t in state.items()
        }
        save_file(noisy, folder / "model.safetensors", metadata={"format": "pt"})
        made.append(folder)
    return base, made


def config(rule: str, base: Path, members: Sequence[Path], **changes: Any) -> dict[str, Any]:
    """A merge in mergekit's form."""
    told = RULES[rule] | changes
    count = told.get("members", 3)
    models = []
    for i, folder in enumerate(members[:count]):
        own = dict(told.get("each", {}))
        if "weights" in told:
            own["weight"] = told["weights"][i]
        models.append({"model": str(folder), **({"parameters": own} if own else {})})
    data: dict[str, Any] = {
        "merge_method": rule, "models": models, "parameters": told.get("parameters", {}),
        "dtype": "float32", "out_dtype": "bfloat16",
    }  # fmt: skip
    if rule == "slerp":
        data["base_model"] = str(members[0])
    elif rule not in ("linear", "karcher"):
        data["base_model"] = str(base)
    return data


def ours(file: Path, out: Path) -> list[str]:
    """The command that merges a config here."""
    return [sys.executable, "-m", "moco", "merge", str(file), "-o", str(out), "--no-verify"]


def theirs(command: Path, file: Path, out: Path) -> list[str]:
    """The command that merges it with mergekit."""
    return [str(command), str(file), str(out), "--quiet"]


def timed(command: Sequence[str], out: Path) -> tuple[float, float]:
    """(seconds, peak of anonymous memory in MB) of a process; its result folder is removed
    before.
    """
    shutil.rmtree(out, ignore_errors=True)
    os.sync()
    start, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        try:
            lines = [x for x in status.read_text().splitlines() if x.startswith("RssAnon")]
        except OSError:
            lines = []
        peak = max([peak, *(int(x.split()[1]) for x in lines)])
        time.sleep(0.005)
    if process.returncode:
        assert process.stderr is not None
        sys.exit(process.stderr.read().decode()[-2000:])
    return time.perf_counter() - start, peak / 1000


def parity(command: Path, base: Path, members: Sequence[Path], work: Path) -> None:
    """Compare every rule's result number by number."""
    for rule in RULES:
        file = work / f"{rule}.yaml"
        file.write_text(yaml.safe_dump(config(rule, base, members)))
        timed(theirs(command, file, work / "theirs"), work / "theirs")
        timed(ours(file, work / "ours"), work / "ours")
        one, two = (load_state(work / side) for side in ("ours", "theirs"))
        states = [load_state(folder) for folder in (base, *members)]
        missing = sorted(one.keys() ^ two.keys())
        apart, at_edges, worst, total = 0, 0, 0.0, 0
        for name in one.keys() & two.keys():
            a, b = one[name].float(), two[name].float()
            # one step of bfloat16 is at most 1/128 of the number; sums in float32 are off by less
            wrong = (a - b).abs() > b.abs() / 128 + 1e-6
            excused = edges(rule, [state[name].float() for state in states])
            at_edges += int((wrong & excused).sum())
            wrong &= ~excused
            apart, total = apart + int(wrong.sum()), total + b.numel()
            worst = max([worst, *(a - b)[wrong].abs().tolist()])
        print(
            f"{rule:16} {apart:>6,} of {total:,} numbers differ by more than a bfloat16 step"
            f" (by {worst:.1e} at most), besides {at_edges:,} that lie at the edge of what is"
            f" kept, where the choice among equals differs; tensors not in both:"
            f" {missing or 'none'}",
            flush=True,
        )


def edges(rule: str, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Entries where a member's magnitude, or the variance, is that of the last entry kept."""
    base, members = tensors[0], tensors[1:]
    size, told = base.numel(), RULES[rule]
    found = torch.zeros(base.shape, dtype=torch.bool)
    deltas = [member - base for member in members]
    if rule in ("ties", "breadcrumbs"):
        each = told["each"]
        over = int(each.get("gamma", 0) * size)
        for ranks in {over, over + int(each["density"] * size)} - {0}:
            for delta in deltas:
                sizes = delta.abs().reshape(-1)
                kept = max(size - ranks, 0)
                for place in {kept, min(kept + 1, size)} - {0}:
                    found |= delta.abs() == sizes.kthvalue(place).values
    if rule == "sce":
        spread = torch.var(torch.stack(deltas), dim=0, unbiased=False)
        count = int(int(torch.count_nonzero(spread)) * told["parameters"]["select_topk"])
        if count:
            edge = spread.reshape(-1).kthvalue(size - count + 1).values
            found |= (spread - edge).abs() <= 1e-5 * edge
    return found


def load_state(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint folder."""
    return {
        name: t
        for file in sorted(folder.glob("*.safetensors"))
        for name, t in load_file(file).items()
    }


def speed(command: Path, base: Path, members: Sequence[Path], work: Path, repeats: int) -> None:
    """Whole processes against mergekit, interleaved."""
    for rule, limit in (("linear", 0.5), ("dare_ties", 0.3)):
        file = work / f"{rule}.yaml"
        changes = {"each": {"density": 0.5}} if rule == "dare_ties" else {}
        data = config(rule, base, members, **changes)
        file.write_text(yaml.safe_dump(data | {"dtype": "bfloat16"}))
        runs: dict[str, list[tuple[float, float]]] = {"moco": [], "mergekit": []}
        for _ in range(repeats):
            runs["moco"].append(timed(ours(file, work / "ours"), work / "ours"))
            runs["mergekit"].append(timed(theirs(command, file, work / "theirs"), work / "theirs"))
        mine, other = (statistics.median(t for t, _ in runs[k]) for k in ("moco", "mergekit"))
        verified = timed(ours(file, work / "ours")[:-1], work / "ours")[0]
        print(
            f"{rule:10} moco {mine:.2f} s, mergekit {other:.2f} s: {mine / other:.2f} (limit"
            f" {limit}); peak of anonymous memory {max(m for _, m in runs['moco']):.0f} MB against"
            f" {max(m for _, m in runs['mergekit']):.0f} MB; with verifying {verified:.2f} s",
            flush=True,
        )


def copy(work: Path, repeats: int) -> None:
    """Three checkpoints of 2 GB against a copy of the same bytes."""
    folders = [synthetic(work / f"big{i}", i) for i in range(4)]
    base, members = folders[3], folders[:3]
    imported = statistics.median(
        timed([sys.executable, "-c", "import moco.weights.merge"], work / "none")[0]
        for _ in range(3)
    )
    for rule in ("linear", "dare_ties"):
        file = work / f"{rule}.yaml"
        changes = {"each": {"density": 0.5}} if rule == "dare_ties" else {}
        file.write_text(yaml.safe_dump(config(rule, base, members, **changes)))
        read = [*members, base] if rule == "dare_ties" else members
        mine, plain = [], []
        for _ in range(repeats):
            plain.append(copied([f / "model.safetensors" for f in read], work / "copy.bin"))
            mine.append(timed(ours(file, work / "ours"), work / "ours")[0])
        a, b = statistics.median(mine) - imported, statistics.median(plain)
        shutil.rmtree(work / "ours", ignore_errors=True)
        limit = " (limit 2.5)" if rule == "linear" else ""
        size = sum((f / "model.safetensors").stat().st_size for f in [*read, read[0]]) / 1e9
        print(
            f"{rule:10} {a:.2f} s ({size / a:.2f} GB/s) without {imported:.2f} s of importing;"
            f" the copy {b:.2f} s ({size / b:.2f} GB/s): {a / b:.2f}{limit}",
            flush=True,
        )
        profile(ours(file, work / "ours"), work)


def profile(command: Sequence[str], work: Path) -> None:
    """Where one merge's time goes: seconds of all threads per operation of torch."""
    script = work / "profiled.py"
    script.write_text(PROFILED)
    out = work / "ours"
    timed([command[0], str(script), *command[3:]], out)
    shutil.rmtree(out, ignore_errors=True)
    print(Path(str(script) + ".txt").read_text(), end="", flush=True)


def synthetic(folder: Path, seed: int) -> Path:
    """A checkpoint of 2 GB in bfloat16 that no model has."""
    folder.mkdir(parents=True)
    shutil.copytree(sources.resolve("smollm2-135m"), folder, dirs_exist_ok=True)
    torch.manual_seed(seed)
    state = {
        f"model.layers.{i}.mlp.weight": torch.randn(4096, 4096).to(torch.bfloat16)
        for i in range(60)
    }
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def copied(files: Sequence[Path], out: Path) -> float:
    """Seconds to read all files and to write one file's bytes, in blocks of 1 MiB."""
    out.unlink(missing_ok=True)
    os.sync()
    start = time.perf_counter()
    buffer = bytearray(1 << 20)
    with out.open("wb", buffering=0) as handle:
        for i, file in enumerate(files):
            with file.open("rb", buffering=0) as source:
                while count := source.readinto(buffer):
                    if i == 0:
                        handle.write(memoryview(buffer)[:count])
        os.fsync(handle.fileno())
    seconds = time.perf_counter() - start
    out.unlink()
    return seconds


def adapters(root: Path, base: Path) -> list[Path]:
    """Three adapters of rank 8 with small random factors."""
    from moco import lora

    made = []
    slots = {n: t.shape for n, t in load_file(base / "model.safetensors").items()}
    for i in range(3):
        folder = root / f"lora{i}"
        folder.mkdir()
        torch.manual_seed(i)
        state = {}
        for name, shape in slots.items():
            if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight")):
                module = lora.PREFIX + name.removesuffix(".weight")
                state[f"{module}.lora_A.weight"] = 0.02 * torch.randn(8, shape[1])
                state[f"{module}.lora_B.weight"] = 0.02 * torch.randn(shape[0], 8)
        save_file(state, folder / lora.WEIGHTS)
        settings = {
            "peft_type": "LORA",
            "r": 8,
            "lora_alpha": 16,
            "base_model_name_or_path": str(base),
        }
        (folder / lora.CONFIG).write_text(json.dumps(settings))
        made.append(folder)
    return made


def search(work: Path, repeats: int) -> None:
    """25 compositions in one batch against the base alone, and against 25 merges on disk."""
    from moco.pool import Pool
    from moco.types import Request, Sampling

    base = sources.resolve("smollm2-135m")
    loras = adapters(work, base)
    members = [{"model": str(base), "adapter": str(folder)} for folder in loras]
    prompts = [f"Number {i}: name three things that come in groups of {i}." for i in range(64)]
    sampling = Sampling(max_tokens=32)
    spent: dict[str, list[float]] = {"plain": [], "search": [], "disk": []}
    written = 0
    for round_ in range(repeats):
        points = torch.rand(25, 3, generator=torch.Generator().manual_seed(round_)).tolist()
        for kind in ("plain", "search"):
            cache = work / f"cache{round_}{kind}"
            os.environ["XDG_CACHE_HOME"] = str(cache)
            with Pool.open([{"model": str(base), "name": "base"}, *members]) as pool:
                pool.named("base").ask(["Say hello."], sampling=sampling)  # loads it
                names = pool.names[1:]
                mixes = [pool.compose(dict(zip(names, row, strict=True))) for row in points]
                wide = pool.including(mixes)
                asked = [
                    Request("base" if kind == "plain" else mix.name, f"{k}. {p}", sampling)
                    for k, mix in enumerate(mixes)
                    for p in prompts
                ]
                start = time.perf_counter()
                found = wide.generate(asked)
                seconds = time.perf_counter() - start
                tokens = sum(g.usage.generated_tokens for g in found)
            spent[kind].append(seconds / tokens)
            written += len(list(cache.rglob("*.safetensors")))
            print(f"{kind:7} {seconds:6.1f} s, {tokens:,} tokens", flush=True)
        spent["disk"] += [
            merged_and_loaded(work / "disk", members, row) / tokens for row in points[:3]
        ]
    del os.environ["XDG_CACHE_HOME"]
    plain, ours, disk = (statistics.median(spent[kind]) for kind in ("plain", "search", "disk"))
    print(
        f"search against plain, per token: {ours / plain:.2f} (limit 1.3); files written: {written}"
    )
    print(
        f"search against 25 merges on disk, each loaded: {ours / (25 * disk):.2f}; against these"
        f" and the plain generation: {ours / (25 * disk + plain):.2f}"
    )


def merged_and_loaded(
    out: Path, members: Sequence[Mapping[str, Any]], row: Sequence[float]
) -> float:
    """Seconds to write one merge of adapters as a checkpoint and to load it."""
    from moco.merging.config import parsed
    from moco.merging.run import MergeOptions, merge
    from moco.pool import Pool
    from moco.types import Sampling

    pool = [{**member, "name": f"m{i}"} for i, member in enumerate(members)]
    weights = {f"m{i}": weight for i, weight in enumerate(row)}
    method = {"name": "task_arithmetic", "scale": 1.0, "weights": weights}
    config = parsed({"method": method, "pool": pool})
    start = time.perf_counter()
    merge(config, out, MergeOptions(verify=False))
    with Pool.open([str(out)]) as pool:
        pool[0].ask(["Say hello."], sampling=Sampling(max_tokens=1))
    seconds = time.perf_counter() - start
    print(f"disk    {seconds:6.1f} s for one merge, written and loaded", flush=True)
    shutil.rmtree(out)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["parity", "speed", "copy", "search"])
    parser.add_argument("--mergekit", type=Path, default=paths.cache_dir() / "bench-mergekit")
    parser.add_argument("--repeats", type=int, default=5)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        if {"parity", "speed"} & set(told.parts):
            command = environment(told.mergekit)
            base, members = checkpoints(work)
            if "parity" in told.parts:
                parity(command, base, members, work)
            if "speed" in told.parts:
                speed(command, base, members, work, told.repeats)
        if "copy" in told.parts:
            copy(work, told.repeats)
        if "search" in told.parts:
            search(work, told.repeats)


if __name__ == "__main__":
    main()
