"""MedMCQA."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="medmcqa",
    title="MedMCQA",
    scorer="choice",
    kinds=("choice",),
    domain="medicine",
    paper="2203.14371",
    licence="Apache-2.0",
    source=MODELCO + "medmcqa.json",
    reading=Reading("multiple_choice"),
    notice="Both halves come from the official validation split.",
)
