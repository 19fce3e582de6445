"""TruthfulQA (MC1)."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="truthfulqa",
    title="TruthfulQA (MC1)",
    scorer="choice",
    kinds=("choice",),
    domain="factuality",
    paper="2109.07958",
    licence="Apache-2.0",
    source=MODELCO + "truthfulqa.json",
    reading=Reading("multiple_choice"),
    notice="2 to 13 options.",
)
