"""AGIEval (English multiple choice)."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="agieval",
    title="AGIEval (English multiple choice)",
    scorer="choice",
    kinds=("choice",),
    domain="reasoning",
    paper="2304.06364",
    licence="MIT; each exam keeps its own",
    source=MODELCO + "agieval.json",
    reading=Reading("multiple_choice"),
    notice="Four- and five-option items are mixed.",
)
