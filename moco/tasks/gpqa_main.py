"""GPQA (main)."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="gpqa_main",
    title="GPQA (main)",
    scorer="choice",
    kinds=("choice",),
    domain="graduate science",
    paper="2311.12022",
    licence="CC BY 4.0; the authors ask not to publish the text",
    source=MODELCO + "gpqa_main.json",
    reading=Reading("multiple_choice"),
    notice="Holds gpqa_diamond and is held by gpqa_extended: never tune on one and report another.",
)
