"""Trains the pool `zoo://smol-specialists`: three LoRA adapters of smollm2-135m, on generated data.

    OMP_WAIT_POLICY=passive python scripts/train_smol.py [DOMAIN …] [--out DIR]
    OMP_WAIT_POLICY=passive python scripts/train_smol.py --measure

Without a domain all three are trained, one after the other; the seed is fixed. `--measure` asks
the base and the adapters the same held-out questions and prints the table of the model card.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from smol_data import DOMAINS, Domain, draw, held_out, query_of, reply
from torch import Tensor
from torch.nn import functional

from moco import facts, sources
from moco.analysis import stats
from moco.model import Model
from moco.pool import Pool
from moco.rendering import Renderer
from moco.scorers.exact import Exact
from moco.types import Prediction, Sampling

BASE = "smollm2-135m"
POOL = "zoo://smol-specialists"
SEED = 7
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]
RANK, ALPHA = 8, 16
STEPS = 72
WARM_UP = 6
"""Steps of linear warm-up; then the learning rate falls on a cosine to zero."""
PEAK_RATE = 2e-3
TOKENS = 480
"""Token positions of a batch, padding included."""
BLOCK = 64
"""Rows that are drawn together and sorted by length, so that a batch needs little padding."""
SNAPSHOT = 12
"""Steps after which the adapter is stored, so that a training that is stopped leaves one."""
ANSWER_TOKENS = 160


@dataclass(frozen=True, slots=True)
class Row:
    """A question and its reply as token ids, just as the model reads and writes them."""

    ids: tuple[int, ...]
    start: int
    """Where the reply starts; only it is learned."""


def row(renderer: Renderer, rng: random.Random, domain: Domain) -> Row:
    """A training row: the prompt's ids, the reply's, and the token that ends a turn."""
    item = draw(rng, domain, "train")
    prompt = renderer.ids(query_of(item).prompt)
    _, answer = renderer.continuation("", reply(item))
    end = renderer.eos_id if renderer.closer is None else renderer.closer
    if end is None:
        raise ValueError(f"{renderer.folder} names no token that ends a turn")
    return Row((*prompt, *answer, end), len(prompt))


def batches(renderer: Renderer, rng: random.Random, domain: Domain) -> Iterator[list[Row]]:
    """Batches of rows of similar length, without end."""
    while True:
        block = sorted((row(renderer, rng, domain) for _ in range(BLOCK)), key=lambda r: len(r.ids))
        found: list[list[Row]] = [[]]
        for one in block:
            if found[-1] and len(one.ids) * (len(found[-1]) + 1) > TOKENS:
                found.append([])
            found[-1].append(one)
        rng.shuffle(found)
        yield from found


def loss_of(model: Any, batch: Sequence[Row]) -> Tensor:
    """Mean cross-entropy of the replies' tokens.

    Rows are padded on the right, where a causal model does not look, so no mask is needed; only
    the positions that predict a reply's token reach the output layer.
    """
    width = max(len(one.ids) for one in batch)
    ids_BT = torch.zeros((len(batch), width), dtype=torch.long)
    learned_BT = torch.zeros((len(batch), width), dtype=torch.bool)
    for i, one in enumerate(batch):
        ids_BT[i, : len(one.ids)] = torch.tensor(one.ids)
        learned_BT[i, one.start : len(one.ids)] = True
    states_BTH = model.model(input_ids=ids_BT, use_cache=False).last_hidden_state
    logits_NV = model.lm_head(states_BTH[:, :-1][learned_BT[:, 1:]])
    return functional.cross_entropy(logits_NV.float(), ids_BT[:, 1:][learned_BT[:, 1:]])


def new_adapter(base: Path) -> Any:
    """The base in bf16 with a fresh adapter, whose factors are trained in fp32."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    config = LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules=TARGETS, lora_dropout=0.0, task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)


