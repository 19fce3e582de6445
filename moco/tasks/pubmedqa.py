"""PubMedQA: yes, no or maybe, told from an abstract without its conclusion."""

from moco.tasks.guessing import Form
from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="pubmedqa",
    title="PubMedQA",
    scorer="exact",
    kinds=("label",),
    domain="medicine",
    paper="1909.06146",
    licence="MIT",
    source=MODELCO + "pubmedqa.json",
    reading=Reading("exact_match", Form("label", ("yes", "no", "maybe"))),
    notice="Halved by row, so only about half of test is official test;"
    " 55% of the answers are yes.",
)
