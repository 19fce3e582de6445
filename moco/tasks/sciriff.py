"""SciRIFF, one of its tasks: the intent of a citation."""

from moco.tasks.guessing import Form
from moco.tasks.peer import MODELCO, PeerTask, Reading

LABELS = ("Background", "Extends", "Uses", "Motivation", "CompareOrContrast", "FutureWork")
LINE = "Answer with a single word from the list of options."
"""The input asks for one word and no other text: our usual line would contradict it."""

TASK = PeerTask(
    name="sciriff",
    title="SciRIFF (citation intent)",
    scorer="exact",
    kinds=("label",),
    domain="scientific literature",
    paper="2406.07835",
    licence="ODC-BY",
    source=MODELCO + "sciriff.json",
    reading=Reading("exact_match", Form("label", LABELS), line=LINE),
    notice="One of 54 tasks; half of the answers are Background.",
)
