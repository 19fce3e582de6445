"""Model collaboration: several language models solve a task together.

import moco

report = moco.run(moco.RunConfig(method="majority_vote", task="mini", pool="zoo://mini"))
with moco.Pool.open(["zoo://mini/facts", "zoo://mini/words"]) as pool:
    print(pool.ask_all([moco.Query("1", "What is the capital of France?")]))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moco.access import Access, Requires, RoleNeed
    from moco.config import RunConfig, StudyConfig
    from moco.errors import MocoError
    from moco.merging.config import MergeConfig
    from moco.merging.run import MergeOptions, MergeReport, merge
    from moco.methods.base import JointMethod, LogitMethod, Method
    from moco.methods.merging import MergeMethod
    from moco.pool import Dev, Model, Pool
    from moco.report.report import Report
    from moco.runner import run
    from moco.scorers.base import Scorer
    from moco.store.finished import FinishedRun, load
    from moco.study import run_study
    from moco.tasks.base import Dataset, Task
    from moco.types import Generation, Message, Prediction, Query, Request, Sample, Sampling, Score

_HOME = {
    "Access": "access", "Requires": "access", "RoleNeed": "access",
    "RunConfig": "config", "StudyConfig": "config", "MocoError": "errors",
    "JointMethod": "methods.base", "LogitMethod": "methods.base", "Method": "methods.base",
    "MergeConfig": "merging.config", "MergeOptions": "merging.run", "MergeReport": "merging.run",
    "merge": "merging.run", "MergeMethod": "methods.merging",
    "Dev": "pool", "Model": "pool", "Pool": "pool", "Report": "report.report", "run": "runner",
    "Scorer": "scorers.base", "FinishedRun": "store.finished", "load": "store.finished",
    "run_study": "study", "Dataset": "tasks.base", "Task": "tasks.base",
    "Generation": "types", "Message": "types", "Prediction": "types", "Query": "types",
    "Request": "types", "Sample": "types", "Sampling": "types", "Score": "types",
}  # fmt: skip
"""Public name → module; modules are imported when a name is first used."""

__all__ = [
    "Access", "Dataset", "Dev", "FinishedRun", "Generation", "JointMethod", "LogitMethod",
    "MergeConfig", "MergeMethod", "MergeOptions", "MergeReport", "Message", "Method", "MocoError",
    "Model", "Pool", "Prediction", "Query", "Report", "Request", "Requires", "RoleNeed",
    "RunConfig", "Sample", "Sampling", "Score", "Scorer", "StudyConfig", "Task", "load", "merge",
    "run", "run_study",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'moco' has no attribute '{name}'")
    return getattr(importlib.import_module(f"moco.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
