"""Rows with the columns that the authors of each data set publish, and how they lie on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from moco.sources.rows import Found, Part, Row

TABLE: dict[str, Any] = {
    "id": "31", "question": "How many?", "choices": None, "answer": "1,200", "unit": "$",
    "table_title": "Pets", "table": "cats | 3", "ques_type": "free_text",
}  # fmt: skip
GPQA: dict[str, Any] = {
    "Record ID": "rec1", "Question": "Which?\n", "Correct Answer": "alpha\n",
    "Incorrect Answer 1": "beta", "Incorrect Answer 2": "gamma", "Incorrect Answer 3": "delta",
    "High-level domain": "Physics",
}  # fmt: skip
PAPER = {
    "paperId": "p", "abstract": "We find X.", "synthetic_support_claim": "X holds.",
    "synthetic_refute_claim": "Y holds.",
}  # fmt: skip
LETTER_ROW: dict[str, Any] = {
    "question_id": 7, "question": "Quoi ?", "category": "law", "answer_index": 2,
}  # fmt: skip

ROWS: dict[str, dict[str, Any]] = {
    "agieval": {
        "passage": "Some text.", "question": "Which?", "options": ["(A)red", "(B)blue"],
        "label": "B",
    },
    "arc_challenge": {
        "id": "x", "question": "Which?", "answerKey": "2",
        "choices": {"text": ["red", "blue"], "label": ["1", "2"]},
    },
    "mmlu_redux": {
        "question": "Which?", "choices": ["a1", "b1", "c1", "d1"], "answer": 1, "error_type": "ok",
    },
    "bbh": {"input": "Pick one:\nOptions:\n(A) red\n(B) blue", "target": "(B)"},
    "gsm8k": {"question": "How many?", "answer": "2+2=<<2+2=4>>4\n#### 1,004"},
    "math": {
        "problem": "Expand.", "level": "Level 1", "type": "Algebra",
        "solution": "First \\boxed{1}, then \\boxed{\\frac{1}{x^{2}}}.",
    },
    "sciencemeter": {
        age: PAPER | {"paperId": age} for age in ("prior_paper", "new_paper", "future_paper")
    },
    "popqa": {
        "id": 4, "question": "Where?", "possible_answers": '["Paris, France", "Lut\\u00e8ce"]',
        "prop": "capital", "s_pop": 1, "o_pop": 2,
    },
    "blend": {
        "MCQID": "m1", "ID": "Al-en-01", "country": "Algeria", "answer_idx": "B",
        "choices": '{"A": "red", "B": "blue"}',
        "prompt": "What colour? Without any explanation, choose only one from the given alphabet"
        " choices(e.g., A, B, C). Provide as JSON format.\n\nA. red\nB. blue\n\nAnswer:",
    },
    "truthfulqa": {
        "question": "Which?", "mc1_targets": {"choices": ["yes so", "no so"], "labels": [1, 0]},
    },
    "coconot": {"id": "c", "category": "Incomplete requests", "subcategory": "s", "prompt": "Do!"},
    "alpacaeval": {"instruction": "Do!", "output": "Done.", "dataset": "helpful_base"},
    "wildchat": {
        "conversation_hash": "h", "language": "English", "toxic": False,
        "conversation": [{"role": "user", "content": "Do!"}, {"role": "a", "content": "Done."}],
    },
    "sciriff": {
        "input": "Which intent?", "output": "Uses",
        "_instance_id": "acl_arc_intent_classification:test:1",
    },
    "culturebench": {
        "data_idx": 0, "question_idx": 0, "prompt_question": "What?", "prompt_option": "This.",
        "answer": True, "country": "Netherlands",
    },
    "tablemwp_free_text": TABLE,
    "tablemwp_multiple_choice": TABLE
    | {"choices": ["cats", "dogs"], "answer": "dogs", "ques_type": "multi_choice"},
    "gpqa_diamond": GPQA, "gpqa_main": GPQA, "gpqa_extended": GPQA,
    "medmcqa": {
        "id": "i", "question": "Which?", "opa": "a1", "opb": "b1", "opc": "c1", "opd": "d1",
        "cop": 3, "subject_name": "Surgery",
    },
    "medqa": {"question": "Which?", "options": {"A": "a1", "B": "b1"}, "answer_idx": "B"},
    "pubmedqa": {
        "id": "12", "QUESTION": "Does it?", "CONTEXTS": ["One.", "Two."], "final_decision": "maybe",
    },
    "theoremqa": {
        "Question": "How much?", "Answer": "0.5", "Answer_type": "float", "Picture": None,
    },
    "culturalbench_hard": {
        "data_idx": 1, "prompt_question": "Which?", "answer": "C", "country": "Chile",
        "prompt_option_a": "a1", "prompt_option_b": "b1", "prompt_option_c": "c1",
        "prompt_option_d": "d1",
    },
    "infinite_chat_open": {
        "messages": [{"role": "user", "content": "Do!"}, {"role": "assistant", "content": "Done."}],
    },
    "apex_shortlist": {"problem_idx": 1, "problem": "Find N.", "answer": 42, "source": "X 2025"},
    "scitarc": {
        "paper": "2412.1", "tables": ["\\begin{tabular}1\\end{tabular}"], "question": "Which?",
        "answer": "Model X, 9",
    },
    "bixbench": {
        "question_id": "b", "question": "Which?", "ideal": "5%", "distractors": ["1%", "2%"],
    },
    "chembench": {
        "uuid": "u",
        "examples": [{"input": "Which?", "target_scores": '{"acid": 0.0, "base": 1.0}'}],
    },
    "lab_bench": {
        "id": "l", "question": "Which?", "ideal": "XYZ", "distractors": ["ABC"],
        "protocol": "Mix.",
    },
    "mixeval": {
        "id": "0", "context": None, "prompt": "Which?", "options": ["a1", "b1"], "target": ["1"],
        "benchmark_name": "MMLU",
    },
    "mmluprox": LETTER_ROW
    | {f"option_{i}": text for i, text in enumerate(["a1", "b1", "c1", *[None] * 7])},
}  # fmt: skip
"""One row of each data set, with the columns that its authors publish."""

GOLD = {
    "agieval": "blue", "arc_challenge": "blue", "mmlu_redux": "b1", "bbh": "blue", "gsm8k": "1,004",
    "math": "\\frac{1}{x^{2}}", "sciencemeter": "support", "popqa": "Paris, France",
    "blend": "blue", "truthfulqa": "yes so", "sciriff": "Uses", "culturebench": "True",
    "tablemwp_free_text": "1,200", "tablemwp_multiple_choice": "dogs", "gpqa_diamond": "alpha",
    "gpqa_main": "alpha", "gpqa_extended": "alpha", "medmcqa": "d1", "medqa": "b1",
    "pubmedqa": "maybe", "theoremqa": "0.5", "culturalbench_hard": "c1", "apex_shortlist": "42",
    "scitarc": "Model X, 9", "bixbench": "5%", "chembench": "base", "lab_bench": "XYZ",
    "mixeval": "b1", "mmluprox": "c1",
}  # fmt: skip
"""The right answer: of a choice, the text of the option that its letter names."""


def stored(folder: Path, rows: Mapping[Part, Sequence[Row]]) -> Found:
    """Rows as they lie on disk: splits as JSON lines, files in their authors' form."""
    files = {}
    for number, (part, own) in enumerate(rows.items()):
        path = folder / f"{number}{Path(part.file).suffix or '.jsonl'}"
        path.write_text(written(part, own), "utf-8")
        files[part] = path
    return Found("hf://datasets/own/er@abc", files)


def written(part: Part, rows: Sequence[Row]) -> str:
    """A file's text: lines, an object with `examples`, an object of rows by id, or a list."""
    listed = not part.file.endswith(".jsonl") or "/llama/" in part.file
    if not part.file or not listed:
        return "".join(json.dumps(row) + "\n" for row in rows)
    if part.file.startswith("bbh/"):
        return json.dumps({"canary": "text", "examples": list(rows)})
    if rows and all("id" in row for row in rows):
        return json.dumps({row["id"]: dict(row) for row in rows})
    return json.dumps(list(rows))
