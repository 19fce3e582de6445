"""ScienceMeter: does a paper support a claim or refute it.

In the authors' rows both claims about a paper share its id; in the package's file every claim has
an id of its own.
"""

from moco.sources.rows import Part, Row, RowSource
from moco.tasks.official import Item, Official
from moco.tasks.peer import MODELCO, PeerTask, Reading

DOMAINS = (
    "agricultural_and_food_science", "biology", "business", "computer_science", "education",
    "environmental_science", "materials_science", "medicine", "political_science", "psychology",
)  # fmt: skip
ASK = "Is a claim supported or refuted by this paper?\n\nPaper: {abstract}\n\nClaim: {claim}"
CLAIMS = {"synthetic_support_claim": "A", "synthetic_refute_claim": "B"}


def items(row: Row, domain: str) -> list[Item]:
    """Two claims about each of a row's three papers."""
    found: list[Item] = []
    for age in ("prior_paper", "new_paper", "future_paper"):
        paper = row[age]
        for column, answer in CLAIMS.items():
            question = ASK.format(abstract=paper["abstract"], claim=paper[column])
            item = {"question": question, "choices": ["support", "refute"], "answer": answer}
            found.append(item | {"id": paper["paperId"], "domain": domain, "age": age})
    return found


TASK = PeerTask(
    name="sciencemeter",
    title="ScienceMeter",
    scorer="choice",
    kinds=("choice",),
    domain="scientific claims",
    paper="2505.24302",
    licence="none stated",
    terms="https://github.com/yikee/ScienceMeter",
    source=MODELCO + "sciencemeter.json",
    official=Official(
        RowSource(
            "https://github.com/yikee/ScienceMeter",
            "f97da1347a336ad3060ec050f62ea53e7856f931",
            ("prior_paper", "new_paper", "future_paper"),
        ),
        items,
        test=tuple(Part(d, file=f"dataset/filtered_with_claims/llama/{d}.jsonl") for d in DOMAINS),
    ),
    group="id",
    reading=Reading("multiple_choice"),
    notice="The paper's abstract is in the question: reading comprehension rather than recall.",
)
