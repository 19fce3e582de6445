"""CultureBench: is a proposed answer to a question about a culture true or false."""

from moco.tasks.guessing import Form
from moco.tasks.peer import MODELCO, PeerTask, Reading

LINE = "Answer with one word: True or False."
"""The input asks for that word only: our usual line would contradict it."""

TASK = PeerTask(
    name="culturebench",
    title="CulturalBench-Hard (binary)",
    scorer="exact",
    kinds=("boolean",),
    domain="culture",
    paper="2410.02677",
    licence="CC BY 4.0",
    source=MODELCO + "culturebench.json",
    group="question_id",
    reading=Reading("exact_match", Form("boolean", ("True", "False")), line=LINE),
    notice="Four judgements belong to a question; one question is split between dev and test."
    " Scores are per judgement, of which 73% are False.",
)