def save(tuned: Any, base: Path, folder: Path) -> None:
    """The adapter in bf16, with the base's name and digest in place of this machine's path."""
    from safetensors.torch import load_file, save_file

    tuned.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    weights = folder / "adapter_model.safetensors"
    rounded = {name: value.to(torch.bfloat16) for name, value in load_file(weights).items()}
    save_file(rounded, weights, metadata={"format": "pt"})
    weights.chmod(0o644)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": BASE, "target_modules": TARGETS}
    write(path, config)
    write(folder / "moco.json", {"base": BASE, "base_sha256": facts.base_digest(base)})


def write(path: Path, value: dict[str, Any]) -> None:
    """An object as a JSON file."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def train(domain: Domain, out: Path, steps: int) -> None:
    """Trains one adapter and stores it."""
    torch.manual_seed(SEED)
    rng = random.Random(f"{domain}-{SEED}")
    base = base_folder()
    renderer, tuned = Renderer(base), new_adapter(base)
    learned = [p for p in tuned.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps - WARM_UP, 1))
    start = torch.optim.lr_scheduler.LinearLR(optimiser, 1 / WARM_UP, total_iters=WARM_UP)
    rate = torch.optim.lr_scheduler.SequentialLR(optimiser, [start, cosine], [WARM_UP])
    tuned.train()
    begun, used = time.time(), time.process_time()
    for step, batch in zip(range(1, steps + 1), batches(renderer, rng, domain), strict=False):
        loss: Any = loss_of(tuned.get_base_model(), batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        rate.step()
        optimiser.zero_grad(set_to_none=True)
        spent = f"{time.time() - begun:.0f} s, {time.process_time() - used:.0f} CPU s"
        print(
            f"{domain} {step}/{steps}: loss {loss.item():.3f}, {len(batch)} rows, {spent}",
            flush=True,
        )
        if step % SNAPSHOT == 0 or step == steps:
            save(tuned, base, out / domain)


def base_folder() -> Path:
    """The base's folder; it is pulled where it is not here yet."""
    found = sources.resolve(BASE)
    if found is None:
        raise FileNotFoundError(f"{BASE} could not be pulled")
    return found


def scores(model: Model, domain: Domain, count: int) -> list[float]:
    """1 or 0 per held-out question."""
    samples = held_out(domain, count, SEED)
    told = model.ask([s.query.prompt for s in samples])
    given = [
        Prediction(s.query.id, text.text, (model.name,), text.stop)
        for s, text in zip(samples, told, strict=True)
    ]
    return [score.value for score in Exact().score(samples, given, {})]


def measure(count: int) -> None:
    """Prints the share of right answers per member and domain, and each specialist's gain."""
    by_member: dict[str, dict[Domain, list[float]]] = {}
    print(f"| member | {' | '.join(DOMAINS)} |\n|---|{'---|' * len(DOMAINS)}", flush=True)
    refs = [BASE, *(f"{POOL}/{domain}" for domain in DOMAINS)]
    with Pool.open(refs, sampling=Sampling(max_tokens=ANSWER_TOKENS), seed=SEED) as pool:
        for model in pool:
            own = {domain: scores(model, domain, count) for domain in DOMAINS}
            shares = [f"{sum(values) / count:.1%}" for values in own.values()]
            print(f"| {model.name} | {' | '.join(shares)} |", flush=True)
            by_member[model.name] = own
    print("\n| specialist in its own domain | gain over the base | 95% interval |\n|---|---|---|")
    for domain in DOMAINS:
        found = stats.paired_difference(by_member[domain][domain], by_member[BASE][domain])
        if found is not None:
            print(f"| {domain} | {found[0]:+.1%} | {found[1]:+.1%} to {found[2]:+.1%} |")


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, or measures what is trained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("domains", nargs="*", default=DOMAINS, metavar="DOMAIN")
    parser.add_argument("--out", type=Path, default=sources.zoo_dir() / "smol-specialists")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--measure", action="store_true", help="measure instead of training")
    parser.add_argument("--count", type=int, default=60, help="held-out questions per domain")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    if chosen.measure:
        measure(chosen.count)
        return
    for domain in DOMAINS:
        if domain in chosen.domains:
            train(domain, chosen.out, chosen.steps)


if __name__ == "__main__":
    main()
