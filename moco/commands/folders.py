"""Run folders: one run's table, one question of it, and many runs at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from moco.commands import terminal
from moco.errors import DataError, InputError, MocoError, UnknownNameError, clip
from moco.regrade import regrade
from moco.report.tables import overview, run_sheet
from moco.store.finished import report_of
from moco.store.records import read
from moco.types import Json


def is_run(folder: Path) -> bool:
    """Whether a folder is a run folder."""
    return (folder / "manifest.json").is_file()


def show_run(folder: Path, query_id: str) -> int:
    """Print a run's table, or everything about one of its questions."""
    if not is_run(folder):
        raise InputError(f"{clip(str(folder), 300)}: is no run folder (it has no manifest.json)")
    if query_id:
        for text, authors in _question(folder, query_id):
            terminal.written(text, authors)
        return 0
    report = report_of(folder)
    if report is None:
        raise InputError(
            f"{clip(str(folder), 300)}: this run is not finished; moco run "
            f"{clip(str(folder / 'config.yaml'), 300)} goes on with it"
        )
    terminal.sheet(run_sheet(report))
    terminal.out(f"run folder: {report.path}")
    return 0


Parts = list[tuple[str, str]]
"""(author, text) of an answer's parts, in order; empty = nobody is named."""


def _question(folder: Path, query_id: str) -> list[tuple[str, Parts]]:
    """One question: every call with prompt and answer, then prediction and score; answers that
    several models wrote together come with their parts.
    """
    records = [r for r in read(folder / "samples.jsonl") if r.get("query_id") == query_id]
    calls = [r for r in read(folder / "calls.jsonl") if r.get("query_id") == query_id]
    if not records and not calls:
        known = dict.fromkeys(
            str(r.get("query_id"))
            for name in ("samples", "calls")
            for r in read(folder / f"{name}.jsonl")
        )
        raise UnknownNameError("question", query_id, known, f" The run has {len(known)} of them.")
    found: list[tuple[str, Parts]] = [(f"question {query_id}: {len(calls)} calls", [])]
    for i, call in enumerate(calls, start=1):
        found.append((f"\n{_call(i, call)}", []))
    for record in records:
        found.append((f"\n{_sample(record)}", []))
        if parts := _parts(str(record.get("prediction", "")), record.get("notes")):
            found.append(("written by:", parts))
    return found


def _parts(text: str, notes: Json) -> Parts:
    """An answer cut where its author changes; nothing where one or nobody is named."""
    spans = notes.get("spans") if isinstance(notes, dict) else None
    data, parts = text.encode(), []
    if not spans or len(spans) < 2 or sum(size for _, size in spans) != len(data):
        return []
    place = 0
    for author, size in spans:
        parts.append((str(author), data[place : place + size].decode("utf-8", "replace")))
        place += size
    return parts


def _call(number: int, call: Mapping[str, Json]) -> str:
    who = ", ".join(call["models"]) if "models" in call else call.get("model", "")
    stop = f", ended by {call['stop']}" if call.get("stop") else ""
    tokens = f"{call.get('prompt_tokens', 0)} + {call.get('generated_tokens', 0)} tokens"
    head = f"[{number}] {who}: {call.get('stage', '')} ({call.get('kind', '')}, {tokens}{stop})"
    value = f"\nlog-probability: {call['logprob']:.4f}" if "logprob" in call else ""
    return f"{head}\n{_prompt(call.get('prompt'))}\n--- answer\n{call.get('text', '')}{value}"


def _prompt(prompt: Json) -> str:
    """A conversation, one block per turn."""
    if not isinstance(prompt, list):
        return f"--- prompt\n{prompt}"
    blocks = [
        f"--- {turn[0]}\n{turn[1]}" if isinstance(turn, list) and len(turn) == 2 else f"--- {turn}"
        for turn in prompt
    ]
    return "\n".join(blocks)


def _sample(record: Mapping[str, Json]) -> str:
    why = f" ({record['why']})" if record.get("why") else ""
    draw = f" of draw {record['draw']}" if record.get("draw") else ""
    lines = [
        f"prediction{draw}, by {', '.join(record.get('by', [])) or 'nobody'}:",
        str(record.get("prediction", "")),
        f"read as: {record.get('answer')} [{record.get('status')}]{why}",
        f"score: {record.get('score')}",
    ]
    notes = record.get("notes")
    return "\n".join([*lines, *([f"notes: {notes}"] if notes else [])])


def report_all(folder: Path, again: bool) -> int:
    """Print a table of all finished runs below a folder; `again` scores their predictions anew."""
    if not folder.is_dir():
        raise InputError(f"{clip(str(folder), 300)}: no such folder")
    found = sorted(path.parent for path in folder.rglob("report.json"))
    reports, code = [], 0
    for path in found:
        try:
            report = report_of(path)
        except DataError as error:
            terminal.error(error)
            code = 2
            continue
        if report is not None:
            reports.append(report)
    if not reports:
        raise InputError(f"{clip(str(folder), 300)}: there is no finished run (report.json) below")
    scores: dict[str, float | None] | None = None
    if again:
        scores = {}
        for report in reports:
            try:
                scores[str(report.path)] = regrade(report.path).score
            except MocoError as error:
                terminal.error(error)
                code = max(code, error.exit_code)
    terminal.sheet(overview(reports, scores))
    return code
