"""The text of an answer as its tokens arrive: characters, stop strings, thoughts."""

from __future__ import annotations

import codecs
from typing import Literal

OPEN, CLOSE = "<think>", "</think>"


class AnswerText:
    """Gathers an answer's bytes; says what may be shown and whether a stop string has come.

    Only complete characters count, a possible start of a stop string is held back, and what stands
    between `<think>` and `</think>` is neither shown nor searched for stop strings. `thinking`: the
    prompt ends inside a thought.
    """

    def __init__(self, stops: tuple[str, ...] = (), thinking: bool = False) -> None:
        self.text = ""
        """Everything so far, thoughts included, cut before a stop string."""
        self.stopped = False
        """Whether a stop string has come."""
        self._stops = tuple(stop for stop in stops if stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._state: Literal["start", "thought", "answer"] = "thought" if thinking else "start"
        self._start = 0
        """Where the answer begins, behind the thought."""
        self._shown = 0

    @property
    def unclosed(self) -> bool:
        """Whether the text so far ends inside a thought."""
        return self._state == "thought"

    def feed(self, data: bytes) -> str:
        """Add the bytes of a token; the text that may be shown now."""
        new = self._decoder.decode(data)
        if not new:
            return ""
        longest = max(map(len, self._stops), default=0)
        first = max(0, len(self.text) - longest + 1)
        self.text += new
        if not self._answering():
            return ""
        first = max(self._start, first)
        found = [at for stop in self._stops if (at := self.text.find(stop, first)) >= 0]
        if found:
            self.stopped = True
            self.text = self.text[: min(found)]
        return self._release(0 if self.stopped else self._held_back())

    def finish(self) -> str:
        """What was held back and may be shown now that no more tokens come."""
        return "" if self.unclosed else self._release(0)

    def split(self) -> tuple[str, str]:
        """(thoughts, answer); an unclosed thought leaves no answer."""
        thoughts, close, answer = self.text.rpartition(CLOSE)
        if close:
            return thoughts.replace(OPEN, "", 1).strip(), answer.lstrip()
        if self.unclosed:
            return self.text.replace(OPEN, "", 1).strip(), ""
        return "", self.text

    def _answering(self) -> bool:
        """Whether the answer has begun: no thought is open or may be about to open."""
        if self._state == "start":
            begun = self.text.lstrip()
            if begun.startswith(OPEN):
                self._state = "thought"
            elif OPEN.startswith(begun) and not any(stop in self.text for stop in self._stops):
                return False
            else:
                self._state = "answer"
        if self._state == "thought" and (closed := self.text.find(CLOSE)) >= 0:
            self._state = "answer"
            self._start = self._shown = closed + len(CLOSE)
        return self._state == "answer"

    def _held_back(self) -> int:
        """Length of the longest end of the text that may be the start of a stop string."""
        longest = max(map(len, self._stops), default=1) - 1
        for count in range(min(longest, len(self.text) - self._start), 0, -1):
            if any(stop.startswith(self.text[-count:]) for stop in self._stops):
                return count
        return 0

    def _release(self, held: int) -> str:
        """Text up to the held-back end; blanks between a thought and the answer are not shown."""
        end = len(self.text) - held
        shown = self.text[self._shown : end]
        if self._shown == self._start > 0:
            shown = shown.lstrip()
        if shown:
            self._shown = end
        return shown
