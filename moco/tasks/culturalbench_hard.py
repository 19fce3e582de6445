"""CulturalBench (four options)."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="culturalbench_hard",
    title="CulturalBench (four options)",
    scorer="choice",
    kinds=("choice",),
    domain="culture",
    paper="2410.02677",
    licence="CC BY 4.0",
    source=MODELCO + "culturalbench_hard.json",
    reading=Reading("multiple_choice"),
    notice="The easy protocol under the hard name; half of the right answers are A.",
)
