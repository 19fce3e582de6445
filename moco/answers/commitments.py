"""Finds where a text commits itself to an option in other words than a label: a letter on a line of
its own, "I choose B", "C is correct", "so it must be D".
"""

from __future__ import annotations

import re

from moco.answers.claims import discarded
from moco.answers.letters import Event, goes_on, hedge
from moco.answers.options import REJECTED, Options

_LONE = re.compile(r"[A-Z](?![A-Za-z0-9_À-ɏ'+#])")
_BEFORE, _AFTER = 48, 200
"""Characters looked at on each side of a letter."""
_OPT = r"(?:option|choice|answer|letter|statement|choose|pick)?\s*"
_VERB = re.compile(
    rf"""\b(?:(?:i'd|i\s+would|i'll|i\s+will)\s+(?:say|guess|answer)|choose|chose|choosing
    |pick|picking|select|selecting|go(?:ing)?\s+(?:with|for)|opt(?:ing)?\s+for|vote\s+for
    |settle\s+on|answer\s+with|conclude\s+that\s+it\s+is|respond\s+with|lean(?:ing)?\s+towards?)
    \s+(?:the\s+)?{_OPT}$
    |(?:选择?|選擇?|選択|选项是?|選項是?)\s*[:：]?\s*$""",
    re.VERBOSE,
)
_SUBJECT = re.compile(
    r"""(?:^|[\n.,;:!?("'\[—–*-]\s*|\b(?:option|choice|answer|letter|statement|so|thus|therefore|hence|then|that|only|but
    |think|believe|since|because|and|means|say|conclude|both|or)\s+)$""",
    re.VERBOSE,
)
_OTHER_NOUN = (
    r"(?!-|\s+(?!answer|option|choice|one|fit|match|description|explanation|statement|conclusion"
    r"|here|because|since|as\b|and\b|but\b|in\b|for\b|of\b|given)[a-z])"
)
"""After "right" or "best": no other thing than an answer is called so."""
_CORRECT = re.compile(
    rf"""[.:]?(?:\s*\([^()\n]{{0,120}}\)|\s*[-:]\s[^\n.;]{{0,120}}?)?\s*,?
    \s+(?:is|are|must\s+be|has\s+to\s+be|would\s+be|should\s+be|seems|appears|looks)\s+(?:to\s+be\s+)?
    (?:(?:also|clearly|definitely|most|likely|probably|therefore|thus|indeed|obviously|certainly|actually|then|the|my|our|an?
    |only|single|one|final|overall)\s+)*
    (?:correct|right|best|answer|appropriate\s+answer|accurate\s+answer|one|left)\b{_OTHER_NOUN}
    |\s+(?:remains|fits)\b""",
    re.VERBOSE,
)
_BE = r"(?:'s|\s+is|\s+must\s+be|\s+has\s+to\s+be|\s+should\s+be)"
_SURELY = r"(?:\s+(?:definitely|clearly|surely|certainly|probably|likely|obviously|therefore))?"
_THUS = re.compile(
    rf"""(?:\b(?:it{_BE}{_SURELY}|must\s+be|has\s+to\s+be|(?:not|nor)\s+[a-z],?\s+but(?:\s+rather)?
       |leav(?:es|ing)(?:\s+us\s+with)?(?:\s+only)?|i\s+(?:think|believe|guess|suspect)|probably|presumably)
    |[→⇒]|=>|(?:^|[.!?,;\n]\s*)(?:therefore|thus|hence|so|conclusion|final)\s*[:,]?)
    \s*{_OPT}$""",
    re.VERBOSE,
)
_THUS_ENDS = re.compile(r"\s*(?:[.!]?\s*(?:$|\n)|[.!,;]\s|\(|:\s|(?:because|since|as)\b)")
_UNLIKELY = re.compile(
    r"(?:\b(?:not|never|who|if|to\s+avoid|cannot|tempted\s+to|might|could|would\s+you|should\s+i|may|neither|nor|why\s+not)"
    r"|n't)\s+(?:\w+\s+)?$"
)
_SHARED = re.compile(
    r"(?<![\w'])[(\[]?(?P<other>[A-Z])[)\]]?\s*(?:,|/|&|,?\s*(?:and|or|and/or))\s*$"
)
_CUES = frozenset((
    "say", "guess", "answer", "choose", "chose", "choosing", "pick", "picking", "select",
    "selecting", "with", "for", "on", "is", "be", "towards", "toward", "the", "option", "choice",
    "letter", "statement", "but", "rather", "only", "leaves", "leaving", "us", "therefore", "thus",
    "hence", "so", "conclusion", "final", "it's", "definitely", "clearly", "surely", "certainly",
    "probably", "likely", "obviously", "think", "believe", "suspect", "presumably", "→", "⇒", "=>",
))  # fmt: skip
"""The last word before a letter that is chosen or come to."""
_LINE = re.compile(
    r"[ \t>*#•|-]*(?:(?:the\s+)?(?:final\s+|correct\s+)?(?:option|choice|answer|letter)\s*:?\s*)?"
    r"[(\[\"']*(?P<letter>[a-z])[)\]\"']*[.:,;!)]?[\"']?[ \t|]*"
)
_LONGEST_LINE = 40


