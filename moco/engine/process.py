"""An executor with one worker process per device; a process that dies is replaced and its work sent
again."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from moco.engine.jobs import Batch, Emit, Event, WorkerSettings
from moco.engine.worker import Worker
from moco.errors import MocoError, WorkerDiedError

RETRIES = 1
"""How often a batch is sent again after its worker died."""


@dataclass(slots=True)
class _Sent:
    """A batch that a worker has, and which of its rows are still open."""

    batch: Batch
    rows: list[int]
    """Original index of each row as it was sent."""
    open: set[int]
    tries: int = 0


@dataclass(slots=True)
class _Child:
    """One worker process."""

    settings: WorkerSettings
    process: BaseProcess
    pipe: Connection
    sent: dict[int, _Sent] = field(default_factory=dict)
    holds: set[str] = field(default_factory=set)
    """Bases that were sent there."""


class ProcessExecutor:
    """Spreads batches over worker processes; a base stays with the worker that has it."""

    def __init__(self, settings: WorkerSettings, emit: Emit) -> None:
        self._emit = emit
        self._lock = threading.RLock()
        self._closing = False
        threads = max(1, (os.cpu_count() or 1) // len(settings.devices))
        each = [replace(settings, devices=(d,), threads=threads) for d in settings.devices]
        self._children = [self._start(own) for own in each]

    def submit(self, batch: Batch) -> None:
        """Send a batch to the worker that holds its base, else to the one with the least work."""
        with self._lock:
            child = next((c for c in self._children if batch.base_key in c.holds), None)
            chosen = child or min(self._children, key=lambda c: len(c.sent))
            rows = list(range(len(batch.payloads)))
            self._send(chosen, _Sent(batch, rows, set(rows)))

    def cancel(self, batch_id: int) -> None:
        """Let a batch's rows leave as soon as they can."""
        with self._lock:
            for child in self._children:
                if batch_id in child.sent:
                    _put(child.pipe, ("cancel", batch_id))

    def reply(self, batch_id: int, ticket: str, answer: Any) -> None:
        """Answer what a batch's training asked; one that died meanwhile asks again."""
        with self._lock:
            for child in self._children:
                if batch_id in child.sent:
                    _put(child.pipe, ("reply", (ticket, _portable(answer))))

    def close(self) -> None:
        """End the workers."""
        with self._lock:
            self._closing = True
        for child in self._children:
            _put(child.pipe, ("close", None))
        for child in self._children:
            child.process.join(timeout=30)
            if child.process.is_alive():
                child.process.terminate()
                child.process.join()

    def _start(self, settings: WorkerSettings) -> _Child:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, settings), daemon=True)
        process.start()
        theirs.close()
        child = _Child(settings, process, ours)
        threading.Thread(target=self._listen, args=(child,), daemon=True).start()
        return child

    def _send(self, child: _Child, sent: _Sent) -> None:
        child.sent[sent.batch.id] = sent
        child.holds |= {spec.base_key for spec in sent.batch.specs}
        payloads = tuple(sent.batch.payloads[i] for i in sent.rows)
        _put(child.pipe, ("submit", replace(sent.batch, payloads=payloads)))

    def _listen(self, child: _Child) -> None:
        """Hear one worker until its pipe closes."""
        while True:
            try:
                event: Event = child.pipe.recv()
            except (EOFError, OSError):
                break
            self._hear(child, event)
        with self._lock:
            if not self._closing:
                self._replace(child)

    def _hear(self, child: _Child, event: Event) -> None:
        with self._lock:
            sent = child.sent.get(event.batch)
            if sent is None and event.batch >= 0:
                return
            if sent is not None and event.index >= 0:
                event = replace(event, index=sent.rows[event.index])
                if event.kind in ("done", "failed"):
                    sent.open.discard(event.index)
            if sent is not None and (not sent.open or (event.kind == "failed" and event.index < 0)):
                del child.sent[event.batch]
        self._emit(event)

    def _replace(self, child: _Child) -> None:
        """A worker died: start another and send it what was not finished."""
        child.process.join(timeout=5)
        fresh = self._start(child.settings)
        self._children[self._children.index(child)] = fresh
        for sent in child.sent.values():
            if sent.tries >= RETRIES:
                error = WorkerDiedError(
                    f"a worker process ended twice (exit code {child.process.exitcode}) on the same"
                    " work; the usual cause is too little memory: lower engine.max_batch_tokens"
                )
                self._emit(Event("failed", sent.batch.id, -1, error))
                continue
            rows = sent.rows if sent.batch.closed else [i for i in sent.rows if i in sent.open]
            self._send(fresh, _Sent(sent.batch, rows, set(sent.open), sent.tries + 1))


def _put(pipe: Connection, message: object) -> None:
    """Send unless the other end is gone; the listener deals with that."""
    try:
        pipe.send(message)
    except (BrokenPipeError, OSError):
        return


def _serve(pipe: Connection, settings: WorkerSettings) -> None:
    """A worker process: batches in, events out, until it is told to close."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lock = threading.Lock()

    def emit(event: Event) -> None:
        with lock:
            pipe.send(replace(event, value=_portable(event.value)))

    worker = Worker(settings, emit)
    while True:
        try:
            verb, value = pipe.recv()
        except EOFError:
            verb, value = "close", None
        if verb == "submit":
            worker.submit(value)
        elif verb == "cancel":
            worker.cancel(value)
        elif verb == "reply":
            worker.reply(*value)
        else:
            worker.close()
            return


def _portable(value: object) -> object:
    """The value, or for an exception that cannot travel one that can."""
    if isinstance(value, BaseException) and not isinstance(value, MocoError):
        try:
            pickle.loads(pickle.dumps(value))
        except (pickle.PicklingError, TypeError, AttributeError):
            return RuntimeError(f"{type(value).__name__}: {value}")
    return value
