"""Ready pools: one reference stands for their members."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReadyPool:
    """A pool that a config may name instead of listing members."""

    name: str
    """The reference, such as `zoo://mini`."""
    members: tuple[str, ...]
    """References of its members, in order."""
    description: str
    embedder: str = ""
    """Reference of its own embedder; empty = it brings none."""


POOLS: tuple[ReadyPool, ...] = (
    ReadyPool(
        name="zoo://mini",
        members=(
            "zoo://mini/base",
            "zoo://mini/arithmetic",
            "zoo://mini/words",
            "zoo://mini/facts",
        ),
        description="four tiny bundled models: a base and its specialists; needs no download",
        embedder="zoo://mini/embedder",
    ),
    ReadyPool(
        name="zoo://smol-specialists",
        members=(
            "zoo://smol-specialists/arithmetic",
            "zoo://smol-specialists/words",
            "zoo://smol-specialists/facts",
        ),
        description="three LoRA specialists of smollm2-135m, which is pulled",
        embedder="minilm-l6",
    ),
    ReadyPool(
        name="zoo://real",
        members=("smollm2-135m", "gemma3-270m"),
        description="two real small models of different families, both pulled",
        embedder="minilm-l6",
    ),
)


def names() -> list[str]:
    """References of the ready pools, in display order."""
    return [pool.name for pool in POOLS]


def find(ref: str) -> ReadyPool | None:
    """The ready pool of this reference, if there is one."""
    return next((pool for pool in POOLS if pool.name == ref.rstrip("/")), None)
