"""Writes docs/methods/ and the list in docs/methods.md from the method classes.

    python scripts/make_docs.py [--check]

`--check` writes nothing and exits 1 where a page is out of date.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path
from typing import Any

from moco import registry
from moco.access import Requires
from moco.methods.base import Method, hyperparameters

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
LEVELS = {
    "baseline": "Baselines: what a collaboration has to beat",
    "api": "API level: who answers",
    "text": "Text level: models read each other",
    "logit": "Logit level: one next-token distribution",
    "weight": "Weight level: one set of weights",
}
HEADER = "<!-- made by scripts/make_docs.py from the class; do not edit -->\n\n"


def needs_lines(needs: Requires) -> list[str]:
    """A method's requirements in words."""
    lines = [f"- members: at least {needs.min_models}"]
    if needs.max_models is not None:
        lines[0] += f", at most {needs.max_models}"
    lines.append(f"- every member gives: {needs.access.words}")
    if needs.same:
        lines.append("- members share: " + ", ".join(sorted(needs.same)))
    if needs.answers is not None:
        lines.append("- answer kinds: " + ", ".join(sorted(needs.answers)))
    lines.append(f"- dev questions: {'needed' if needs.dev else 'not needed'}")
    for role, need in needs.roles.items():
        lines.append(f"- role `{role}` ({need.access.words}): default {need.default}")
    return lines


def page(name: str) -> str:
    """One method's page."""
    cls: type[Method[Any]] = registry.load("method", name)
    rows = [
        f"| `{key}` | {_cell(entry['type'])} | `{entry['default']}` |"
        f" {_cell(entry['description'])} |"
        for key, entry in hyperparameters(cls).items()
    ]
    example = (ROOT / "examples" / f"{name}.yaml").read_text()
    example_needs = cls.model_construct().needs()
    paper = [f"- `{key}: {value}`" for key, value in cls.paper_preset.items()]
    parts = [
        f"# {name}\n\n{inspect.getdoc(cls)}\n\n*Level:* {cls.level} · *Reference:* {cls.paper}",
        "## Needs\n\n" + "\n".join(needs_lines(example_needs)),
        "## Hyperparameters\n\n| name | type | default | meaning |\n|---|---|---|---|\n"
        + "\n".join(rows),
        "## `preset: paper`\n\n" + "\n".join(paper) if paper else "",
        f"## Example\n\n`moco run examples/{name}.yaml`\n\n```yaml\n{example.strip()}\n```",
    ]
    return HEADER + "\n\n".join(part for part in parts if part) + "\n"


def _cell(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return " ".join(text.split()).replace("|", "\\|")


def index() -> str:
    """The list of methods by level."""
    parts = [f"{HEADER}# Methods\n"]
    found = {name: registry.load("method", name) for name in registry.names("method")}
    for level, title in LEVELS.items():
        parts.append(f"\n## {title}\n\n")
        parts += [
            f"- [{name}](methods/{name}.md): {cls.summary()}\n"
            for name, cls in found.items()
            if cls.level == level
        ]
    return "".join(parts)


def pages() -> dict[Path, str]:
    """Every page by its path."""
    made = {DOCS / "methods" / f"{name}.md": page(name) for name in registry.names("method")}
    return {DOCS / "methods.md": index(), **made}


def main() -> int:
    """Write the pages, or say which are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    made = pages()
    stale = [p for p, text in made.items() if not p.exists() or p.read_text() != text]
    for path in stale:
        if check:
            sys.stderr.write(f"{path.relative_to(ROOT)} is out of date: make docs\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[path])
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
