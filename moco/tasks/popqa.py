"""PopQA: questions about rare entities, answers with aliases."""

from moco.tasks.guessing import Form
from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="popqa",
    title="PopQA",
    scorer="f1",
    kinds=("span",),
    domain="knowledge",
    paper="2212.10511",
    licence="MIT (code); none stated for the data",
    source=MODELCO + "popqa.json",
    reading=Reading("f1_match", Form("span")),
    notice="The official measure is whether an alias occurs in the output;"
    " the score's `why` has it.",
)
