"""A worker: loads models, keeps them, and runs batches on them one after another on its own thread.

Generation rows of later batches on the same base join the running one; a batch of another base
waits. When weights would pass the memory limit, the least recently used model without waiting work
leaves. A training may ask the engine and waits for its reply; what the reply needs from this worker
runs meanwhile.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from moco import registry
from moco.backends.base import Backend, ModelSpec, Row
from moco.engine.jobs import Batch, Emit, Event, JointRow, WorkerSettings
from moco.errors import Cancelled, MocoError
from moco.types import Generation


class Worker:
    """Runs batches; thread-safe to submit to."""

    def __init__(self, settings: WorkerSettings, emit: Emit) -> None:
        self.settings = settings
        self._emit = emit
        self._lock = threading.Condition()
        self._pending: deque[Batch] = deque()
        self._active: list[Batch] = []
        self._cancelled: set[int] = set()
        self._tickets = 0
        self._replies: dict[str, Any] = {}
        self._loaded: OrderedDict[str, Backend] = OrderedDict()
        self._bytes: dict[str, int] = {}
        self._places: dict[str, str] = {}
        self._closing = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="moco-worker")

    def submit(self, batch: Batch) -> None:
        """Queue a batch."""
        with self._lock:
            self._pending.append(batch)
            self._lock.notify_all()
        self._thread.submit(self._step)

    def cancel(self, batch_id: int) -> None:
        """Let a batch's rows leave as soon as they can."""
        with self._lock:
            self._cancelled.add(batch_id)
            self._lock.notify_all()

    def reply(self, ticket: str, answer: Any) -> None:
        """Let a training that asked go on."""
        with self._lock:
            self._replies[ticket] = answer
            self._lock.notify_all()

    def close(self) -> None:
        """Drop what waits, let what runs leave, free the models."""
        with self._lock:
            self._closing = True
            self._pending.clear()
            self._lock.notify_all()
        self._thread.shutdown(wait=True)
        for backend in self._loaded.values():
            backend.close()
        self._loaded.clear()

    def _next(self, but: Sequence[str] = ()) -> Batch | None:
        """The next batch that is of none of these kinds; one whose base is loaded comes first."""
        with self._lock:
            open_ = [b for b in self._pending if b.kind not in but]
            held = next((b for b in open_ if b.base_key in self._loaded), None)
            batch = held or next(iter(open_), None)
            if batch is not None:
                self._pending.remove(batch)
                self._active = [batch]
            return batch

    def _step(self) -> None:
        batch = self._next()
        if batch is not None:
            self._run(batch)

    def _run(self, batch: Batch) -> None:
        """Run a batch; whatever goes wrong fails it, and those that joined it."""
        try:
            if self._closing or batch.id in self._cancelled:
                raise Cancelled("cancelled")
            if batch.kind == "joint":
                self._joint(batch)
            elif batch.kind == "train":
                self._train(batch)
            else:
                self._single(batch)
        except BaseException as error:  # noqa: BLE001 (its callers are told)
            for failed in self._active:
                self._emit(Event("failed", failed.id, -1, error))
        with self._lock:
            self._active = []

    def _single(self, batch: Batch) -> None:
        if batch.specs[0].derive == "team":
            self._team(batch)
            return
        backend = self.backend(batch.specs[0])
        if batch.kind == "generate":
            backend.run(_WorkerFeed(self, batch))
        elif batch.kind == "loglikelihood":
            self._deliver(batch, backend.loglikelihood(batch.payloads))
        elif batch.kind == "reward":
            self._deliver(batch, backend.reward(batch.payloads))
        else:
            self._embed(batch, backend)

    def _embed(self, batch: Batch, backend: Backend) -> None:
        groups: dict[tuple[str, str], list[int]] = {}
        for index, item in enumerate(batch.payloads):
            groups.setdefault((item.spec.fingerprint, item.at), []).append(index)
        for indices in groups.values():
            first = batch.payloads[indices[0]]
            texts = [batch.payloads[i].text for i in indices]
            if first.at == "embed":
                vectors = backend.embed(first.spec, texts)
            else:
                vectors = backend.hidden(first.spec, texts, first.at)
            for index, vector in zip(indices, vectors, strict=True):
                self._emit(Event("done", batch.id, index, vector))

    def _team(self, batch: Batch) -> None:
        """Rows of a team, which its members write together."""
        team = batch.specs[0]
        assert team.team is not None
        names, state = team.team.seats([spec.name for spec in team.parents], None)
        by_name = {spec.name: spec for spec in team.parents}
        tasks = [
            JointRow(
                row.request.query_id, (row.request.prompt,) * len(names), row.request.sampling,
                row.seed,
            )
            for row in batch.payloads
        ]  # fmt: skip
        specs = tuple(by_name[name] for name in names)
        self._joint(replace(batch, specs=specs, payloads=tuple(tasks), extra=(team.team, state)))

    def _joint(self, batch: Batch) -> None:
        from moco.decoding.joint import run_joint  # torch

        backends: list[Any] = [self.backend(spec) for spec in batch.specs]

        def done(index: int, generation: Generation) -> None:
            self._emit(Event("done", batch.id, index, generation))

        def cancelled() -> bool:
            return self._closing or batch.id in self._cancelled

        run_joint(backends, batch.specs, batch.payloads, batch.extra, done, cancelled)

    def _train(self, batch: Batch) -> None:
        from moco.train.base import run_recipe

        device = self.settings.devices[0]

        def ask(question: Any) -> Any:
            return self._answer(batch, question)

        for index, lesson in enumerate(batch.payloads):
            folder = run_recipe(batch.extra, batch.specs[0], lesson, device, ask)
            self._emit(Event("done", batch.id, index, folder))

    def _answer(self, batch: Batch, question: Any) -> Any:
        """The engine's answer to what a training asks; until it comes, other batches run here."""
        self._tickets += 1
        ticket = f"{os.getpid()}-{self._tickets}"
        training = self._active
        self._emit(Event("asked", batch.id, -1, (ticket, question)))
        while True:
            with self._lock:
                self._active = training
                if self._closing or batch.id in self._cancelled:
                    raise Cancelled("cancelled")
                if ticket in self._replies:
                    answer = self._replies.pop(ticket)
                    break
                needed = self._next(but=("train",))
                if needed is None:
                    self._lock.wait()
                    continue
            self._run(needed)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _deliver(self, batch: Batch, results: Sequence[Any]) -> None:
        for index, result in enumerate(results):
            self._emit(Event("done", batch.id, index, result))

    def backend(self, spec: ModelSpec) -> Backend:
        """The loaded base of this model, loading it (and making room) first if need be."""
        key = spec.base_key
        if key in self._loaded:
            self._loaded.move_to_end(key)
            return self._loaded[key]
        kin = self._kin(spec)
        if kin is not None:
            known: Any = self._loaded.pop(kin)
            self._bytes[key], self._places[key] = self._bytes.pop(kin), self._places.pop(kin)
            known.become(spec)
            self._loaded[key] = known
            return known  # type: ignore[no-any-return]
        size = spec.facts.num_bytes if spec.facts else 0
        self._make_room(size)
        if self.settings.threads and spec.path is not None:
            _limit_threads(self.settings.threads)
        start = time.monotonic()
        loader = registry.load("backend", spec.backend)
        device = self._device()
        loaded: Backend = loader(spec, device, self.settings.load)
        self._loaded[key] = loaded
        self._bytes[key], self._places[key] = size, device
        self._emit(Event("loaded", value=(spec.ref, time.monotonic() - start)))
        return loaded

    def _kin(self, spec: ModelSpec) -> str | None:
        """The key of a loaded merge that can become this one, as no running batch needs it."""
        if not spec.family:
            return None
        needed = self._needed()
        for key, loaded in self._loaded.items():
            own = getattr(loaded, "spec", None)
            if own is not None and own.family == spec.family and key not in needed:
                return key
        return None

    def _needed(self) -> set[str]:
        """Keys of the loaded models that running batches use."""
        specs = [s for batch in self._active for s in batch.specs]
        return {own.base_key for s in specs for own in (s, *s.parents)}

    def _device(self) -> str:
        """The device that holds the fewest bytes of loaded weights, the first of equals."""
        held = dict.fromkeys(self.settings.devices, 0)
        for key in self._loaded:
            held[self._places[key]] += self._bytes[key]
        return min(held, key=lambda device: held[device])

    def _make_room(self, size: int) -> None:
        limit = self.settings.memory_bytes
        if limit is None:
            return
        needed = self._needed()
        for key in list(self._loaded):
            if sum(self._bytes[k] for k in self._loaded) + size <= limit:
                return
            if key not in needed:
                self._loaded.pop(key).close()
        if size > limit:
            raise MocoError(
                f"one model needs {size:,} bytes, engine.memory allows {limit:,}; raise it"
            )


