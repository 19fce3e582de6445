"""MMLU-ProX."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="mmluprox",
    title="MMLU-ProX",
    scorer="choice",
    kinds=("choice",),
    domain="general knowledge, 20 languages",
    paper="2503.10497",
    licence="MIT (not verified)",
    source=MODELCO + "mmluprox.json",
    reading=Reading("multiple_choice"),
)
