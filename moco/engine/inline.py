"""The default executor: one worker on a thread of this process."""

from __future__ import annotations

from typing import Any

from moco.engine.jobs import Batch, Emit, WorkerSettings
from moco.engine.worker import Worker


class InlineExecutor:
    """All models in this process."""

    def __init__(self, settings: WorkerSettings, emit: Emit) -> None:
        self._worker = Worker(settings, emit)

    def submit(self, batch: Batch) -> None:
        """Queue a batch on the worker."""
        self._worker.submit(batch)

    def cancel(self, batch_id: int) -> None:
        """Let a batch's rows leave as soon as they can."""
        self._worker.cancel(batch_id)

    def reply(self, batch_id: int, ticket: str, answer: Any) -> None:
        """Answer what a batch's training asked."""
        self._worker.reply(ticket, answer)

    def close(self) -> None:
        """Free the models."""
        self._worker.close()
