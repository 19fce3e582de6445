"""GPQA (extended)."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="gpqa_extended",
    title="GPQA (extended)",
    scorer="choice",
    kinds=("choice",),
    domain="graduate science",
    paper="2311.12022",
    licence="CC BY 4.0; the authors ask not to publish the text",
    source=MODELCO + "gpqa_extended.json",
    reading=Reading("multiple_choice"),
    notice="Holds gpqa_main and gpqa_diamond, which were halved on their own: never "
    "tune on one and report another.",
)
