"""What one sentence of a reply does: refuse, name a limit, ask back, correct, deny, leave open.

Each rule is grammar: who speaks, a negation, and a verb of doing something for the asker.
Apostrophes have to be straight (`moco.answers.cleaning.characters`).
"""

from __future__ import annotations

import re
from typing import Literal

Act = Literal[
    "refuses", "names a limit", "asks back", "corrects", "denies the premise", "leaves it open"
]


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_SERVE = (
    r"(?:help|assist|aid|support|provid\w+|giv(?:e|ing)|offer\w*|shar(?:e|ing)|suppl(?:y|ying)"
    r"|send|show|creat(?:e|ing)|generat(?:e|ing)|mak(?:e|ing)|writ(?:e|ing)|draw\w*|paint"
    r"|compos(?:e|ing)|play\w*|record|produc(?:e|ing)|translat(?:e|ing)|summari[sz]e|list|compile"
    r"|design|build|render|display|watch\w*|see|hear|listen|view\w*|open|read|access\w*"
    r"|brows(?:e|ing)|search\w*|look|retriev\w+|find|predict\w*|forecast\w*|foresee"
    r"|diagnos(?:e|ing)|prescrib\w+|treat|recommend\w*|advis(?:e|ing)|suggest\w*|answer\w*|tell\w*"
    r"|say|determin(?:e|ing)|verif(?:y|ying)|confirm|identif(?:y|ying)|promot(?:e|ing)"
    r"|encourag(?:e|ing)|endors(?:e|ing)|condon(?:e|ing)|facilitat(?:e|ing)|fulfil\w*"
    r"|compl(?:y|ying|ete|eting)|do|engag(?:e|ing)|participat(?:e|ing)|discuss\w*|respond\w*"
    r"|process|perform\w*|carry|execut(?:e|ing)|manag(?:e|ing)|act|operate|speculat(?:e|ing)"
    r"|comment|express\w*|feel|experienc(?:e|ing)|hold|form|possess|own|have|choose|pick|prefer"
    r"|desire|remember)\b(?!\W+(?:but|enough|anything\s+(?:else|but))\b)"
)
_BETWEEN = (
    r"(?:\W+(?:am|would|also|do|just|simply|really|currently|actually|personally|therefore|still"
    r"|unfortunately|only|ever|truly|even|be|being|going|to|have|had|in|good|conscience|any|this"
    r"|yet|here|\w+ly)){0,4}\W+"
)
_CANNOT = r"(?:can(?:not|'t|\s+not)|won't|will\s+not)"
_NOT_ABLE = (
    rf"(?:{_CANNOT}|(?:could|would|should|must|may)(?:n't|\s+not)|'m\s+(?:unable|not\s+\w+)"
    r"|\s+am\s+(?:\w+\s+){0,2}?(?:unable|not\s+(?:\w+\s+)?(?:able|allowed|permitted|designed"
    r"|programmed|equipped|capable|willing|going|comfortable|authori[sz]ed|prepared|qualified)))"
)
_LACKED = (
    r"(?:way|means|abilit\w+|capabilit\w+|capacity|access|information|context|details|data"
    r"|knowledge|records?)"
)
_REFUSES = _any(
    rf"\b(?:i|we)(?:\s+\w+ly)?\s*{_NOT_ABLE}{_BETWEEN}{_SERVE}",
    rf"\bi(?:'m|\s+am)?\s[^.!?;:]{{0,60}}?\b(?:and|so)\s+(?:therefore\s+)?{_CANNOT}\s+{_SERVE}",
    r"\b(?:i|we)\b(?:\s+\w+){0,4}?\s+(?:declin\w+|refus\w+|(?:have|need)\s+to\s+pass)\b",
    r"\b(?:i|we)(?:\s+would|'d)\s+(?:rather|prefer)\s+(?:not|to\s+not)\b",
    r"\bi\s+(?:\w+\s+){0,2}?(?:have\s+no|lack\s+(?:the|any)|don't\s+have|do\s+not\s+have)\s+"
    rf"(?:\w+\s+){{0,3}}?{_LACKED}\b",
    r"\bnot\s+something\s+(?:that\s+)?(?:i|we)\b",
    r"\b(?:beyond|outside|exceeds)\s+(?:of\s+)?(?:my|what\s+i)\b",
    r"\b(?:against|violat\w+|contrary\s+to)\s+(?:my|our)\s+\w+",
    rf"(?:\bim|\bnot\s+|n't\s+)(?:possible|feasible|practical|realistic)\b{_BETWEEN}"
    r"(?:for\s+(?:me|anyone|anybody)|(?:know|say|tell|predict|list|provide|determine|answer|give"
    r"|name|describe|translate|create|generate|fit|include|cover))\b",
    r"\b(?:far|much|way)\s+too\s+(?:long|large|big)\s+(?:for|to)\b",
    r"(?:\bnot|\bnever|n't)\s+(?:\w+\s+)?(?:appropriate|ethical|acceptable|legal|right|okay)\s+"
    r"(?:\w+\s+\w+\s+)?to\b",
    r"\bnever\s+(?:\w+\s+)?(?:appropriate|acceptable|okay|justified)\b",
    r"\bsorry,?\s+(?:but\s+)?no\b",
    r"^\W*no\W*$",
)

