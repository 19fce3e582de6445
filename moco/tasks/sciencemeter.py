"""ScienceMeter."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="sciencemeter",
    title="ScienceMeter",
    scorer="choice",
    kinds=("choice",),
    domain="scientific claims",
    paper="2505.24302",
    licence="none stated",
    source=MODELCO + "sciencemeter.json",
    reading=Reading("multiple_choice"),
    notice="The paper's abstract is in the question: reading comprehension rather than recall.",
)
