"""ARC-Challenge."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="arc_challenge",
    title="ARC-Challenge",
    scorer="choice",
    kinds=("choice",),
    domain="science questions",
    paper="1803.05457",
    licence="CC BY-SA 4.0",
    source=MODELCO + "arc_challenge.json",
    reading=Reading("multiple_choice"),
    notice="Dev is the official validation split, test the official test split.",
)
