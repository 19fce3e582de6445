"""GSM8K: grade-school word problems."""

from moco.tasks.guessing import Form
from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="gsm8k",
    title="GSM8K",
    scorer="exact",
    kinds=("number",),
    domain="mathematics",
    paper="2110.14168",
    licence="MIT",
    source=MODELCO + "gsm8k.json",
    reading=Reading("exact_match", Form("number")),
    notice="Dev is sampled from the official train split, test from the official test split.",
)
