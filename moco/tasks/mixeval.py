"""MixEval (multiple choice)."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

NO_CONTEXT = r"^None\n+"
"""Stands before a question that has no context."""

TASK = PeerTask(
    name="mixeval",
    title="MixEval (multiple choice)",
    scorer="choice",
    kinds=("choice",),
    domain="mixed",
    paper="2406.06565",
    licence="Apache-2.0 (not verified)",
    source=MODELCO + "mixeval.json",
    reading=Reading("multiple_choice", cut=NO_CONTEXT),
    notice="Overlaps AGIEval, ARC, GPQA and MMLU.",
)
