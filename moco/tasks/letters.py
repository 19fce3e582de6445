"""Reads which option a text chooses: a letter it commits itself to, else the text of one option."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from moco.prompts import LETTERS
from moco.tasks.claims import Claim, claims, discarded
from moco.tasks.cleaning import Found, abstains, gives_up, nothing, sentences
from moco.tasks.options import NEGATED, TRIM, Options, loose, options_of

_LEAD = re.compile(
    r"""[\s"':=>*\-–—,]*(?:(?:option|choice|letter|answer|statement|number|clearly|definitely|likely|probably|most|simply
    |therefore|thus|indeed|hence|either|both|the|correct|final|one|is|labell?ed|still|actually|also|surely|certainly
    |la|el|die|der|opción|opção|letra|lettre|буква)
    \b[\s:"'*]*)*""",
    re.IGNORECASE | re.VERBOSE,
)
_LETTER = re.compile(r"(?P<open>[(\[{<\"']*)\s*(?P<letter>[A-Za-z])(?P<close>\s?[)\]}>\"']+|)")
_REASON = (
    r"because|since|as|due|for|which|given|based|and|or|but|is|if|in|by|so|while|where|although|though|therefore|thus"
    r"|rather|instead|not|over|on|that|with|would|will|must|when|considering|according|from|here|being"
)
_GOES_ON = re.compile(
    rf"\s*$|\s*\n|\s*[.](?![\w])|\s*[,;:!](?!\w)|\s*,\s|[,;:)]|\s*[-–—]{{1,2}}\s|\s+(?:{_REASON})\b|\s*[(\[\"}}]|\s*[^\x00-\u024f\s]"
)
_OTHER = re.compile(
    r"""\s*(?:,\s*(?:or|and)?|/|&|\||\bor\b|\band\b|\band/or\b|\bor/and\b)\s*
    (?:(?:even|maybe|possibly|perhaps|also|either|alternatively)\s+)*(?:option|choice|answer|letter)?\s*
    [(\[]?(?P<other>[A-Z])(?![\w'+#-])[)\]]?(?P<after>\s*(?:[.,;:!/&|)\n]|$|or\b|and\b|because\b|since\b|are\b|but\b|would\b|could\b|"|'))""",
    re.VERBOSE,
)
_MAYBE = re.compile(
    r"[\s.!;,)]*(?i:or|maybe|perhaps|possibly|alternatively|but\s+it\s+could|could\s+(?:also\s+)?be|it\s+could\s+also)\b"
    r"[^.\n]{0,30}?(?<![\w'])[(\[]?(?P<other>[A-Z])(?![\w'+#-])[)\]]?\s*(?:[.,;!?\n]|$)"
)
_WRONG_AFTER = re.compile(
    r"\s*(?:(?:is|are|was|would\s+be|would|seems?|looks?|appears?|must\s+be|can|could|could\s+be|also)\s+"
    r"(?:(?:also|clearly|definitely|likely|probably|obviously|simply|therefore|then|too|be|to\s+be|an?|the)\s+)*"
    r"(?:not\b|wrong|incorrect|false|invalid|ruled\s+out|eliminated|excluded|rejected|out\b|impossible|implausible"
    r"|unlikely|distractor|mistake)"
    r"|(?:isn't|aren't|can't|cannot|doesn't|does\s+not|won't|wouldn't|couldn't|could\s+not|fails)\b)",
    re.IGNORECASE,
)


class Event(NamedTuple):
    """A commitment in the text: to a letter, or to several (`letter` None)."""

    start: int
    end: int
    letter: str | None
    form: str
    raw: str


def _hedge(rest: str, letter: str, options: Options) -> str | None:
    """Another letter that is offered in the same breath."""
    own = options.own(letter)
    tail = rest.lstrip(" \t)].:\"'-–")
    if own and loose(tail[: len(own) + 8]).startswith(own):
        rest = tail[len(own) :]
    match = _OTHER.match(rest.lstrip(")]}\"' ")) or _OTHER.match(rest)
    if match and options.has(match["other"]) and match["other"] != letter:
        return match["other"]
    return None


