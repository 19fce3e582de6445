"""BLEnD (multiple choice)."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

OPTIONS_AGAIN = (
    r"\s*Without any explanation, choose only one from the given alphabet choices(?s:.*)$"
)
"""The question lists its options a second time and forbids an explanation."""

TASK = PeerTask(
    name="blend",
    title="BLEnD (multiple choice)",
    scorer="choice",
    kinds=("choice",),
    domain="culture",
    paper="2406.09948",
    licence="CC BY-SA 4.0",
    source=MODELCO + "blend.json",
    group="id",
    reading=Reading("multiple_choice", cut=OPTIONS_AGAIN),
    notice="One question comes back with other distractors dozens of times, also "
    "across dev and test.",
)
