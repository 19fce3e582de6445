"""What the common checks need: a small task, small pools for every method, pools on an engine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from folders import save_adapter

from moco import registry
from moco.config import RunConfig, parse
from moco.engine.cache import digest
from moco.engine.engine import Engine
from moco.engine.jobs import Call, Kind
from moco.methods.base import Method
from moco.plan import plan, sampling_of
from moco.pool import Context, Dev, Model, Pool
from moco.runner import make_engine
from moco.types import Json, Query

METHODS = registry.names("method")
TOPICS = ("The end", "question 7", "And so on", "the answer 12", "1 2 3", "a end", "of 9", "is 4")

PARAMETERS: Mapping[str, Mapping[str, Json]] = {
    "single_model": {"member": "one"},
    "multiagent_refine": {"stop_on_consensus": False},
    "sparta": {"num_iterations": 1, "num_instructions": 4},
    "collm": {"learn": "both", "epochs": 1},
    "switch_generation": {"patch_size": 4, "training_instances": 12, "rollouts": 2},
    "sparta_stackelberg": {"num_iterations": 1, "num_instructions": 4},
    "multiagent_finetuning": {"labels": "gold", "keep": "tuned"},
}
"""Hyperparameters without which the defaults would not exercise a method."""


def write_task(folder: Path) -> Path:
    """Eight dev and eight test questions with choices."""
    path = folder / "task.jsonl"
    lines = [
        {
            "id": f"{split}-{i}", "split": split, "question": f"{topic} ({split})?",
            "kind": "choice", "choices": ["the", "end", "of"], "answer": "ABC"[i % 3],
        }
        for split in ("dev", "test")
        for i, topic in enumerate(TOPICS)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


BASE = "base"
"""Folder of the model that takes the role of the others' base."""


def parameters_of(name: str) -> dict[str, Json]:
    """The hyperparameters of a method's checks; merges have such that keep equal members as they
    are.
    """
    return {**getattr(registry.load("method", name), "plain", {}), **PARAMETERS.get(name, {})}


def build(name: str, **changes: Json) -> Method[Any]:
    """A method with the parameters of its checks."""
    parameters = {**parameters_of(name), **changes}
    method: Method[Any] = parse(registry.load("method", name), parameters)
    return method


def adapter_of(folder: Path) -> Path:
    """A member's stand-in: an adapter of the base beside it, other for each member, made once."""
    made = folder.with_name(f"{folder.name}_lora")
    if not made.exists():
        save_adapter(made, folder.with_name(BASE), seed=int(digest(folder.name)[:4], 16))
    return made


def config_of(
    name: str,
    members: list[Any],
    task: Path,
    *,
    dev: int | None = None,
    max_calls: int | None = None,
    **changes: Json,
) -> RunConfig:
    """A run of the method on the small task; one that takes adapters only gets some in place of
    full checkpoints.
    """
    if "base" in build(name).needs().same and isinstance(members[0], str):
        members = [str(adapter_of(Path(member))) for member in members]
    data: dict[str, Any] = {
        "method": {"name": name, **parameters_of(name)},
        "task": {"path": str(task), "dev": dev},
        "pool": members,
        "sampling": {"max_tokens": 12, "temperature": 0},
        "engine": {"devices": ["cpu"], "max_calls": max_calls},
    }
    roles = build(name).needs().roles
    if "embedder" in roles:
        data["roles"] = {"embedder": "zoo://mini/embedder"}
    if "base" in roles and isinstance(members[0], str):
        data["roles"] = {"base": str(Path(members[0]).with_name(BASE))}
    config: RunConfig = parse(RunConfig, data | changes)
    return config


@dataclass
class Counter:
    """Counts fresh and cached calls."""

    fresh: int = 0
    cached: int = 0
    keys: set[str] = field(default_factory=set)

    def on_call(self, kind: Kind, call: Call, data: Mapping[str, Json], *, cached: bool) -> None:
        if call.key not in self.keys:
            self.fresh += not cached
            self.cached += cached
        self.keys.add(call.key)

    def on_job(self, kind: Kind, calls: Sequence[Call]) -> None:
        """Steps are not counted here."""


@dataclass
class Bench:
    """An open pool with its questions."""

    pool: Pool
    dev: Dev
    queries: list[Query]
    calls: Counter
    engine: Engine


@contextmanager
def opened(config: RunConfig, seed: int = 0) -> Iterator[Bench]:
    """The config's pool on an engine of its own."""
    planned = plan(config, pull=True)
    planned.require()
    assert planned.task is not None
    engine = make_engine(config.engine)
    calls = Counter()
    context = Context(engine, sampling_of(config), seed, meter=calls)
    roles = {role: Model(spec, context) for role, spec in planned.members.roles.items()}
    pool = Pool([Model(spec, context) for spec in planned.members.pool], roles, context)
    dev = Dev(planned.task.dev, planned.task.scorer)
    try:
        yield Bench(pool, dev, [s.query for s in planned.task.test], calls, engine)
    finally:
        engine.close()
        engine.cache.close()


def samples_of(folder: Path) -> list[dict[str, Json]]:
    """The lines of a run's samples.jsonl, without the time they took."""
    lines = (folder / "samples.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
