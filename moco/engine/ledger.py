"""Counts what a run asked for: each distinct call once, cached ones apart, by model and stage."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from moco.analysis.cost import CostRule, price
from moco.engine.codec import usage_of
from moco.engine.jobs import Call, Kind
from moco.types import Json, Usage

Purpose = Literal["method", "comparison", "scoring"]


@dataclass(slots=True)
class Tally:
    """Sums over distinct calls."""

    calls: int = 0
    cached_calls: int = 0
    usage: Usage = field(default_factory=Usage)
    price: float = 0.0
    fresh_usage: Usage = field(default_factory=Usage)

    def add(self, usage: Usage, price: float, *, cached: bool) -> None:
        """Count one call."""
        self.calls += 1
        self.cached_calls += cached
        self.usage = self.usage + usage
        self.price += price
        if not cached:
            self.fresh_usage = self.fresh_usage + usage

    def as_json(self, model_loads: int | None = None) -> dict[str, Json]:
        """The members of `usage` in report.json."""
        data: dict[str, Json] = {
            "calls": self.calls,
            "cached_calls": self.cached_calls,
            "prompt_tokens": self.usage.prompt_tokens,
            "generated_tokens": self.usage.generated_tokens,
            "positions": self.usage.positions,
            "rolled_back": self.usage.rolled_back,
            "flops": self.usage.flops,
            "seconds": round(self.usage.seconds, 3),
            "price": round(self.price, 8),
            "fresh_generated_tokens": self.fresh_usage.generated_tokens,
            "fresh_seconds": round(self.fresh_usage.seconds, 3),
        }
        if model_loads is not None:
            data["model_loads"] = model_loads
        return data


class Ledger:
    """Counts the distinct calls of one run; thread-safe."""

    def __init__(
        self,
        record: Callable[[Kind, Call, Mapping[str, Json]], None] | None = None,
        cost: CostRule | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._cost = cost or CostRule("tokens")
        self._costs: dict[tuple[Purpose, str], float] = {}
        self._steps: Counter[tuple[Purpose, str]] = Counter()
        self._seen: dict[str, Purpose] = {}
        self._tallies: dict[tuple[Purpose, str, str], Tally] = {}
        self._queries: dict[tuple[Purpose, str], Usage] = {}
        self._record = record

    def count(
        self, purpose: Purpose, kind: Kind, call: Call, data: Mapping[str, Json], *, cached: bool
    ) -> None:
        """Count a call unless this run has counted its key."""
        with self._lock:
            if call.key in self._seen:
                return
            self._seen[call.key] = purpose
            usage = usage_of(dict(data))
            tally = self._tallies.setdefault((purpose, call.spec.name, call.stage), Tally())
            tally.add(usage, price(call.specs or (call.spec,), usage), cached=cached)
            where = purpose, call.query_id
            self._queries[where] = self._queries.get(where, Usage()) + usage
            cost = self._cost.of(call.spec, usage, call.specs)
            self._costs[where] = self._costs.get(where, 0.0) + cost
            if self._record is not None:
                self._record(kind, call, data)

    def total(self, purpose: Purpose) -> Tally:
        """Everything counted for a purpose."""
        with self._lock:
            return _sum([t for (p, _, _), t in self._tallies.items() if p == purpose])

    def of_query(self, purpose: Purpose, query_id: str) -> Usage:
        """What the calls for one question cost together."""
        with self._lock:
            return self._queries.get((purpose, query_id), Usage())

    def step(self, purpose: Purpose, calls: Sequence[Call]) -> None:
        """Calls were asked for together: one step in a row for each of their questions."""
        with self._lock:
            for query_id in {call.query_id for call in calls}:
                self._steps[purpose, query_id] += 1

    def cost_of(self, purpose: Purpose, query_id: str) -> float:
        """What the calls for one question cost, in the pool's unit."""
        with self._lock:
            return self._costs.get((purpose, query_id), 0.0)

    def steps_of(self, purpose: Purpose, query_id: str) -> int:
        """How many times in a row models were asked for one question."""
        with self._lock:
            return self._steps[purpose, query_id]

    def by_model(self, purpose: Purpose) -> dict[str, dict[str, Json]]:
        """Tallies by model alias, then stage."""
        result: dict[str, dict[str, Json]] = {}
        with self._lock:
            for (p, model, stage), tally in self._tallies.items():
                if p == purpose:
                    result.setdefault(model, {})[stage] = tally.as_json()
        return result


def _sum(tallies: list[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.calls += tally.calls
        total.cached_calls += tally.cached_calls
        total.usage = total.usage + tally.usage
        total.fresh_usage = total.fresh_usage + tally.fresh_usage
        total.price += tally.price
    return total


@dataclass(frozen=True, slots=True)
class PurposeMeter:
    """A ledger seen by jobs of one purpose."""

    ledger: Ledger
    purpose: Purpose

    def on_call(self, kind: Kind, call: Call, data: Mapping[str, Json], *, cached: bool) -> None:
        """Count the call under this purpose."""
        self.ledger.count(self.purpose, kind, call, data, cached=cached)

    def on_job(self, kind: Kind, calls: Sequence[Call]) -> None:
        """Count a step for each question; trainings answer none."""
        if kind != "train":
            self.ledger.step(self.purpose, calls)
