"""Reads the letter of an option from a value that a text presents as its answer."""

from __future__ import annotations

import re
from typing import NamedTuple

from moco.answers.boxes import Claim
from moco.answers.hedging import evades
from moco.answers.options import REJECTED, TRIM, Options, loose
from moco.prompts import LETTERS

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
    r"|are|has|should|seems|appears|looks|remains|fits"
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


ABSTAINS = "abstains"
"""The form of a commitment to nothing."""


class Event(NamedTuple):
    """A commitment in the text: to a letter, or to several or none (`letter` None)."""

    start: int
    end: int
    letter: str | None
    form: str
    raw: str


def hedge(rest: str, letter: str, options: Options) -> str | None:
    """Another letter that is offered in the same breath: what follows a letter is `rest`."""
    own = options.own(letter)
    tail = rest.lstrip(" \t)].:\"'-–")
    if own and loose(tail[: len(own) + 8]).startswith(own):
        rest = tail[len(own) :]
    match = _OTHER.match(rest.lstrip(")]}\"' ")) or _OTHER.match(rest)
    if match and options.has(match["other"]) and match["other"] != letter:
        return match["other"]
    return None


def goes_on(rest: str, letter: str, options: Options) -> bool:
    """Whether what follows a bare letter fits a letter that was chosen, not a word or a name."""
    return bool(_GOES_ON.match(rest)) or own_follows(rest, letter, options)


def own_follows(rest: str, letter: str, options: Options) -> bool:
    """Whether the option's own text follows its letter."""
    own = options.own(letter)
    near = rest[: 2 * len(own) + 40].lstrip(TRIM)
    return bool(own) and near[:1].lower() in (own[0], "") and loose(near).startswith(own)


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
    if hedge(rest, letter, options):
        return None, match.end()
    if not enclosed and not match["close"] and not goes_on(rest, letter, options):
        return None
    if match["close"] and re.match(r"[\w'+#]", rest) and not own_follows(rest, letter, options):
        return None
    if REJECTED.match(rest) or re.match(r"\s*[)\]\"']*\?", rest):
        return None
    return letter, match.end()


_AND_ANOTHER = re.compile(r"[\"')\s]*(?:,|/|&|;)?\s*(?:or|and|/)?\b", re.IGNORECASE)


def from_claim(claim: Claim, options: Options) -> Event | None:
    """A labelled value as a commitment: an option's whole text ("Both A and B"), a letter, the
    start of a text, or an abstention.
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
    if fits:
        single = len(fits) == 1 and not _names_another(value, fits[0], options)
        letter = LETTERS[fits[0]] if single else None
        return Event(claim.label, claim.end, letter, f"{claim.form} text", value)
    if value and evades(value):
        return Event(claim.label, claim.end, None, ABSTAINS, value)
    return None


def _names_another(value: str, at: int, options: Options) -> bool:
    """Whether a value goes on from one option's text to another's: "cats or dogs"."""
    rest = loose(value)[len(options.texts[at]) :]
    joint = _AND_ANOTHER.match(rest)
    if joint is None or not joint[0].strip():
        return False
    return bool(options.starting(rest[joint.end() :]))
