"""Writes the stored items of the task `mini`: python scripts/make_mini.py"""

from __future__ import annotations

import json

from moco.tasks.mini import DATA, Part, generate, record

PARTS: tuple[Part, ...] = ("dev", "test")


def main() -> None:
    """Writes dev and test, one JSON object a line."""
    with DATA.open("w", encoding="utf-8") as file:
        for part in PARTS:
            for i, item in enumerate(generate(part)):
                line = record(item, f"mini-{part}-{i}", part)
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