def read_letter(value: str, options: Options, *, alone: bool) -> tuple[str | None, int] | None:
    """The letter that a value starts with and where it ends; (None, end) for several, None if it is
    no letter.

    `alone` says that the value is all that stands there (a box, a field, a line): then lower case
    counts too.
    """
    lead = _LEAD.match(value)
    at = lead.end() if lead else 0
    match = _LETTER.match(value, at)
    if match is None or not options.has(match["letter"]):
        return None
    letter, rest = match["letter"], value[match.end() :]
    if not match["close"] and rest[:1].isalnum() and rest[:1].isascii():
        return None
    enclosed = any(c in "([{<" for c in match["open"]) and bool(match["close"])
    bare = not rest.strip(" \t\n.,;:!)]}\"'*$")
    if letter.islower() and not enclosed and not (alone and bare):
        return None
    letter = letter.upper()
    if _hedge(rest, letter, options):
        return None, match.end()
    if (
        not enclosed
        and not match["close"]
        and not (_GOES_ON.match(rest) or _own_follows(rest, letter, options))
    ):
        return None
    if match["close"] and re.match(r"[\w'+#]", rest) and not _own_follows(rest, letter, options):
        return None
    if _WRONG_AFTER.match(rest) or re.match(r"\s*[)\]\"']*\?", rest):
        return None
    return letter, match.end()


def _own_follows(rest: str, letter: str, options: Options) -> bool:
    own = options.own(letter)
    return bool(own) and loose(rest).startswith(own)


def _from_claim(claim: Claim, options: Options) -> Event | None:
    """A labelled value as a commitment: an option's whole text ("Both A and B"), a letter, the
    start of a text.
    """
    value = claim.value.strip()
    whole = options.equal(value) if len(value.strip(TRIM)) > 1 else []
    if len(whole) == 1:
        return Event(claim.label, claim.end, LETTERS[whole[0]], f"{claim.form} text", value)
    read = read_letter(claim.value, options, alone=claim.strong)
    if read is None and claim.form in ("box", "tag"):
        read = read_letter(value.strip(TRIM), options, alone=True)
    fits = whole or options.starting(value)
    if read is not None and (read[0] is not None or len(fits) != 1):
        end = min(claim.start + read[1], claim.end)
        return Event(claim.label, end, read[0], claim.form, claim.value[: read[1]].strip())
    if not fits:
        return None
    letter = LETTERS[fits[0]] if len(fits) == 1 else None
    return Event(claim.label, claim.end, letter, f"{claim.form} text", value)


