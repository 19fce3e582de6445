"""The final tables of runs and studies, as plain values: no terminal code, no colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moco.report.report import Report
from moco.types import Json

NONE = "–"
"""A value that does not exist."""
UNFIT = "/"
"""The score of a method that does not fit the pool."""
REASON_CHARS = 200
MOST_SLICES = 12
"""More values of a key than these are in report.json only."""
NUMERIC = "0123456789+-[–/"

SCORES = (
    "", "score", "95% interval", "vs best single", "dev", "cost", "calls", "new tokens", "seconds",
)  # fmt: skip
"""Columns; `cost` is the mean per question, in the pool's unit."""


@dataclass(frozen=True)
class Sheet:
    """A table with what stands above and below it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers, which are aligned to the right."""
        cells = [row[column] for row in self.rows if row[column]]
        return bool(cells) and all(cell[0] in NUMERIC for cell in cells)

    def plain(self) -> str:
        """Aligned text: numbers to the right, words to the left; no colours, no borders."""
        lines = [self.columns, *self.rows]
        widths = [max(len(row[i]) for row in lines) for i in range(len(self.columns))]
        right = [self.numeric(i) for i in range(len(widths))]
        shown = [
            "  ".join(
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(row, widths, right, strict=True)
            ).rstrip()
            for row in lines
        ]
        return "\n".join([*([self.title] if self.title else []), *shown, *self.notes])


@dataclass(frozen=True)
class Entry:
    """One line of a study's table: a method's report, or why there is none."""

    label: str
    report: Report | None
    why: str = ""
    unfit: bool = False
    """The pool breaks the method's requirements: no failure, the method does not apply."""


def number(value: float | None, digits: int = 3, *, sign: bool = False) -> str:
    """A score to three places, or a dash."""
    return NONE if value is None else f"{value:{'+' if sign else ''}.{digits}f}"


def amount(value: float | None) -> str:
    """A cost to three significant digits, or a dash."""
    return NONE if value is None else f"{value:,.3g}" if value < 1e6 else f"{value:.3g}"


def interval(bounds: tuple[float, float] | None) -> str:
    """`[low, high]`, or a dash."""
    return NONE if bounds is None else f"[{bounds[0]:.3f}, {bounds[1]:.3f}]"


def difference(value: tuple[float, float, float] | None) -> str:
    """`+mean [low, high]`, or a dash."""
    return NONE if value is None else f"{value[0]:+.3f} [{value[1]:+.3f}, {value[2]:+.3f}]"


def calls(usage: Mapping[str, Json]) -> str:
    """Calls, and how many of them came from the cache."""
    cached = usage.get("cached_calls", 0)
    return f"{usage.get('calls', 0):,}" + (f" ({cached:,} cached)" if cached else "")


def seconds(usage: Mapping[str, Json]) -> str:
    """Model seconds; where calls were cached, those of this run apart."""
    total, fresh = usage.get("seconds", 0.0), usage.get("fresh_seconds", 0.0)
    shown = f"{total:,.1f}"
    return f"{shown} ({fresh:,.1f} now)" if usage.get("cached_calls", 0) else shown


def run_sheet(report: Report) -> Sheet:
    """The final table of one run."""
    title = f"{report.method} on {report.task}: {report.n} questions"
    rows = [_method_row(report.method, report), *_baselines(report)]
    notes = [
        *_figures(report),
        *_emergence(report),
        *_economy(report),
        *_counts(report),
        _spent("method", report.usage),
    ]
    if report.usage_comparison.get("calls"):
        notes.append(_spent("singles and oracle besides", report.usage_comparison))
    if report.usage_scoring.get("calls"):
        notes.append(_spent("scoring", report.usage_scoring))
    return Sheet(title, SCORES, tuple(rows), tuple(notes))


def _unit(reports: Sequence[Report]) -> list[str]:
    """The unit of the cost column."""
    units = list(dict.fromkeys(r.costs["unit"] for r in reports if r.costs))
    return [f"cost: mean per question in {', '.join(units)}"] if units else []


def study_sheet(task: str, entries: Sequence[Entry]) -> Sheet:
    """All methods on one task, then the members alone, the best of them and the oracle."""
    rows, notes = [], []
    for entry in entries:
        if entry.report is not None:
            rows.append(_method_row(entry.label, entry.report))
            continue
        rows.append((entry.label, UNFIT if entry.unfit else "failed", *[""] * (len(SCORES) - 2)))
        if entry.unfit:
            notes.append(f"{UNFIT} {entry.label}: {_short(entry.why)}")
    reports = [e.report for e in entries if e.report is not None]
    compared = next((r for r in reports if r.singles), None)
    if compared is not None:
        rows += _baselines(compared)
    worse = [e.label for e in entries if e.report is not None and e.report.would_fall_back]
    if worse:
        notes.append(f"no better than the best single model on dev: {', '.join(worse)}")
    emergent = [_emergent(e.label, e.report) for e in entries if e.report is not None]
    if any(emergent):
        notes.append("solved though no member does: " + ", ".join(e for e in emergent if e))
    notes += _unit(reports)
    count = f": {reports[0].n} questions" if reports else ""
    return Sheet(f"{task}{count}", SCORES, tuple(rows), tuple(notes))


def _emergent(label: str, report: Report) -> str:
    """How many of the questions that no member solves a method solves; empty for none."""
    found = report.emergence
    if not found or not found["emergent"]:
        return ""
    return f"{label} {found['emergent']} of {found['unsolved']}"


