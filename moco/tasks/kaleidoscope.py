"""Value Kaleidoscope (valence of ValuePrism)."""

from moco.tasks.peer import MODELCO, PeerTask, Reading

TASK = PeerTask(
    name="kaleidoscope",
    title="Value Kaleidoscope (valence of ValuePrism)",
    scorer="choice",
    kinds=("choice",),
    domain="values",
    paper="2309.00779",
    licence="AI2 ImpACT (not verified)",
    source=MODELCO + "kaleidoscope.json",
    reading=Reading("multiple_choice"),
    notice="Half of the right answers are A.",
)
