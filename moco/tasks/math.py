"""MATH: competition problems with LaTeX answers."""

from moco.tasks.guessing import Form
from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="math",
    title="MATH",
    scorer="math",
    kinds=("math",),
    domain="mathematics",
    paper="2103.03874",
    licence="MIT as published; contested",
    source=MODELCO + "math.json",
    reading=Reading("exact_match", Form("math")),
    notice="Rows of the official train and test splits are mixed;"
    " items without a gold are left out.",
)
