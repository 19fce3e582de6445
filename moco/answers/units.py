"""Units of measure behind or before a number: a unit that only one of two answers has is ignored,
two different ones keep them apart.
"""

from __future__ import annotations

import re

_ALIASES = {
    "mm": "mm millimeter millimetre", "cm": "cm centimeter centimetre", "m": "m meter metre",
    "km": "km kilometer kilometre", "in": "inch inches in", "ft": "ft foot feet",
    "yd": "yd yard", "mi": "mi mile", "mg": "mg milligram", "g": "g gram", "kg": "kg kilogram",
    "lb": "lb lbs pound", "oz": "oz ounce", "s": "s sec second", "min": "min minute",
    "h": "h hr hour", "day": "day", "week": "week", "month": "month", "year": "year yr",
    "ml": "ml milliliter millilitre", "l": "l liter litre", "$": "$ dollar usd",
    "€": "€ euro eur", "£": "£ gbp", "¥": "¥ yen jpy", "₹": "₹ rupee inr", "cent": "cent ¢",
    "°": "° degree deg", "rad": "rad radian", "%": "% percent", "hz": "hz hertz",
    "n": "newton", "j": "joule", "w": "watt", "v": "volt", "k": "kelvin",
}  # fmt: skip
_UNITS = {alias: unit for unit, aliases in _ALIASES.items() for alias in aliases.split()}
_POWERS = {"square": "2", "sq": "2", "cubic": "3", "²": "2", "³": "3", "2": "2", "3": "3"}
_BEFORE = re.compile(r"([$€£¥₹])\s?-?[\d.]")
_AFTER = re.compile(
    r"[\s\\,;:~!{}]*(?:(?:text|mathrm|mbox|textrm|rm)\s*\{\s*)?(?:(?P<power>square|sq|cubic)\.?\s+)?"
    r"(?P<name>[a-z]+|[$€£¥₹%°¢])\.?\s*\}?(?:\^?\s*\{?(?P<raised>[23²³])\}?)?(?P<per>\s*(?:/|per\b)\s*\w+)?"
)


def after(text: str) -> str:
    """The known unit that a text starts with, in one spelling; empty where there is none."""
    match = _AFTER.match(text[:60].lower())
    if match is None:
        return ""
    name = match["name"]
    unit = _UNITS.get(name) or _UNITS.get(name.removesuffix("s"), "")
    power = _POWERS.get(match["power"] or match["raised"] or "", "")
    return f"{unit}{power}{'/' if match['per'] else ''}" if unit else ""


def before(text: str) -> str:
    """The currency that a text starts with, empty where there is none."""
    match = _BEFORE.match(text.lstrip(" \\-("))
    return match[1] if match else ""


def differ(one: str, other: str) -> bool:
    """Whether both are units and not the same one."""
    return bool(one and other) and one != other