class _WorkerFeed:
    """Gives a running back end the rows of its batch, and of later open batches on the same
    base.
    """

    def __init__(self, worker: Worker, batch: Batch) -> None:
        self._worker, self._batch = worker, batch
        self._waiting: deque[tuple[Batch, int]] = deque(
            (batch, i) for i in range(len(batch.payloads))
        )
        self._where: dict[int, tuple[Batch, int]] = {}

    def take(self, room: int) -> list[Row]:
        if not self._batch.closed:
            self._join()
        rows: list[Row] = []
        while self._waiting and len(rows) < room:
            batch, index = self._waiting.popleft()
            row: Row = batch.payloads[index]
            self._where[id(row)] = (batch, index)
            rows.append(row)
        return rows

    def _join(self) -> None:
        worker = self._worker
        with worker._lock:
            for other in list(worker._pending):
                if (
                    other.kind == "generate"
                    and not other.closed
                    and other.base_key == self._batch.base_key
                ):
                    worker._pending.remove(other)
                    worker._active.append(other)
                    self._waiting.extend((other, i) for i in range(len(other.payloads)))

    def done(self, row: Row, generation: Generation) -> None:
        batch, index = self._where.pop(id(row))
        self._worker._emit(Event("done", batch.id, index, generation))

    def failed(self, row: Row, error: Exception) -> None:
        batch, index = self._where.pop(id(row))
        self._worker._emit(Event("failed", batch.id, index, error))

    def cancelled(self, row: Row) -> bool:
        return self._worker._closing or self._where[id(row)][0].id in self._worker._cancelled

    def token(self, row: Row, text: str) -> None:
        batch, index = self._where[id(row)]
        self._worker._emit(Event("token", batch.id, index, text))

    def listens(self, row: Row) -> bool:
        return self._where[id(row)][0].listens


def _limit_threads(count: int) -> None:
    """Let this process compute with so many threads."""
    import torch

    torch.set_num_threads(count)
