"""MMLU-ProX: questions of MMLU-Pro in many languages.

The authors' rows ask each question in every language under one id; in the package's file every row
has an id of its own.
"""

from moco.sources.rows import Row, RowSource
from moco.tasks.official import Item, Official, lettered, splits
from moco.tasks.peer import MODELCO, PeerTask, Reading

LANGUAGES = (
    "af", "ar", "bn", "cs", "de", "en", "es", "fr", "hi", "hu", "id", "it", "ja", "ko", "mr", "ne",
    "pt", "ru", "sr", "sw", "te", "th", "uk", "ur", "vi", "wo", "yo", "zh", "zu",
)  # fmt: skip


def items(row: Row, language: str) -> list[Item]:
    """Up to ten options; columns of missing ones are empty."""
    texts = [row[f"option_{i}"] for i in range(10)]
    while texts and not texts[-1]:
        texts.pop()
    item = {"question": row["question"], "id": row["question_id"], "category": row["category"]}
    return [item | {"language": language} | lettered(texts, int(row["answer_index"]))]


TASK = PeerTask(
    name="mmluprox",
    title="MMLU-ProX",
    scorer="choice",
    kinds=("choice",),
    domain="general knowledge, 20 languages",
    paper="2503.10497",
    slices=("language", "category"),
    licence="MIT (not verified)",
    source=MODELCO + "mmluprox.json",
    official=Official(
        RowSource(
            "hf://datasets/li-lab/MMLU-ProX-Lite",
            columns=(
                "question_id",
                "question",
                *(f"option_{i}" for i in range(10)),
                "answer_index",
                "category",
            ),
        ),
        items,
        test=splits("test", LANGUAGES),
        dev=splits("validation", LANGUAGES),
        notes=("the authors' smaller edition, in 29 languages",),
    ),
    group="id",
    reading=Reading("multiple_choice"),
    notice="20 languages, up to ten options.",
)
