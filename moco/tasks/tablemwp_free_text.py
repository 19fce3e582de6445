"""TabMWP, the items with a number as the answer."""

from moco.tasks.guessing import Form
from moco.tasks.peer import MODELCO, PeerTask, Reading

PROMPT_END = r"\s*\bAnswer:\s*$"
"""The question ends by asking for the answer there and then."""

TASK = PeerTask(
    name="tablemwp_free_text",
    title="TabMWP (free text)",
    scorer="exact",
    kinds=("number",),
    domain="mathematics over tables",
    paper="2209.14610",
    licence="CC BY-NC-SA 4.0 (not verified)",
    source=MODELCO + "tablemwp_free_text.json",
    reading=Reading("exact_match", Form("number"), cut=PROMPT_END),
    notice="Both halves come from the official test split.",
)