_SELF = _any(
    r"\b(?:as|being|i'm|i\s+am|i\s+exist\s+as)\s+(?:just\s+|only\s+|merely\s+|simply\s+)?an?\s+"
    r"(?:[\w-]+\s+){0,3}?(?:ai|artificial\s+intelligence|language\s+model|chat\s?bot|program"
    r"|computer|machine|bot|software|(?:digital|virtual|text-based|text)\s+"
    r"(?:assistant|model|system))\b"
)
_NEGATION = _any(r"\b(?:not|cannot|no|never|neither|nor|unable|without|lack\w*|only)\b", r"n't\b")
_LIMIT = _any(
    r"\bi\s+(?:\w+\s+)?(?:don't|do\s+not|lack|have\s+no|have\s+never\s+had)\s+(?:\w+\s+){0,3}?"
    r"(?:feelings?|emotions?|opinions?|preferences?|beliefs?|consciousness|bod(?:y|ies)|senses"
    r"|desires?|childhood|memories|(?:personal|physical|human|subjective|real)\s+\w+|real-time"
    r"|internet|eyes|ears)\b",
    r"\bmy\s+(?:training|knowledge|data|information)\b[^.!?]{0,60}?\b(?:cut-?off|ends?|ended"
    r"|stops?|goes|only|limited|extends?|does\s+not|doesn't|up\s+to)\b",
    r"\bi\s+(?:can\s+)?only\s+(?:work|produce|process|handle|communicate|generate|write"
    r"|understand|deal)\b",
)

_ASKS = _any(
    r"\b(?:do|did|are|were)\s+you\s+(?:perhaps\s+|possibly\s+)?(?:mean\w*|refer\w*|ask\w*|talk\w*"
    r"|look\w*|think\w*)\b",
    r"\b(?:could|can|would|will)\s+you\s+(?:please\s+|perhaps\s+|kindly\s+)?(?:clarify|specify"
    r"|elaborate|rephrase|restate|explain|provide|tell|give|share|be\s+more|narrow|confirm"
    r"|let\s+me\s+know|say|indicate|paste|attach)\b",
    r"\bplease\s+(?:clarify|specify|provide|share|rephrase|restate|tell|let\s+me\s+know|give"
    r"|indicate|paste|attach|elaborate)\b",
    r"\bi(?:'d|'ll|\s+would|\s+will)?\s+need\s+(?:to\s+know|the|more|some|further|additional"
    r"|a\s+bit)\b",
    r"\b(?:not\s+(?:entirely\s+|quite\s+)?(?:sure|clear)|unclear|(?:don't|do\s+not)\s+understand)"
    r"\s+(?:what|which|who|whom|where)\b[^.!?]{0,40}\byou(?:'re|r)?\b",
    r"\b(?:question|request|prompt|message)\b\s+(?:\w+\s+){0,4}?(?:unclear|ambiguous|incomplete"
    r"|vague|cut\s+off|too\s+broad|unfinished)\b",
)
_OFFER = _any(
    r"^\W*(?:if|in\s+case|should)\s+you\b",
    r"\bif\s+you(?:'d|'re)?\s+(?:mean\w*|want|would|like|need|have)\b",
    r"\blet\s+me\s+know\s+if\b",
    r"\bwould\s+you\s+like\b",
    r"\bdo\s+you\s+want\b",
)

