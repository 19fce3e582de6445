"""MedQA (USMLE, four options)."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="medqa",
    title="MedQA (USMLE, four options)",
    scorer="choice",
    kinds=("choice",),
    domain="medicine",
    paper="2009.13081",
    licence="MIT",
    source=MODELCO + "medqa.json",
    reading=Reading("multiple_choice"),
    notice="Both halves come from the official test split.",
)
