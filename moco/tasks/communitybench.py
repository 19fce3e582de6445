"""CommunityBench (preference identification)."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="communitybench",
    title="CommunityBench (preference identification)",
    scorer="choice",
    kinds=("choice",),
    domain="community preferences",
    paper="2601.13669",
    licence="unknown",
    source=MODELCO + "communitybench.json",
    reading=Reading("multiple_choice"),
)