def _figures(report: Report) -> list[str]:
    """What the score is, where its name does not say so, the scorer's further figures, and the
    score by slices.
    """
    notes = [f"score: {report.metric}"] if report.metric != report.scorer else []
    if report.metrics:
        shown = ", ".join(f"{name} {number(value)}" for name, value in report.metrics.items())
        notes.append(f"besides: {shown}")
    for key, table in report.slices.items():
        if len(table) <= MOST_SLICES:
            parts = ", ".join(f"{n} {number(s['score'])} ({s['n']})" for n, s in table.items())
            notes.append(f"by {key}: {parts}; macro mean {number(report.macro.get(key))}")
        else:
            mean = number(report.macro.get(key))
            notes.append(f"by {key}: {len(table)} values, macro mean {mean}")
    return notes


def _emergence(report: Report) -> list[str]:
    """What only the team solves, and what it loses."""
    found = report.emergence
    if not found:
        return []
    rate = ""
    if found["ci95"] is not None:
        low, high = found["ci95"]
        rate = f" ({found['rate']:.1%} [{low:.1%}, {high:.1%}])"
    solved = f"solves {found['emergent']} of {found['unsolved']} questions that no member solves"
    return [
        f"emergence: {solved}{rate}; loses {found['lost']} of {found['solvable']} that one does"
    ]


def _economy(report: Report) -> list[str]:
    """What an answer costs, how many calls in a row it takes, and what the money buys otherwise."""
    found = report.costs
    if not found:
        return []
    steps = f"calls in a row: {found['depth_p50']} (p50), {found['depth_p95']} (p95)"
    notes = [f"cost per question in {found['unit']}: {amount(found['mean'])}; {steps}"]
    gains = {name: gain for name, gain in found.get("gains", {}).items() if gain}
    if gains:
        shown = ", ".join(
            f"{name.replace('_', ' ')} {difference(tuple(gain))}" for name, gain in gains.items()
        )
        notes.append(f"gain over {shown}; regret to the oracle {number(found.get('regret'))}")
    if found.get("curve"):
        notes.append(
            f"accuracy-cost curve: {len(found['curve'])} settings from stored answers,"
            f" {found['curve_calls']} model calls; area (AIQ) {number(found.get('aiq'))}"
        )
    return notes


def _short(why: str) -> str:
    """A reason on one line."""
    line = " ".join(why.split())
    return line if len(line) <= REASON_CHARS else line[: REASON_CHARS - 1] + "…"


def _method_row(label: str, report: Report) -> tuple[str, ...]:
    return (
        label,
        number(report.score),
        interval(report.ci95),
        difference(report.difference),
        "",
        amount(report.costs.get("mean")),
        calls(report.usage),
        f"{report.usage.get('generated_tokens', 0):,}",
        seconds(report.usage),
    )


def _baselines(report: Report) -> list[tuple[str, ...]]:
    """Every member alone, the best of them by dev and by test, and the oracle."""
    empty = [""] * (len(SCORES) - 6)
    costs = report.costs.get("singles", {})

    def single(label: str, name: str) -> tuple[str, ...]:
        score, dev = number(report.singles.get(name)), number(report.singles_dev.get(name))
        return (label, score, "", "", dev, amount(costs.get(name)), *empty)

    rows = [single(f"  {name} alone", name) for name in report.singles]
    for what, name in (("dev", report.best_single_dev), ("test", report.best_single_test)):
        if name is not None:
            rows.append(single(f"  best single on {what}: {name}", name))
    if report.oracle is not None:
        blank = [""] * (len(SCORES) - 2)
        rows.append(("  oracle (best member per question)", number(report.oracle), *blank))
    return rows


def _counts(report: Report) -> list[str]:
    notes = []
    odd = {
        "invalid": report.n_invalid,
        "unparsed": report.n_unparsed,
        "truncated": report.n_truncated,
        "skipped": report.n_skipped,
    }
    if any(odd.values()):
        notes.append("answers: " + ", ".join(f"{n} {what}" for what, n in odd.items() if n))
    if report.n_groups:
        notes.append(f"intervals: {report.n_groups} groups of questions resampled whole")
    if report.fell_back:
        notes.append("fell back: the best single model on dev answered (fallback: best_single)")
    elif report.would_fall_back is not None:
        verdict = "no better than" if report.would_fall_back else "better than"
        would = "yes" if report.would_fall_back else "no"
        notes.append(f"would fall back: {would} ({verdict} the best single model on dev)")
    return [*notes, *(f"note: {note}" for note in report.notes)]


def _spent(what: str, usage: Mapping[str, Json]) -> str:
    loads = usage.get("model_loads")
    parts = [
        f"{calls(usage)} calls",
        f"{usage.get('prompt_tokens', 0):,} prompt tokens",
        f"{usage.get('generated_tokens', 0):,} new tokens",
        f"{seconds(usage)} s of model time",
        *([f"{loads} model loads"] if loads else []),
        *([f"price {usage['price']:.4f}"] if usage.get("price") else []),
    ]
    return f"{what}: {', '.join(parts)}"


def overview(
    reports: Sequence[Report], regraded: Mapping[str, float | None] | None = None
) -> Sheet:
    """One line per run folder, in the order given; `regraded` maps a folder's path to its score
    now.
    """
    columns = ("run", "method", "task", "n", "score", "95% interval", "vs best single", "calls")
    extra = ("regraded",) if regraded is not None else ()
    rows = [
        (
            report.path.name,
            report.method,
            report.task,
            str(report.n),
            number(report.score),
            interval(report.ci95),
            difference(report.difference),
            calls(report.usage),
            *([number(regraded.get(str(report.path)))] if regraded is not None else []),
        )
        for report in reports
    ]
    return Sheet(f"{len(reports)} finished runs", (*columns, *extra), tuple(rows))
