"""BixBench (multiple choice)."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="bixbench",
    title="BixBench (multiple choice)",
    scorer="choice",
    kinds=("choice",),
    domain="bioinformatics",
    paper="2503.00096",
    licence="CC BY 4.0 (not verified)",
    source=MODELCO + "bixbench.json",
    reading=Reading("multiple_choice"),
    notice="The questions need data files that are not given, so most answers are guesses.",
)
