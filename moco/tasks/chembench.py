"""ChemBench (multiple choice)."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="chembench",
    title="ChemBench (multiple choice)",
    scorer="choice",
    kinds=("choice",),
    domain="chemistry",
    paper="2404.01475",
    licence="MIT (not verified)",
    source=MODELCO + "chembench.json",
    reading=Reading("multiple_choice"),
    notice="Almost half of the items ask which of two molecules to prefer.",
)