_OPT = r"(?:option|choice|answer|letter|statement|choose|pick)?\s*"
_ONE = r"(?P<open>[(\[]?)(?<![\w.])(?P<letter>[A-Z])(?![\w'+#])[)\]]?"
_LINE = re.compile(
    r"^[ \t>*#•-]*(?:(?:the\s+)?(?:final\s+|correct\s+)?(?:option|choice|answer|letter)\s*:?\s*)?"
    r"[(\[\"']?(?P<letter>[A-Za-z])[)\]\"']?[.:,;!)]?[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_VERB = re.compile(
    rf"""\b(?i:(?:I'd|I\s+would|I'll|I\s+will)\s+(?:say|guess|answer)|choose|chose|choosing
    |pick|picking|select|selecting|go(?:ing)?\s+(?:with|for)|opt(?:ing)?\s+for|vote\s+for
    |settle\s+on|answer\s+with|conclude\s+that\s+it\s+is|respond\s+with|lean(?:ing)?\s+towards?)
    \s+(?:the\s+)?(?i:{_OPT}){_ONE}""",
    re.VERBOSE,
)
_CORRECT = re.compile(
    rf"""(?:^|(?<=[\n.,;:!?("'\[—–*-])\s*|(?i:\b(?:option|choice|answer|letter|statement|so|thus|therefore|hence|then|that|only|but
    |think|believe|since|because|and|means|say|conclude|both|or)\s+))
    {_ONE}[.:]?(?:\s*\([^()\n]{{0,120}}\)|\s*[-:]\s[^\n.;]{{0,120}}?)?\s*,?
    \s+(?i:(?P<verb>is|are|must\s+be|has\s+to\s+be|would\s+be|should\s+be|seems|appears|looks)\s+(?:to\s+be\s+)?
    (?:(?:also|clearly|definitely|most|likely|probably|therefore|thus|indeed|obviously|certainly|actually|then|the|my|our|an?
    |only|single|one|final|overall)\s+)*
    (?:correct|right|best|answer|appropriate\s+answer|accurate\s+answer|one)\b)""",
    re.VERBOSE | re.MULTILINE,
)
_BE = r"(?:'s|\s+is|\s+must\s+be|\s+has\s+to\s+be|\s+should\s+be)"
_SURELY = r"(?:\s+(?:definitely|clearly|surely|certainly|probably|likely|obviously|therefore))?"
_THUS = re.compile(
    rf"""(?:\b(?i:it{_BE}{_SURELY}|must\s+be|has\s+to\s+be|(?:not|nor)\s+[A-Z],?\s+but(?:\s+rather)?
       |leav(?:es|ing)(?:\s+us\s+with)?(?:\s+only)?)
    |[→⇒]|=>|(?:^|(?<=[.!?,;\n])\s*)(?i:therefore|thus|hence|so|conclusion|final)\s*[:,]?)
    \s*(?i:{_OPT}){_ONE}
    (?=\s*(?:[.!]?\s*(?:$|\n)|[.!,;]\s|\(|:\s|(?:because|since|as)\b))""",
    re.VERBOSE | re.MULTILINE,
)
_UNLIKELY = re.compile(
    r"(?:\b(?:not|never|who|if|to\s+avoid|cannot|tempted\s+to|might|could|would\s+you|should\s+i|may|neither|nor|why\s+not)"
    r"|n't)\s+(?:\w+\s+)?$",
    re.IGNORECASE,
)
_SHARED = re.compile(
    r"(?<![\w'])[(\[]?(?P<other>[A-Z])[)\]]?\s*(?:,|/|&|,?\s*(?:and|or|and/or))\s*$"
)


def _from_patterns(text: str, options: Options) -> list[Event]:
    """Commitments in other words than a label: whole lines, "I choose B", "C is correct", "so it
    must be D".
    """
    events = []
    for match in _LINE.finditer(text):
        if options.has(match["letter"]):
            events.append(
                Event(
                    match.start(),
                    match.end(),
                    match["letter"].upper(),
                    "letter line",
                    match[0].strip(),
                )
            )
    for name, pattern in (("verb", _VERB), ("correct", _CORRECT), ("thus", _THUS)):
        for match in pattern.finditer(text):
            letter, rest = match["letter"], text[match.end() : match.end() + 200]
            before = text[max(0, match.start() - 60) : match.start()]
            at = match.start("letter") if name == "correct" else match.start()
            if not options.has(letter) or _UNLIKELY.search(before) or discarded(text, at):
                continue
            if _WRONG_AFTER.match(rest) or re.match(r"\s*(?:if|unless|\?)", rest):
                continue
            if name == "verb" and not (
                match["open"] or _GOES_ON.match(rest) or _own_follows(rest, letter, options)
            ):
                continue
            shared = _SHARED.search(
                text[max(0, match.start("letter") - 20) : match.start("letter")].rstrip("([")
            )
            hedge = _hedge(rest, letter, options) or (
                shared
                and options.has(shared["other"])
                and shared["other"] != letter
                and shared["other"]
            )
            events.append(
                Event(match.start(), match.end(), None if hedge else letter, name, match[0].strip())
            )
    return events


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


_OWN_LINE = re.compile(
    r"^[ \t>*#•-]*[(\[]?(?P<letter>[A-Z])(?:[)\]]\.?|[.:]|\s-)?\s+(?P<text>\S[^\n]*)$", re.MULTILINE
)
_REASONED = re.compile(r"\s*[(\[]?(?P<letter>[A-Z])[)\]]?,?\s+(?:because|since)\b")
_FIRST = re.compile(r"\s*(?P<open>\(?)(?P<letter>[A-Z])(?P<mark>[).:])\s+(?P<rest>\S[^\n]*)")
_MENTION = re.compile(
    r"(?:\b(?i:option|choice|answer|statement)\s+(?P<a>[A-Z])(?![\w'+#-])|(?<!\w)[(\[](?P<b>[A-Z])[)\]]|(?<![\w.(])(?P<c>[A-Z])\)(?=[\s.,]|$))"
)


