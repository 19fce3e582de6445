"""The whole data flow: config → pool → method → predictions → scores → report.

Running the same config again finishes or replays the run: every model call is looked up in the
cache first, so no method contains resume code.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from moco import manifest, members, paths
from moco.analysis import cost, routes, stats, units
from moco.analysis.emergence import emergence
from moco.analysis.oracle import oracle
from moco.backends.base import LoadSettings
from moco.config import EngineConfig, RunConfig, memory_bytes
from moco.engine.cache import Cache
from moco.engine.engine import Engine, Progress
from moco.engine.jobs import WorkerSettings
from moco.engine.lanes import with_lanes
from moco.engine.ledger import Ledger, PurposeMeter
from moco.methods.base import Method
from moco.plan import Plan, TaskData, fit_context, plan, sampling_of
from moco.pool import Context, Dev, Model, Pool
from moco.report.report import Report
from moco.store.run_dir import RunDir, folder_name
from moco.types import Json, Prediction, Score

LOG = logging.getLogger("moco")


def run(
    config: RunConfig,
    log_dir: Path = Path("runs"),
    *,
    engine: Engine | None = None,
    progress: Progress | None = None,
    accept_licence: bool = False,
    files: bool = True,
) -> Report:
    """Run one method on one task and return its report; `engine` may be shared by several runs."""
    planned = plan(config, pull=True, accept_licence=accept_licence, files=files)
    planned.require()
    assert planned.task is not None
    data = fit_context(planned, sampling_of(config), config.on_too_long)
    digest = manifest.run_digest(planned, data)
    folder = log_dir.expanduser() / folder_name(planned.method.name(), data.name, digest)
    with RunDir(folder) as store, opened(config.engine, engine, progress) as running:
        store.write_config(manifest.resolved(config))
        store.write("manifest.json", manifest.manifest(planned, data, digest, "running"))
        report = _Run(planned, data, store, running).report()
        store.write("report.json", report.to_json())
        store.write("manifest.json", manifest.manifest(planned, data, digest, "done"))
    return report


@contextmanager
def opened(
    config: EngineConfig, engine: Engine | None, progress: Progress | None
) -> Iterator[Engine]:
    """The given engine, or one of its own for the length of a run."""
    if engine is not None:
        yield engine
        return
    made = make_engine(config, progress)
    try:
        yield made
    finally:
        made.close()
        made.cache.close()


def make_engine(config: EngineConfig, progress: Progress | None = None) -> Engine:
    """An engine over the user's call cache."""
    devices, notes = members.devices(config)
    for note in notes:
        LOG.warning(note)
    load = LoadSettings(config.max_batch_tokens, config.compile)
    settings = WorkerSettings(devices, load, memory_bytes(config.memory))
    if config.executor == "process":
        from moco.engine.process import ProcessExecutor as Executor
    else:
        from moco.engine.inline import InlineExecutor as Executor  # type: ignore[assignment]
    cache = Cache(paths.cache_dir() / "calls.sqlite")
    lanes = with_lanes(Executor)
    return Engine(cache, lanes, settings, max_fresh_calls=config.max_calls, progress=progress)


