"""What tests of searched weights share: real tiny members, dev questions, a record of all jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moco import Pool, paths
from moco.engine.jobs import Call, Kind
from moco.pool import Dev
from moco.registry import load
from moco.tasks.mini import samples
from moco.types import Sampling

ADAPTERS = [f"zoo://mini/{name}_lora" for name in ("arithmetic", "words", "facts")]
FULL = [f"zoo://mini/{name}" for name in ("arithmetic", "words", "facts")]
Json = Any


def dev(count: int = 12) -> Dev:
    """Dev questions of the bundled task, every domain among them."""
    every = samples("dev")
    return Dev(every[:: max(len(every) // count, 1)][:count], load("scorer", "exact")())


@dataclass
class Jobs:
    """Every job that a pool asked for."""

    asked: list[tuple[str, str, int, int]] = field(default_factory=list)
    """(kind, stage, calls, models)."""

    def on_call(self, kind: Kind, call: Call, data: Mapping[str, Json], *, cached: bool) -> None:
        """Calls are counted by job."""

    def on_job(self, kind: Kind, calls: Sequence[Call]) -> None:
        models = {call.spec.fingerprint for call in calls}
        self.asked.append((kind, calls[0].stage, len(calls), len(models)))

    def of(self, stage: str) -> list[tuple[str, int, int]]:
        """(kind, calls, models) of the jobs of a stage."""
        return [(kind, calls, models) for kind, own, calls, models in self.asked if own == stage]


@contextmanager
def pool_of(
    members: Sequence[Any], roles: Mapping[str, Any] | None = None, seed: int = 0
) -> Iterator[tuple[Pool, Jobs]]:
    """An open pool in float32 that answers in a few tokens, and its jobs."""
    jobs = Jobs()
    opened = Pool.open(
        list(members), roles=roles, sampling=Sampling(max_tokens=24), seed=seed,
        engine={"devices": ["cpu"], "dtype": "float32"},
    )  # fmt: skip
    with opened as pool:
        yield pool.with_(meter=jobs), jobs


def files() -> set[Path]:
    """All files below the user's cache, but the call cache itself."""
    return {
        path
        for path in paths.cache_dir().rglob("*")
        if path.is_file() and not path.name.startswith("calls.sqlite")
    }


def best_on_dev(state: Mapping[str, Json]) -> tuple[float, float]:
    """(dev score of what a guarded search chose, that of the best of what it had to beat)."""
    confirm = state["confirm"]
    return confirm["chosen"]["dev"], max(own["dev"] for own in confirm["to_beat"])
