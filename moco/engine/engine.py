"""The engine: cache look-up, grouping, dispatch, and results in input order.

`submit` may be called from any thread. A call that is already in flight for somebody else is
awaited, not repeated. Every finished call is committed to the cache before anybody sees its result.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from moco.engine import codec
from moco.engine.cache import Cache
from moco.engine.jobs import Batch, Call, Emit, Event, Job, Kind, WorkerSettings
from moco.errors import Cancelled, EnvironmentProblem, MocoError
from moco.types import Json

CLOSED_ROWS = 64
"""Rows per batch where a row's numbers depend on its batch (not float32)."""
JOINT_ROWS = 256
"""The same of rows that several models write, of which a session holds some at a time."""


class Executor(Protocol):
    """Where batches run."""

    def submit(self, batch: Batch) -> None:
        """Queue a batch."""
        ...

    def cancel(self, batch_id: int) -> None:
        """Let a batch's rows leave as soon as they can."""
        ...

    def reply(self, batch_id: int, ticket: str, answer: Any) -> None:
        """Answer what a batch's training asked; an exception is raised there."""
        ...

    def close(self) -> None:
        """Free the models."""
        ...


class ExecutorFactory(Protocol):
    """Makes an executor that reports to `emit`."""

    def __call__(self, settings: WorkerSettings, emit: Emit) -> Executor:
        """Make it."""
        ...


class Progress(Protocol):
    """Hears how far the work is; must be quick and thread-safe."""

    def asked(self, stage: str, calls: int, cached: int) -> None:
        """A job was submitted."""
        ...

    def finished(self, stage: str, generated_tokens: int) -> None:
        """One call has its result."""
        ...

    def loaded(self, ref: str, seconds: float) -> None:
        """A model was loaded."""
        ...


@dataclass(slots=True)
class _Waiter:
    """A submitted job whose results are coming in."""

    job: Job
    future: Future[list[Any]]
    results: list[Any]
    missing: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, index: int, value: Any) -> None:
        with self.lock:
            self.results[index] = value
            self.missing -= 1
            complete = self.missing == 0
        if complete and not self.future.done():
            self.future.set_result(self.results)

    def fail(self, error: BaseException) -> None:
        with self.lock:
            if not self.future.done():
                self.future.set_exception(error)


@dataclass(slots=True)
class _Flight:
    """A call being computed, and everyone who waits for it."""

    kind: Kind
    call: Call
    waiters: list[tuple[_Waiter, int]]


