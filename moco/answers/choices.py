"""Reads which option a text chooses: a letter it commits itself to, else the text of one option."""

from __future__ import annotations

import re

from moco.answers.claims import claims, lower
from moco.answers.cleaning import Found, nothing
from moco.answers.commitments import lines, stated
from moco.answers.hedging import abstains, doubts, gives_up
from moco.answers.letters import ABSTAINS, Event, from_claim, read_letter
from moco.answers.options import NEGATED, REJECTED, Options, loose
from moco.answers.sentences import last_sentence
from moco.prompts import LETTERS

MAX_SENTENCE = 1_000
"""Of a longer last sentence only so many last characters are read."""

_MAYBE = re.compile(
    r"[\s.!;,)]*(?i:or|maybe|perhaps|possibly|alternatively|but\s+it\s+could|could\s+(?:also\s+)?be|it\s+could\s+also)\b"
    r"[^.\n]{0,30}?(?<![\w'])[(\[]?(?P<other>[A-Z])(?![\w'+#-])[)\]]?\s*(?:[.,;!?\n]|$)"
)
_JOIN = re.compile(
    r"[\s,/&|$(){}\[\]\\.]*(?:or|and|/|,|&|either)?[\s,$(){}\[\]\\.]*", re.IGNORECASE
)


def _last(events: list[Event], text: str) -> Event:
    """The last commitment; two different ones with nothing but "or" between them are a hedge."""
    last = events[-1]
    for other in reversed(events[:-1]):
        if other.letter == last.letter or other.form != last.form or last.start - other.end > 40:
            continue
        if other.end <= last.start and _JOIN.fullmatch(text[other.end : last.start]):
            return last._replace(letter=None, raw=f"{other.raw} {last.raw}")
    return last


def committed_choice(text: str, options: Options, skip: int = 0) -> Found | None:
    """The option that an undressed text commits itself to, None where it does not; what starts
    before `skip` is not looked at.
    """
    lowered = lower(text)
    made = [from_claim(claim, options) for claim in claims(text, choice=True)]
    events = [event for event in made if event is not None]
    events += [*lines(text, lowered, options), *stated(text, lowered, options)]
    events = sorted((e for e in events if e.start >= skip), key=lambda e: (e.end, e.start))
    if not events:
        return None
    last = _last(events, text)
    if last.form == ABSTAINS:
        return nothing("no option is chosen", "abstained", last.raw)
    maybe = _MAYBE.match(text, last.end)
    if last.letter is None or (
        maybe and options.has(maybe["other"]) and maybe["other"] != last.letter
    ):
        return nothing("several options at once", "ambiguous", last.raw)
    tail = last_sentence(text)
    if tail and tail.start >= last.end and gives_up(tail.text):
        return nothing("gives up after an answer", "abstained", tail.text)
    return Found(last.letter, "parsed", last.raw, last.form)


_OWN_LINE = re.compile(
    r"^[ \t>*#•-]*[(\[]?(?P<letter>[A-Z])(?:[)\]]\.?|[.:]|\s-)?\s+(?P<text>\S[^\n]*)$", re.MULTILINE
)
_REASONED = re.compile(
    r"\s*[(\[]?(?P<letter>[A-Z])[)\]]?,?\s+(?:because|since|I\s+(?:think|believe|guess))\b"
)
_FIRST = re.compile(r"\s*(?P<open>\(?)(?P<letter>[A-Z])(?P<mark>[).:])\s+(?P<rest>\S[^\n]*)")
_MENTION = re.compile(
    r"(?:\b(?i:option|choice|answer|statement)\s+(?P<a>[A-Z])(?![\w'+#-])|(?<!\w)[(\[](?P<b>[A-Z])[)\]]|(?<![\w.(])(?P<c>[A-Z])\)(?=[\s.,]|$))"
)


def suggested_choice(text: str, options: Options) -> Found:
    """What a text seems to choose where it never says so: an option quoted alone, or named in
    the last sentence.
    """
    for whole in (text, text.rstrip().rsplit("\n", 1)[-1]):
        fits = options.equal(whole)
        if fits:
            return _pick(fits, whole.strip(), "the text is an option's text")
    tail = last_sentence(text)
    last = tail.text[-MAX_SENTENCE:] if tail else ""
    quoted = _quoted(text, options)
    if quoted is not None and not gives_up(last):
        return quoted
    listed = read_letter(last, options, alone=False)
    if (listed is not None and listed[0] is None) or _offers_two(last, options):
        return nothing("several options at once", "ambiguous", last[:200])
    opening = None if gives_up(last) else _opening(text, options)
    if opening is not None:
        return opening
    named = [] if doubts(last) else _mentions(last, options)
    if len(named) == 1:
        return Found(named[0], "parsed", last[:200], "one option letter in the last sentence")
    end = text[-MAX_SENTENCE:]
    found = options.ending(end) if named else options.inside(last) or options.ending(end)
    if named and len(found) != 1:
        return nothing("several options in the last sentence", "ambiguous", last[:200])
    if found:
        return _pick(found, last[:200], "one option's text in the last sentence")
    if abstains(last or text[:200]):
        return nothing("no option is chosen", "abstained", (last or text)[:200])
    return nothing("no option chosen")