def _weak(text: str, options: Options) -> Found:
    """What the text seems to choose where it never says so: an option quoted alone, or named in
    the last sentence.
    """
    fits = options.equal(text)
    if fits:
        return _pick(fits, text.strip(), "the text is an option's text")
    quoted = _quoted(text, options)
    if quoted is not None:
        return quoted
    last = sentences(text)[-1].text if sentences(text) else ""
    listed = read_letter(last, options, alone=False)
    if listed is not None and listed[0] is None:
        return nothing("several options at once", "ambiguous", last[:200])
    named = _mentions(last, options)
    if len(named) == 1:
        return Found(named[0], "parsed", last[:200], "one option letter in the last sentence")
    found = options.ending(text) if named else options.inside(last) or options.ending(text)
    if named and len(found) != 1:
        return nothing("several options in the last sentence", "ambiguous", last[:200])
    if not found:
        return nothing("no option chosen")
    return _pick(found, last[:200], "one option's text in the last sentence")


def _quoted(text: str, options: Options) -> Found | None:
    """An option repeated with its letter on a line of its own, or a letter that opens the text."""
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
    reasoned = _REASONED.match(text)
    if reasoned and options.has(reasoned["letter"]):
        return Found(reasoned["letter"], "parsed", reasoned[0].strip(), "the text gives a reason")
    first = _FIRST.match(text)
    if first and options.has(first["letter"]) and _plausible(first, options, text):
        why = "the text starts with an option letter"
        return Found(first["letter"], "parsed", first[0].strip()[:80], why)
    return None


def _plausible(first: re.Match[str], options: Options, text: str) -> bool:
    """Whether a letter at the very start is a choice, not an initial (`E. coli`, `A. Smith`) or one
    of a list.
    """
    others = {m[1] for m in re.finditer(r"^[ \t]*\(?([A-Z])[).:]\s", text, re.MULTILINE)} - {
        first["letter"]
    }
    if others:
        return False
    if first["mark"] != "." or first["open"]:
        return not _WRONG_AFTER.match(" " + first["rest"]) and not re.match(
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
            _WRONG_AFTER.match(rest)
            or NEGATED.search(before.casefold())
            or re.match(r"\s*\?", rest)
        )
        if options.has(letter) and not rejected and letter not in named:
            named.append(letter)
    return named


def _pick(fits: list[int], raw: str, why: str) -> Found:
    if len(fits) == 1:
        return Found(LETTERS[fits[0]], "parsed", raw, why)
    return nothing("several options have or match this text", "ambiguous", raw)


def extract_choice(text: str, choices: Sequence[str], *, complete: bool = True) -> Found:
    """The letter chosen in an undressed text; without `complete` (cut off) only a commitment
    counts.
    """
    options = options_of(tuple(choices))
    events = [
        e for claim in claims(text, choice=True) if (e := _from_claim(claim, options)) is not None
    ]
    events += _from_patterns(text, options)
    events.sort(key=lambda e: (e.end, e.start))
    tail = sentences(text)[-1] if sentences(text) else None
    if events:
        last = _last(events, text)
        maybe = _MAYBE.match(text, last.end)
        if last.letter is None or (
            maybe and options.has(maybe["other"]) and maybe["other"] != last.letter
        ):
            return nothing("several options at once", "ambiguous", last.raw)
        if tail and tail.start >= last.end and gives_up(tail.text):
            return nothing("gives up after an answer", "abstained", tail.text)
        return Found(last.letter, "parsed", last.raw, last.form)
    if not complete:
        return nothing("cut off before an answer", "truncated")
    weak = _weak(text, options)
    if weak.status != "parsed" and abstains(tail.text if tail else text):
        return nothing("no option is chosen", "abstained", tail.text if tail else text[:200])
    return weak
