"""LAB-Bench (text subtasks)."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="lab_bench",
    title="LAB-Bench (text subtasks)",
    scorer="choice",
    kinds=("choice",),
    domain="biology",
    paper="2407.10362",
    licence="CC BY-SA 4.0 (not verified)",
    source=MODELCO + "lab_bench.json",
    reading=Reading("multiple_choice"),
)