class Engine:
    """Runs jobs; owns the cache and the executor."""

    def __init__(
        self,
        cache: Cache,
        executor: ExecutorFactory,
        settings: WorkerSettings,
        *,
        max_fresh_calls: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.cache = cache
        self.progress = progress
        self.loads: list[tuple[str, float]] = []
        """(model reference, seconds) of every load."""
        self.fresh_calls = 0
        self._max_fresh = max_fresh_calls
        self._lock = threading.RLock()
        self._flights: dict[str, _Flight] = {}
        self._batches: dict[int, tuple[Job, list[Call]]] = {}
        self._counter = 0
        self._executor = executor(settings, self._on_event)

    def run(self, job: Job) -> list[Any]:
        """Submit a job and wait for its results, in input order."""
        future = self.submit(job)
        while True:
            try:
                return future.result(timeout=0.5)
            except FutureTimeout:
                if future.done():
                    return future.result()
                if job.cancelled is not None and job.cancelled():
                    self.cancel(job)
                    raise Cancelled("cancelled") from None

    def submit(self, job: Job) -> Future[list[Any]]:
        """Start a job; the future gives its results in input order, or its first error."""
        future: Future[list[Any]] = Future()
        found = self.cache.get_many(call.key for call in job.calls)
        found = _complete(found, job)
        waiter = _Waiter(job, future, [None] * len(job.calls), len(job.calls))
        if self.progress is not None and job.calls:
            distinct = {call.key for call in job.calls}
            self.progress.asked(job.calls[0].stage, len(distinct), len(distinct & found.keys()))
        if not job.calls:
            future.set_result([])
        for index, call in enumerate(job.calls):
            if call.key in found:
                self._deliver(job.kind, call, found[call.key], [(waiter, index)], cached=True)
        batches = self._plan(job, found, waiter)
        for batch in batches:
            self._executor.submit(batch)
        return future

    def cancel(self, job: Job) -> None:
        """Let the job's rows leave the running batches."""
        with self._lock:
            ids = [i for i, (owner, _) in self._batches.items() if owner is job]
        for batch_id in ids:
            self._executor.cancel(batch_id)

    def close(self) -> None:
        """Cancel what runs, free the models."""
        with self._lock:
            ids = list(self._batches)
        for batch_id in ids:
            self._executor.cancel(batch_id)
        self._executor.close()

    def _plan(self, job: Job, found: dict[str, Json], waiter: _Waiter) -> list[Batch]:
        """Batches for the calls that nobody has computed or is computing."""
        fresh: set[str] = set()
        distinct: dict[str, Call] = {}
        with self._lock:
            for index, call in enumerate(job.calls):
                if call.key in found:
                    distinct.setdefault(call.key, call)
                elif call.key in fresh or call.key not in self._flights:
                    flight = self._flights.setdefault(call.key, _Flight(job.kind, call, []))
                    flight.waiters.append((waiter, index))
                    fresh.add(call.key)
                    distinct.setdefault(call.key, call)
                else:
                    self._flights[call.key].waiters.append((waiter, index))
            groups = _groups(job, list(distinct.values()), fresh)
            return [self._batch(job, calls, closed) for calls, closed in groups]

    def _batch(self, job: Job, calls: list[Call], closed: bool) -> Batch:
        self._counter += 1
        self._batches[self._counter] = (job, calls)
        specs = calls[0].specs or (calls[0].spec,)
        return Batch(
            id=self._counter,
            kind=job.kind,
            specs=specs,
            payloads=tuple(c.payload for c in calls),
            closed=closed,
            listens=job.listener is not None,
            extra=job.extra,
        )

    def _on_event(self, event: Event) -> None:
        if event.kind == "loaded":
            self.loads.append(event.value)
            if self.progress is not None:
                self.progress.loaded(*event.value)
            return
        with self._lock:
            if event.batch not in self._batches:
                return
            job, calls = self._batches[event.batch]
        if event.kind == "asked":
            asked = (job, event.batch, *event.value)
            threading.Thread(target=self._serve, args=asked, daemon=True).start()
        elif event.kind == "token":
            if job.listener is not None:
                job.listener(calls[event.index].query_id, event.value)
        elif event.kind == "failed":
            self._fail(calls if event.index < 0 else [calls[event.index]], event.value)
        else:
            self._finish(job.kind, calls[event.index], event.value)

    def _serve(self, job: Job, batch_id: int, ticket: str, question: Any) -> None:
        """Answer a training's question; the answer may take model calls of its own."""
        assert job.serve is not None
        try:
            answer = job.serve(question)
        except BaseException as error:  # noqa: BLE001 (whatever it is, the training raises it)
            answer = error
        self._executor.reply(batch_id, ticket, answer)

    def _finish(self, kind: Kind, call: Call, result: Any) -> None:
        data = codec.encode(kind, result)
        with self._lock:
            flight = self._flights.get(call.key)
            if flight is None:
                return
            self.fresh_calls += 1
            over = self._max_fresh is not None and self.fresh_calls > self._max_fresh
        if over:
            self._fail(
                [call],
                EnvironmentProblem(
                    f"the limit of {self._max_fresh} new model calls is reached (engine.max_calls);"
                    " raise it and run the same command again to go on"
                ),
            )
            return
        try:
            self.cache.put(call.key, kind, data)
        except MocoError as error:
            self._fail([call], error)
            return
        with self._lock:
            waiters = self._flights.pop(call.key).waiters
        self._deliver(kind, call, data, waiters, cached=False)
        if self.progress is not None:
            self.progress.finished(call.stage, codec.usage_of(data).generated_tokens)

    def _deliver(
        self,
        kind: Kind,
        call: Call,
        data: dict[str, Json],
        waiters: Sequence[tuple[_Waiter, int]],
        *,
        cached: bool,
    ) -> None:
        for waiter, index in waiters:
            asked = waiter.job.calls[index]
            try:
                if waiter.job.meter is not None:
                    waiter.job.meter.on_call(kind, asked, data, cached=cached)
            except OSError as error:
                waiter.fail(
                    EnvironmentProblem(f"cannot write the run folder: {error}; free disk space")
                )
                continue
            waiter.put(index, codec.decode(kind, data))

    def _fail(self, calls: Sequence[Call], error: BaseException) -> None:
        for call in calls:
            with self._lock:
                flight = self._flights.pop(call.key, None)
            for waiter, _ in flight.waiters if flight else ():
                waiter.fail(error)


def _complete(found: dict[str, Json], job: Job) -> dict[str, Json]:
    """The cached results that are all that is asked for: generations with as many alternatives per
    token as wanted, trained adapters that are still there.
    """
    if job.kind == "train":
        return {key: data for key, data in found.items() if Path(data["value"]).is_dir()}
    if job.kind != "generate":
        return found
    wanted: dict[str, int] = {}
    for call in job.calls:
        wanted[call.key] = max(wanted.get(call.key, 0), call.payload.request.top_logprobs)
    return {
        key: data
        for key, data in found.items()
        if not wanted[key] or all(len(step) >= wanted[key] for step in data.get("top", [[]]))
    }


def _exact(call: Call) -> bool:
    """Whether the call's numbers do not depend on its batch: float32, or nothing computed here."""
    specs = call.specs or (call.spec,)
    computed = [spec for spec in specs if spec.path is not None or spec.parents]
    return all(spec.dtype == "float32" for spec in computed)


def _groups(job: Job, calls: list[Call], fresh: set[str]) -> list[tuple[list[Call], bool]]:
    """Batches of calls that share a loaded base, and whether they must be alone in their batch.

    Where numbers depend on the batch (not float32) batches are cut from the whole request list,
    cached calls included, and a batch with anything missing is run whole: so a resumed run repeats
    an uninterrupted one.
    """
    most = {"train": 1, "joint": JOINT_ROWS}.get(job.kind, CLOSED_ROWS)
    groups: dict[str, list[Call]] = {}
    for call in calls:
        groups.setdefault(call.spec.base_key, []).append(call)
    batches: list[tuple[list[Call], bool]] = []
    for members in groups.values():
        alone = job.kind in ("joint", "train")
        if all(_exact(call) for call in members):
            members = [call for call in members if call.key in fresh]
            size = 1 if job.kind == "train" else max(len(members), 1)
        else:
            alone, size = True, most
            members = sorted(members, key=lambda call: call.size)
        chunks = [members[i : i + size] for i in range(0, len(members), size)]
        batches += [(chunk, alone) for chunk in chunks if any(call.key in fresh for call in chunk)]
    return batches
