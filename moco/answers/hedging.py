"""Tells a text that commits itself to nothing: it does not know, cannot say, leaves it open, or
asks back.

The rules are grammar, not sentences: a negation near a word of knowing or telling, a word of
uncertainty, a modal before "any" or "either"; the same in a few other languages. What is said of
an answer that was given stays with the answer: only `gives_up` takes one back.
"""

from __future__ import annotations

import re

from moco.answers import hedging_abroad
from moco.answers.sentences import sentences

MAX_CHARACTERS = 400
"""Of a longer sentence only so many last ones are judged."""
MAX_EVASION = 120
"""Characters of a sentence in the place of an answer; a longer one explains something."""

_NOT = (
    r"(?:not|\w+n't|cannot|never|hardly|barely|nobody|no\s*one|none|neither|unable|unwilling|impossible"
    r"|difficult|hard|tough|tricky|early|fails?|failed|refus\w+|declin\w+|without|beyond|lack\w*)"
)
_TELL = (
    r"(?:know\w*|sure|certain|clear\w*|clue|able|aware|decid\w+|determin\w+|tell|say|said|answer\w*"
    r"|choose|chosen|conclu\w+|confirm\w*|identif\w+|pick\w*|select\w*|solv\w+|guess\w*|verif\w+"
    r"|establish\w*|find|found|infer\w*|deduc\w+|recall|remember\w*|underst[ao]\w+|help|assist"
    r"|provid\w+|comment\w*|respon\w+|speculat\w+|judg\w+|recommend\w*|settl\w+|resolv\w+"
    r"|specif\w+|mention\w*|given|stated|available|enough|sufficient|possible|applicable|figure"
    r"|commit|predict\w*|agree\w*|express\w*|share|give)"
)
_NOUN = (
    r"(?:answers?|options?|choices?|ideas?|clues?|ways?|solutions?|information|info|consensus"
    r"|evidence|data|comments?|opinions?|preferences?|agreement|telling|knowing|saying|guess(?:es)?"
    r"|conclusions?|means|context|basis|certainty|details?|knowledge|proof|indication|reason)"
)
_BETWEEN = r"(?:\W+(?!(?:the|but|because|so|is|that)\b)\w+)"
_UNKNOWING = rf"\b{_NOT}\b{_BETWEEN}{{0,4}}?\W+{_TELL}\b"
_HAVING_NONE = (
    rf"\b(?:no|without|lack\w*|insufficient|(?:not|n't)\W+(?:have\W+)?(?:enough|sufficient|any|a|an|much))\b"
    rf"(?:\W+\w+){{0,3}}?\W+{_NOUN}\b"
)
_UNCERTAIN = (
    r"\b(?:un(?:known|clear|certain|sure|decided|determined|resolved|answerable|answered|knowable"
    r"|decidable|specified|settled|available)|in(?:determinate|conclusive)|ambiguous|debat\w+"
    r"|disput\w+|contest(?:ed|able)|controvers\w+|arguabl[ey]|subjective|questionable|doubtful"
    r"|speculative|n/a)\b"
)
_FACTORS = (
    r"(?:you|who|whom|what|which|how|where|when|whether|view|context|perspective|factors"
    r"|circumstances|situation|interpretation)"
)
_DEPENDING = (
    r"\b(?:it|that|this|all|answer|which)\W+(?:all\W+|really\W+|just\W+|mostly\W+|largely\W+)?"
    r"depends\b"
    rf"|\bdepend(?:s|ing)\W+(?:up)?on\W+(?:\w+\W+){{0,3}}?{_FACTORS}\b"
)
_DIVIDED = (
    r"\b(?:opinions?|views?|answers?|experts?|people|scholars?|sources?|interpretations?)\W+"
    r"(?:\w+\W+){0,2}?(?:vary|varies|differ|differs|disagree\w*|divided|split)\b"
    r"|\bsome\b[^.\n]{1,60}\bothers?\b"
)
_ANY = (
    r"(?:any(?:thing|one|body)?|either|several|many|both|multiple|all"
    r"|one\W+of\W+(?:them|these|those))"
)
_SEEMS = (
    r"(?:is|are|could|might|may|can|would|seems?|looks?|fits?|appl(?:y|ies)|match(?:es)?|works?)"
)
_ANY_WOULD_DO = (
    rf"\b(?:could|might|may|can|would)\W+(?:\w+\W+){{0,3}}?{_ANY}\b"
    r"|\b(?:any|either|each|all|both|several|none|neither)\W+(?:one\W+)?"
    rf"of\W+(?:them|these|those|the\W+\w+)\W+(?:\w+\W+){{0,2}}?{_SEEMS}\b"
)
_LEFT_OPEN = (
    r"\b(?:matter|question|subject)\W+of\W+(?:\w+\W+)?"
    r"(?:opinion|taste|perspective|interpretation|preference|view)\b"
    r"|\bopen\W+(?:question|to\W+\w+)\b|\bup\W+to\W+(?:you|the\W+\w+|each)\b"
    r"|\b(?:a|remains?|still|is)\W+myster(?:y|ious)\b|\bwho\W+(?:really\W+)?(?:knows|can|could)\b"
    r"|\b(?:rather|prefer|choose)\W+(?:not|to\W+(?:pass|skip|abstain))\b"
)
_MORE = r"(?:more|further|additional)\W+(?:\w+\W+)?(?:information|context|data|details?)\b"
_MORE_NEEDED = (
    rf"\b(?:need|require|want)\w*\W+(?:\w+\W+){{0,2}}?{_MORE}|\b{_MORE}\W+(?:is|are|would)\b"
)
_ASKS_BACK = (
    r"\s*(?:(?:sorry|but|so|and|hmm|well|ok(?:ay)?)\b\W*)*"
    r"(?:(?:could|can|would|will|do|did|are)\s+(?:you|i|we|anyone|somebody)\b"
    r"|(?:what|which|how|who|why)\s+(?:do|did|would|can|could|are|should)\s+(?:you|i|we)\b|please\b)"
    r"[^\n]*"
)
_DOUBTS = tuple(
    map(
        re.compile,
        (_UNKNOWING, _HAVING_NONE, _UNCERTAIN, _DEPENDING, _DIVIDED, _ANY_WOULD_DO, _LEFT_OPEN,
         _MORE_NEEDED),
    )
)  # fmt: skip
_ASKED = re.compile(rf"{_ASKS_BACK}\?[\s\"')]*")
_SURE = re.compile(
    r"\b(?:there\s+is\s+|there's\s+|with|without)?\s*(?:no|any|a)\s+(?:doubt|question)\b(?:\s+that)?|\bnot\s+only\b",
)
_WORD = re.compile(
    r"(?:(?:actually|sorry|honestly|well|hmm+|ok(?:ay)?|probably|still|currently)\b[\s,.]*)*"
    r"(?:unknown|n/?a|none|null|nan|nil|undefined|unsure|uncertain|unclear|undetermined"
    r"|indeterminate|idk|dunno|(?:no|not)\s+\w{2,}|debatable|it\s+depends|depends|nothing"
    r"|whatever|any(?:thing)?|skip|pass|tbd|perhaps|possibly|unanswerable)?[\s.!?]*",
)
_SAY = r"(?:know|sure|certain|tell|say|decide|determine|answer|choose|identify|conclude)"
_RETREAT = re.compile(
    r"(?:(?:i|we)\b(?:\W+\w+){0,3}?\W+(?:\w+n't|'m\s+not|not|cannot|never|unable)\b"
    rf"(?:\W+\w+){{0,2}}?\W+{_SAY}\b(?!\s+(?:why|how|much|more|what\s+else))"
    r"|(?:i|we)(?:\s+\w+|'ve)?\s+(?:no|not\s+a|n't\s+a)\s+(?:idea|clue)\b"
    r"|(?:it|this|that|the\s+(?:\w+\s+)?(?:answer|question|solution))\s+(?:\w+\s+)?"
    rf"(?:can\s?not|can't|could\s?n[o']t)\s+be\s+{_TELL}\b"
    rf"|(?:it|this|that|the\s+(?:\w+\s+)?answer)\s+(?:is|remains|seems)\s+(?:\w+\s+)?{_UNCERTAIN}"
    r"|there\s+is\s+(?:really\s+)?no\s+(?:\w+\s+)?(?:answer|way|solution|option)\b)",
)
_LEAD = re.compile(
    r"(?:(?:actually|sorry|honestly|well|hmm|but|however|wait|in\s+fact|then\s+again)\b[\s,.]*)*",
)
_TITLE_WORD = re.compile(r"[A-ZÀ-ÞА-Я0-9][\w'’.-]*|(?:of|the|a|an|and|in|on|to|for|at|de|la|is)")