_TWO = re.compile(
    r"(?<![\w.'])[(\[]?(?P<one>[A-Z])[)\]]?\s*(?:,|/|,?\s*\b(?:or|and))\s*"
    r"(?:(?:maybe|perhaps|possibly|even|option)\s+)*[(\[]?(?P<other>[A-Z])(?![\w'+#])"
)


def _offers_two(sentence: str, options: Options) -> bool:
    """Whether a sentence names two letters side by side."""
    found = [(two["one"], two["other"]) for two in _TWO.finditer(sentence)]
    return any(a != b and options.has(a) and options.has(b) for a, b in found)


def _quoted(text: str, options: Options) -> Found | None:
    """An option repeated with its letter on a line of its own."""
    lines = [
        m
        for m in _OWN_LINE.finditer(text)
        if options.own(m["letter"]) and options.own(m["letter"]) == loose(m["text"])
    ]
    if lines and len({m["letter"] for m in lines}) == 1:
        why = "one option is repeated on a line of its own"
        return Found(lines[0]["letter"], "parsed", lines[0][0].strip(), why)
    if lines:
        above = text[: lines[-1].start()].rstrip().rsplit("\n", 1)[-1].strip()
        at_end = lines[-1].end() >= len(text.rstrip())
        if at_end and not any(m[0].strip() == above for m in lines):
            why = "an option is repeated on the last line"
            return Found(lines[-1]["letter"], "parsed", lines[-1][0].strip(), why)
    return None


def _opening(text: str, options: Options) -> Found | None:
    """A letter that opens the text."""
    reasoned = _REASONED.match(text)
    if reasoned and options.has(reasoned["letter"]):
        return Found(reasoned["letter"], "parsed", reasoned[0].strip(), "the text gives a reason")
    first = _FIRST.match(text)
    if first and options.has(first["letter"]) and _plausible(first, options, text):
        why = "the text starts with an option letter"
        return Found(first["letter"], "parsed", first[0].strip()[:80], why)
    return None


_TURNED_DOWN = re.compile(r"[:–—-]\s*(?:no|not|wrong|incorrect|false)\b", re.IGNORECASE)


def _plausible(first: re.Match[str], options: Options, text: str) -> bool:
    """Whether a letter at the very start is a choice, not an initial (`E. coli`, `A. Smith`) or one
    of a list.
    """
    listed = {m[1] for m in re.finditer(r"^[ \t]*\(?([A-Z])[).:]\s", text, re.MULTILINE)}
    named = {next(filter(None, m.groups())) for m in _MENTION.finditer(text)}
    if (listed | named) - {first["letter"]}:
        return False
    if _TURNED_DOWN.search(first["rest"][: len(options.own(first["letter"])) + 40]):
        return False
    if first["mark"] != "." or first["open"]:
        return not REJECTED.match(" " + first["rest"]) and not re.match(
            r"(?:wrong|incorrect|false|no\b)", first["rest"], re.I
        )
    own = set(re.findall(r"\w{4,}", options.own(first["letter"])))
    return bool(own & set(re.findall(r"\w{4,}", loose(first["rest"]))))


def _mentions(sentence: str, options: Options) -> list[str]:
    """The letters that a sentence names and does not reject."""
    named: list[str] = []
    for match in _MENTION.finditer(sentence):
        letter = match["a"] or match["b"] or match["c"]
        before, rest = sentence[max(0, match.start() - 40) : match.start()], sentence[match.end() :]
        rejected = (
            REJECTED.match(rest) or NEGATED.search(before.casefold()) or re.match(r"\s*\?", rest)
        )
        if options.has(letter) and not rejected and letter not in named:
            named.append(letter)
    return named


def _pick(fits: list[int], raw: str, why: str) -> Found:
    if len(fits) == 1:
        return Found(LETTERS[fits[0]], "parsed", raw, why)
    return nothing("several options have or match this text", "ambiguous", raw)
