"""What members have not read yet, read in one pass per loaded base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from moco.decoding.session import Reading
from moco.decoding.views import Own
from moco.errors import not_finite


@dataclass(frozen=True, slots=True)
class Part:
    """What one member is to read of one row."""

    own: Own
    draft: Sequence[int] = ()
    """Ids behind its own that it reads ahead."""
    keep: int = 1
    """Last positions whose logits are wanted, of those that are read now."""

    @property
    def new(self) -> list[int]:
        """Ids that the member has not read."""
        own = self.own
        behind = max(own.read - len(own.prompt), 0)
        ahead = max(behind - len(own.ids), 0)
        return [*own.prompt[own.read :], *own.ids[behind:], *self.draft[ahead:]]


def read(parts: Sequence[Part]) -> list[Tensor | None]:
    """Logits [positions, V] of each part's wanted positions; None where there was nothing new."""
    kept: list[Tensor | None] = [None] * len(parts)
    by_session: dict[int, list[tuple[int, list[int]]]] = {}
    for place, part in enumerate(parts):
        if new := part.new:
            by_session.setdefault(id(part.own.voice.session), []).append((place, new))
        elif part.own.heard is None:
            _again(part.own)
    for chunks in by_session.values():
        owns = [parts[place].own for place, _ in chunks]
        counts = [min(parts[place].keep, len(new)) for place, new in chunks]
        session = owns[0].voice.session
        reading = session.extend([own.row for own in owns], [new for _, new in chunks], counts)
        _check_finite(owns, counts, reading.logits_NV)
        end = 0
        for (place, new), own, count in zip(chunks, owns, counts, strict=True):
            end += count
            own.read += len(new)
            own.positions += len(new)
            _hear(own, reading, end - 1)
            kept[place] = reading.logits_NV[end - count : end]
    return kept


def _again(own: Own) -> None:
    """After a rollback the last position is read again, for its logits are gone."""
    session = own.voice.session
    session.rollback(own.row, own.read - 1)
    last = [*own.prompt, *own.ids][own.read - 1 : own.read]
    _hear(own, session.extend([own.row], [last]), 0)
    own.positions += 1
    own.rolled_back += 1


def _hear(own: Own, reading: Reading, place: int) -> None:
    own.heard = reading.logits_NV[place]
    own.state = reading.hidden_NW[place] if len(reading.hidden_NW) > place else None


def _check_finite(owns: Sequence[Own], counts: Sequence[int], logits_NV: Tensor) -> None:
    """Raise an error that names the members whose numbers are not finite."""
    finite_N = torch.isfinite(logits_NV.amax(-1))
    if not bool(finite_N.all()):
        names = [own.voice.name for own, n in zip(owns, counts, strict=True) for _ in range(n)]
        bad = (~finite_N).nonzero()[:, 0].tolist()
        raise not_finite(", ".join(dict.fromkeys(names[i] for i in bad)))