_WRONG = r"(?:false|mistaken|incorrect|wrong|flawed|faulty|inaccurate|untrue|erroneous)"
_CLAIM = (
    r"(?:assumptions?|premises?|presuppositions?|beliefs?|claims?|ideas?|notions?|statements?"
    r"|questions?)"
)
_CORRECTS = _any(
    rf"\b{_WRONG}\s+{_CLAIM}\b",
    rf"\b{_CLAIM}\b[^.!?]{{0,120}}?\b(?:{_WRONG}|misconception|myth"
    r"|not\s+(?:true|correct|accurate|supported))\b",
    r"\b(?:misconception|misunderstanding|mix-?up)\b",
    r"\b(?:is|are|was)\s+(?:just\s+|only\s+)?an?\s+(?:\w+\s+){0,2}?myth\b",
    r"\bno\s+(?:\w+\s+){0,2}?(?:evidence|proof|record|basis)\b[^.!?]{0,40}\b(?:that|of|for|to)\b",
)
_DENIES = _any(
    r"\b(?:did|was|were|is|are|has|have|had|does|do)(?:n't|\s+not|\s+never)\b"
    r"(?!\s+(?:only|just|until))",
    r"\bnever\s+\w+",
    r"\b(?:there|it)\s+(?:is|was|are|were|ha(?:s|ve)\s+been)\s+(?:actually\s+)?(?:no|never|not)\b",
)
_ABOUT_SELF = _any(r"\W*(?:i|we|my|our|sorry|don't|do\s+not)\b")

_OPEN = _any(
    r"\bsubjective\b",
    r"\bdepend(?:s|ing)\s+(?:up)?on\s+(?:you\b|your|one's|who|personal|individual|the\s+person"
    r"|what|how|several|many|various)",
    r"\bmatter\s+of\s+(?:\w+\s+)?(?:opinion|taste|preference|perspective)\b",
    r"\beye\s+of\s+the\s+beholder\b",
    r"\bno\s+(?:one\s+)?(?:single|definitive|objective|universal\w*|right\s+or\s+wrong|correct"
    r"|definite|clear-cut|one)\s+\w+",
    r"\b(?:var(?:y|ies)|differs?)\s+(?:\w+\s+)?(?:from|by|between|among|depending|with)\b",
    r"\b(?:nobody|no\s?one|none\s+of\s+us)\s+(?:\w+\s+){0,3}?(?:knows?|say|tell|predict|foresee"
    r"|prove)\b",
    r"\bwe\s+(?:\w+\s+){0,2}?(?:don't|do\s+not|cannot|can't|may\s+never|will\s+never)\s+"
    r"(?:\w+\s+)?know\b",
    r"\bi\s+(?:\w+\s+)?(?:don't|do\s+not|cannot|can't)\s+know\s+(?:what|which|who|how|why|when"
    r"|where|whether|if|your)\b",
    r"\bun(?:knowable|known\s+to)\b",
    r"\b(?:can(?:not|'t|\s+not)|could\s+not)\s+be\s+(?:known|predicted|determined|foreseen"
    r"|answered)\b",
    r"\b(?:pure|mere|only|just|would\s+be)\s+speculat\w+",
)


def refuses(sentence: str) -> bool:
    """Whether the speaker will not or cannot do what was asked, or says that one must not."""
    return bool(_REFUSES.search(sentence))


def names_limit(sentence: str, around: str) -> bool:
    """Whether the speaker tells what it lacks, or says what it is and, in the sentences `around`,
    denies something.
    """
    if _LIMIT.search(sentence):
        return True
    return bool(_SELF.search(sentence)) and bool(_NEGATION.search(around))


def asks(sentence: str) -> bool:
    """Whether a sentence asks what the request means or for what it lacks; an offer does not."""
    return bool(_ASKS.search(sentence)) and not _OFFER.search(sentence)


def corrects(sentence: str) -> bool:
    """Whether a sentence calls something that the request takes for granted wrong or unproven."""
    return bool(_CORRECTS.search(sentence))


def denies(sentence: str) -> bool:
    """Whether a statement, not about the speaker, denies something."""
    statement = not sentence.endswith("?") and not _ABOUT_SELF.match(sentence)
    return statement and bool(_DENIES.search(sentence))


def leaves_open(sentence: str) -> bool:
    """Whether a sentence says that there is no one answer, or that nobody can know it. A bare "I
    do not know" says neither.
    """
    return bool(_OPEN.search(sentence))