def doubts(text: str) -> bool:
    """Whether a clause or a sentence leaves the answer open."""
    plain = _SURE.sub(" ", text[-MAX_CHARACTERS:].lower())
    return (
        any(pattern.search(plain) for pattern in _DOUBTS)
        or bool(_ASKED.fullmatch(plain))
        or hedging_abroad.doubts(plain)
    )


def abstains(text: str) -> bool:
    """Whether a sentence or a value says that no answer is given."""
    words = text.strip(" \t\n\"'()[]{}$.!?,")
    return bool(words) and (bool(_WORD.fullmatch(words.lower())) or doubts(text))


def evades(value: str) -> bool:
    """Whether what a text presents as its answer is none: its first sentence says so."""
    parts = sentences(value[:MAX_CHARACTERS])
    return not parts or (len(parts[0].text) <= MAX_EVASION and abstains(parts[0].text))


def is_title(text: str) -> bool:
    """Whether several words are written as a title, as a name is and an excuse is not."""
    words = text.split()
    return (
        len(words) > 1
        and not words[-1][:1].islower()
        and all(_TITLE_WORD.fullmatch(word.strip("\"'(),:;!?")) for word in words)
    )


def gives_up(sentence: str) -> bool:
    """Whether a whole sentence takes back what was said before it."""
    plain = sentence.strip().lower()
    lead = _LEAD.match(plain)
    rest = plain[lead.end() if lead else 0 :]
    match = _RETREAT.match(rest)
    if match is not None:
        return len(rest) - match.end() < 40
    return len(rest) < 40 and hedging_abroad.doubts(rest)
