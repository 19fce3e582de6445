"""MMLU-Redux 2.0."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="mmlu_redux",
    title="MMLU-Redux 2.0",
    scorer="choice",
    kinds=("choice",),
    domain="general knowledge",
    paper="2406.04127",
    licence="CC BY 4.0",
    source=MODELCO + "mmlu_redux.json",
    reading=Reading("multiple_choice"),
    notice="Items that the authors marked as faulty are not filtered out.",
)