def lines(text: str, lowered: str, options: Options) -> list[Event]:
    """Lines that hold one letter and nothing else."""
    events: list[Event] = []
    start = 0
    for line in lowered.split("\n"):
        match = _LINE.fullmatch(line) if 0 < len(line) <= _LONGEST_LINE else None
        if match is not None and options.has(match["letter"]):
            raw = text[start : start + len(line)].strip()
            end = start + len(line)
            events.append(Event(start, end, match["letter"].upper(), "letter line", raw))
        start += len(line) + 1
    return events


def stated(text: str, lowered: str, options: Options) -> list[Event]:
    """Letters that a sentence chooses, calls correct or comes to."""
    events: list[Event] = []
    for lone in _LONE.finditer(text):
        at = lone.start()
        previous = text[at - 1] if at else " "
        free = not ((previous.isalnum() and previous < "\u0900") or previous in "_.")
        if free and lone[0] in options.letters:
            event = _around(text, lowered, at, options)
            if event is not None:
                events.append(event)
    return events


def _around(text: str, lowered: str, at: int, options: Options) -> Event | None:
    """What the words around a free-standing capital letter make of it."""
    letter = text[at]
    opened = text[at - 1 : at] in ("(", "[")
    start, end = at - opened, at + 1
    end += text[end : end + 1] in (")", "]")
    before, rest = lowered[max(0, start - _BEFORE) : start], text[end : end + _AFTER]
    words = before.split()
    cued = bool(words) and (words[-1].strip(":,.;!?*") in _CUES or not words[-1].isascii())
    correct = _CORRECT.match(lowered, end)
    if not (cued or correct):
        return None
    if not (opened or text[end - 1] in ")]" or goes_on(rest, letter, options)):
        return None
    said = _VERB.search(before) if cued else None
    form = "verb"
    if said is None and correct:
        said, form = _SUBJECT.search(before), "correct"
    if said is None and cued and _THUS_ENDS.match(rest):
        said, form = _THUS.search(before), "thus"
    if said is None:
        return None
    begin = start if form == "correct" else start - len(before) + said.start()
    if _UNLIKELY.search(lowered, max(0, begin - 60), begin) or discarded(lowered, begin):
        return None
    if form != "correct" and (REJECTED.match(rest) or re.match(r"\s*(?:if|unless|\?)", rest)):
        return None
    return Event(begin, end, _single(text, start, letter, rest, options), form, text[begin:end])


def _single(text: str, start: int, letter: str, rest: str, options: Options) -> str | None:
    """The letter, None where another one shares its place: "A and B are correct"."""
    shared = _SHARED.search(text, max(0, start - 20), start)
    if shared and options.has(shared["other"]) and shared["other"] != letter:
        return None
    return None if hedge(rest, letter, options) else letter