@dataclass
class _Run:
    """One run under way."""

    plan: Plan
    data: TaskData
    store: RunDir
    engine: Engine

    def report(self) -> Report:
        """Fit, predict, score, compare."""
        config, method = self.plan.config, self.plan.method
        rule = cost.rule_for(self.plan.members.pool)
        ledger = Ledger(self.store.record_call, rule)
        loads = len(self.engine.loads)
        pool = self._pool(PurposeMeter(ledger, "method"))
        other = self._pool(PurposeMeter(ledger, "comparison"))
        graders = self._pool(PurposeMeter(ledger, "scoring")).roles
        dev = Dev(self.data.dev, self.data.scorer, graders, self.data.counting)
        fit_dev, select_dev = (
            dev.split() if config.fallback == "best_single" else (dev, dev.split()[1])
        )
        state = method.fit(pool, fit_dev)
        self.store.write("state.json", state)
        draws = [self._predict(pool, method, state, draw) for draw in range(config.samples)]
        comparison = _Comparison(other, dev, self.data, config.samples) if config.compare else None
        sweep = self._sweep(other, method, state, comparison, ledger)
        would = self._gate(other, method, state, select_dev, comparison)
        fell_back = bool(would) and config.fallback == "best_single"
        if fell_back and comparison is not None:
            draws = comparison.single_predictions()
        scores = [self.data.scorer.score(self.data.test, own, graders) for own in draws]
        self._record(draws, scores, ledger)
        found = self._summary(
            ledger, scores, comparison, graders, would, fell_back, len(self.engine.loads) - loads
        )
        costs = {"unit": rule.unit, **self._costs(ledger, scores, comparison), **sweep}
        return replace(found, costs=costs)

    def _pool(self, meter: PurposeMeter) -> Pool:
        context = Context(
            self.engine,
            sampling_of(self.plan.config),
            self.plan.config.seed,
            meter=meter,
            artifacts=self.store.path / "artifacts",
        )
        found = self.plan.members
        roles = {role: Model(spec, context) for role, spec in found.roles.items()}
        return Pool([Model(spec, context) for spec in found.pool], roles, context)

    def _predict(self, pool: Pool, method: Method[Any], state: Any, draw: int) -> list[Prediction]:
        queries = [s.query for s in self.data.test]
        found = method.predict(pool.with_(draw=draw), queries, state)
        if [p.query_id for p in found] != [q.id for q in queries]:
            raise AssertionError(f"{method.name()} must give one prediction per query, in order")
        return found

    def _gate(
        self,
        pool: Pool,
        method: Method[Any],
        state: Any,
        select: Dev,
        comparison: _Comparison | None,
    ) -> bool | None:
        """Whether the method is no better than the dev-best single model on the select half of
        dev.
        """
        if method.level == "baseline" or comparison is None or not len(select):
            return None
        ids = [q.id for q in select.queries]
        ours = select.score(ids, [p.text for p in method.predict(pool, select.queries, state)])
        theirs = comparison.dev_scores_of(comparison.best_dev, ids)
        return sum(ours) <= sum(theirs)

    def _sweep(
        self,
        pool: Pool,
        method: Method[Any],
        state: Any,
        comparison: _Comparison | None,
        ledger: Ledger,
    ) -> dict[str, Json]:
        """The method's accuracy-cost curve, and how many model calls drawing it took."""
        if comparison is None:
            return {}
        before = ledger.total("comparison")
        plans = method.points(pool, [s.query for s in self.data.test], state)
        if not plans:
            return {}
        after = ledger.total("comparison")
        table = comparison.table(pool)
        return {**routes.curve(table, plans), "curve_calls": after.calls - before.calls}

    def _costs(
        self, ledger: Ledger, scores: Sequence[Sequence[Score]], comparison: _Comparison | None
    ) -> dict[str, Json]:
        """What the answers cost per question, and what else that would have bought."""
        ids, draws = [s.query.id for s in self.data.test], len(scores)
        spent = routes.Spent(
            self.data.counting.values(self.data.test, scores),
            [ledger.cost_of("method", i) / draws for i in ids],
            [ledger.steps_of("method", i) // draws for i in ids],
        )
        found = routes.spending(spent)
        if comparison is None:
            return found
        table = comparison.table(self._pool(PurposeMeter(ledger, "comparison")))
        return {**found, **routes.against_members(spent, table, comparison.best_dev)}

    def _record(
        self,
        draws: Sequence[Sequence[Prediction]],
        scores: Sequence[Sequence[Score]],
        ledger: Ledger,
    ) -> None:
        for draw, (predictions, own) in enumerate(zip(draws, scores, strict=True)):
            for prediction, score in zip(predictions, own, strict=True):
                usage = ledger.of_query("method", prediction.query_id)
                self.store.samples.append(
                    {
                        "query_id": prediction.query_id,
                        "draw": draw,
                        "prediction": prediction.text,
                        "answer": score.answer,
                        "status": score.status,
                        "score": score.value,
                        "why": score.why,
                        "by": list(prediction.by),
                        "stop": prediction.stop,
                        "notes": dict(prediction.notes),
                        "tokens": usage.generated_tokens,
                        "seconds": round(usage.seconds, 3),
                    }
                )

    def _summary(
        self,
        ledger: Ledger,
        scores: Sequence[Sequence[Score]],
        comparison: _Comparison | None,
        graders: Mapping[str, Model],
        would: bool | None,
        fell_back: bool,
        loads: int,
    ) -> Report:
        flat = [s for own in scores for s in own]
        counting = self.data.counting
        values = counting.values(self.data.test, scores)
        clusters = counting.clusters(self.data.test)
        tables = counting.by_slice(self.data.test, values)
        config = self.plan.config
        best = comparison.best_dev if comparison else None
        theirs = comparison.test[best] if comparison and best is not None else None
        return Report(
            method=self.plan.method.name(),
            task=self.data.name,
            pool=[s.name for s in self.plan.members.pool],
            n=len(stats.known(values)),
            n_invalid=sum(v is None for v in values),
            n_unparsed=sum(s.status in ("empty", "ambiguous", "abstained") for s in flat),
            n_truncated=sum(s.status == "truncated" for s in flat),
            n_skipped=self.data.skipped,
            n_groups=len(set(clusters or ())),
            score=stats.mean(values),
            ci95=stats.interval(values, clusters),
            singles={name: stats.mean(own) for name, own in comparison.test.items()}
            if comparison
            else {},
            singles_dev=dict(comparison.dev_means) if comparison else {},
            best_single_dev=best,
            best_single_test=comparison.best_test if comparison else None,
            oracle=stats.mean(oracle(comparison.test)) if comparison else None,
            emergence=emergence(values, comparison.test)
            if comparison and self.data.scorer.bounded
            else {},
            difference=None
            if theirs is None
            else stats.paired_difference(values, theirs, clusters),
            would_fall_back=would,
            fell_back=fell_back,
            usage=ledger.total("method").as_json(loads),
            usage_comparison=ledger.total("comparison").as_json(0),
            by_model={
                "method": ledger.by_model("method"),
                "comparison": ledger.by_model("comparison"),
                "scoring": ledger.by_model("scoring"),
            },
            scorer=type(self.data.scorer).__name__.lower(),
            metric=self.data.scorer.metric(graders),
            bounded=self.data.scorer.bounded,
            metrics=self.data.scorer.metrics(scores),
            slices=tables,
            macro=units.macro(tables),
            usage_scoring=ledger.total("scoring").as_json(0),
            data_sha256=self.data.sha256,
            notes=(*config.notes, *self.data.notes),
            path=self.store.path,
        )


class _Comparison:
    """Every member alone, on dev and test."""

    def __init__(self, pool: Pool, dev: Dev, data: TaskData, samples: int) -> None:
        self._pool, self._data, self._samples = pool, data, samples
        queries = [s.query for s in data.test]
        self._texts = [pool.with_(draw=d).ask_all(queries) for d in range(samples)]
        self.test: dict[str, list[stats.Value]] = {}
        self._scores: dict[str, list[Score]] = {}
        for i, name in enumerate(pool.names):
            own = [
                data.scorer.score(data.test, self._predictions(i, d), dev.roles)
                for d in range(samples)
            ]
            self.test[name] = data.counting.values(data.test, own)
            self._scores[name] = own[0]
        self._ids = [q.id for q in dev.queries]
        given = pool.ask_all(dev.queries)
        self._dev = {
            name: dev.score(self._ids, [g.text for g in own])
            for name, own in zip(pool.names, given, strict=True)
        }
        self.dev_means: Mapping[str, float | None] = {
            name: stats.mean(own) for name, own in self._dev.items()
        }
        self.best_dev = (
            _best(self.dev_means) if len(dev) else (pool.names[0] if len(pool) == 1 else None)
        )
        self.best_test = _best({name: stats.mean(own) for name, own in self.test.items()})

    def _predictions(self, member: int, draw: int) -> list[Prediction]:
        texts = self._texts[draw][member]
        return [
            Prediction(s.query.id, g.text, (self._pool.names[member],), g.stop)
            for s, g in zip(self._data.test, texts, strict=True)
        ]

    def table(self, pool: Pool) -> routes.MemberTable:
        """The members' answers of the first draw, with their costs."""
        named = zip(pool.names, self._texts[0], strict=True)
        return routes.MemberTable(
            scores=self._scores,
            costs={name: [pool.cost_of(name, g) for g in own] for name, own in named},
            values=lambda scores: self._data.counting.values(self._data.test, [scores]),
            compare=partial(
                stats.paired_difference, clusters=self._data.counting.clusters(self._data.test)
            ),
        )

    def single_predictions(self) -> list[list[Prediction]]:
        """The answers of the best single model on dev, per draw."""
        member = self._pool.names.index(self.best_dev or self._pool.names[0])
        return [self._predictions(member, d) for d in range(self._samples)]

    def dev_scores_of(self, name: str | None, ids: Sequence[str]) -> list[float]:
        """A member's scores on these dev questions."""
        by_id = dict(zip(self._ids, self._dev[name or self._pool.names[0]], strict=True))
        return [by_id[i] for i in ids]


def _best(means: Mapping[str, float | None]) -> str | None:
    """The name of the highest mean, the first on ties."""
    known = {name: value for name, value in means.items() if value is not None}
    return max(known, key=lambda name: known[name]) if known else None
