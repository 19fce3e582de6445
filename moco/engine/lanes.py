"""Hosted members beside local ones: each has a worker of its own, as its time is spent waiting."""

from __future__ import annotations

import functools
import threading
from typing import Any

from moco import registry
from moco.engine.engine import Executor, ExecutorFactory
from moco.engine.jobs import Batch, Emit, WorkerSettings
from moco.engine.worker import Worker


def with_lanes(local: ExecutorFactory) -> ExecutorFactory:
    """An executor that gives local models to `local` and answers of hosted ones side by side."""
    return functools.partial(Lanes, local)


class Lanes:
    """One lane for local models, one per hosted model."""

    def __init__(self, local: ExecutorFactory, settings: WorkerSettings, emit: Emit) -> None:
        self._settings, self._emit = settings, emit
        self._local: Executor = local(settings, emit)
        self._lock = threading.Lock()
        self._hosted: dict[str, Worker] = {}

    def submit(self, batch: Batch) -> None:
        """Queue a batch in its lane."""
        if not all(registry.hosted(spec.backend) for spec in batch.specs):
            self._local.submit(batch)
            return
        with self._lock:
            if batch.base_key not in self._hosted:
                self._hosted[batch.base_key] = Worker(self._settings, self._emit)
            lane = self._hosted[batch.base_key]
        lane.submit(batch)

    def cancel(self, batch_id: int) -> None:
        """Let a batch's rows leave as soon as they can."""
        self._local.cancel(batch_id)
        with self._lock:
            lanes = list(self._hosted.values())
        for lane in lanes:
            lane.cancel(batch_id)

    def reply(self, batch_id: int, ticket: str, answer: Any) -> None:
        """Answer a training, which is always local."""
        self._local.reply(batch_id, ticket, answer)

    def close(self) -> None:
        """End all lanes."""
        with self._lock:
            lanes, self._hosted = list(self._hosted.values()), {}
        for lane in lanes:
            lane.close()
        self._local.close()
