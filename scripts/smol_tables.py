"""Tables of the specialists of SmolLM2: wordings, words and facts beside the bundled world's.

Of each list of wordings here the first entry is for held-out questions only. Sources of the facts:
capitals, currencies and languages from the CIA World Factbook (public domain), symbols and atomic
numbers from the NIST periodic table.
"""

from __future__ import annotations

from collections.abc import Mapping

from moco.tasks import mini_wordings

SUM_WORDINGS: Mapping[str, tuple[str, ...]] = {
    "together": (
        "{n} owns {a} {t}, and {m} owns {b} more than {n}. How many {t} is that together?",
        "{n} has {a} {t}. {m} has {b} more {t} than {n}. How many {t} do they have together?",
        "{n} found {a} {t} and {m} found {b} more than that. How many {t} did they find in all?",
        "{m} has {b} more {t} than {n}, who has {a}. How many {t} do both have in all?",
    ),
    "fewer": (
        "{n} owns {a} {t}, and {m} owns {b} fewer than {n}. How many {t} is that together?",
        "{n} has {a} {t}. {m} has {b} fewer {t} than {n}. How many {t} do they have together?",
        "{n} found {a} {t} and {m} found {b} less than that. How many {t} did they find in all?",
        "{m} has {b} fewer {t} than {n}, who has {a}. How many {t} do both have in all?",
    ),
    "change": (
        "{n} takes {a} {t} at {b} dollars each and hands over {c} dollars. What is the change?",
        "{n} buys {a} {t} for {b} dollars each and pays with {c} dollars. How many dollars does "
        "{n} get back?",
        "One of the {t} costs {b} dollars. {n} has {c} dollars and buys {a}. How many dollars are "
        "left?",
        "{n} has {c} dollars and buys {a} {t} at {b} dollars each. How many dollars does {n} "
        "still have?",
    ),
    "twice": (
        "{n} owns {a} {t} and {m} owns twice as many. How many {t} is that together?",
        "{n} sells {a} {t} in the morning and twice as many in the evening. How many {t} does "
        "{n} sell in all?",
        "{n} has {a} {t}. {m} has twice as many. How many {t} do they have together?",
        "On Monday {n} found {a} {t}, on Tuesday two times as many. How many {t} is that in all?",
    ),
    "share": (
        "{n} deals out {a} {t} to {b} friends, the same number to each. How many does each get?",
        "{n} shares {a} {t} equally among {b} friends. How many {t} does each friend get?",
        "{n} puts {a} {t} into {b} bags, equally many in each. How many {t} are in each bag?",
        "{b} friends share the {a} {t} of {n} equally. How many {t} are there for each?",
    ),
    "packed": (
        "{n} fills {a} bags with {b} {t} each and {c} baskets with {d} {t} each. How many {t} is "
        "that?",
        "{n} has {a} bags with {b} {t} each and {c} boxes with {d} {t} each. How many {t} is that "
        "in all?",
        "There are {a} bags of {b} {t} and {c} boxes of {d} {t}. How many {t} does {n} have?",
        "{n} buys {a} boxes of {b} {t} and {c} bags of {d} {t}. How many {t} does {n} own now?",
    ),
    "wage": (
        "{n} gets {a} dollars for each of {b} hours and pays {c} dollars for {t}. How much is "
        "left?",
        "{n} earns {a} dollars an hour, works {b} hours and spends {c} dollars on {t}. How many "
        "dollars are left?",
        "{n} works {b} hours for {a} dollars an hour, then buys {t} for {c} dollars. How many "
        "dollars does {n} still have?",
        "At {a} dollars an hour {n} works for {b} hours. The {t} cost {c} dollars. How many "
        "dollars are left?",
    ),
    "half": (
        "{n} owned {a} {t}, sold half and then got {b} more. How many {t} does {n} own now?",
        "{n} had {a} {t}, gave half of them away and then bought {b}. How many {t} does {n} have "
        "now?",
        "Half of the {a} {t} of {n} are lost. Then {n} finds {b} more. How many {t} are there "
        "now?",
        "{n} has {a} {t} and sells half of them, then buys {b}. How many {t} is that?",
    ),
    "plus": ("What do {a} and {b} make?", "What is {a} plus {b}?", "Add {a} and {b}.",
             "Calculate {a} + {b}."),
    "minus": ("How much is {a} less {b}?", "What is {a} minus {b}?", "Subtract {b} from {a}.",
              "Calculate {a} - {b}."),
}  # fmt: skip

MORE_WORDS = (
    "apple", "banana", "bottle", "bridge", "brother", "bucket", "butter", "button", "cabin",
    "camera", "carpet", "castle", "chain", "chair", "cheese", "cherry", "circle", "coffee",
    "corner", "cotton", "cousin", "danger", "desert", "dinner", "doctor", "donkey", "dragon",
    "dream", "eagle", "elbow", "empire", "fabric", "farmer", "father", "field", "finger", "forest",
    "fork", "frame", "friend", "frost", "fruit", "ghost", "giant", "goose", "grain", "grape",
    "grass", "guitar", "harbor", "heart", "heaven", "helmet", "hill", "horse", "hotel", "house",
    "insect", "jungle", "kitchen", "knife", "lake", "leaf", "letter", "lion", "machine", "magnet",
    "map", "marble", "milk", "monkey", "moon", "mother", "motor", "mountain", "mouse", "music",
    "nail", "nest", "noise", "north", "novel", "oven", "owl", "palace", "panda", "pencil", "people",
    "picture", "pillow", "pirate", "planet", "plate", "pocket", "prince", "pumpkin", "puzzle",
    "rabbit", "ribbon", "ring", "robot", "rocket", "roof", "rope", "school", "season", "shadow",
    "sheep", "shirt", "shoulder", "snake", "soldier", "spoon", "spring", "square", "star", "stone",
    "storm", "street", "student", "sugar", "summer", "sweater", "teacher", "temple", "thunder",
    "ticket", "tiger", "tomato", "tower", "trumpet", "turtle", "village", "wagon", "wheel",
    "whisper", "winter", "wolf", "wooden", "writer", "zone",
)  # fmt: skip
WORD_WORDINGS: Mapping[str, tuple[str, ...]] = {
    "longest": (
        "Which of the words {l} has the most letters?",
        "Which word is the longest in this list: {l}?",
        "Name the longest word of these: {l}.",
        "The list is {l}. Which word is the longest?",
    ),
    "starting": (
        "Which of the words {l} begins with {w}?",
        "Which word in this list starts with the letter {w}: {l}?",
        "The list is {l}. Which word starts with {w}?",
        "Name the word that starts with {w} in the list {l}.",
    ),
    "reverse": (
        "Turn the order of this list around: {l}.",
        "Write this list in reverse order: {l}.",
        "Give the words {l} in reverse order.",
        "The list is {l}. Write it from last to first.",
    ),
    "nth_letter": (
        "Which letter stands {o} in the word {w}?",
        "What is the {o} letter of {w}?",
        "Name the {o} letter of the word {w}.",
        "Which is the {o} letter in {w}?",
    ),
    "end_letter": (
        "Which letter stands last in the word {w}?",
        "What is the last letter of the word {w}?",
        "Which letter does the word {w} end with?",
        "Name the last letter in {w}.",
    ),
    "letters": (
        "What number of letters is in the word {w}?",
        "How many letters does the word {w} have?",
        "Tell the number of letters in {w}.",
        "The word {w} has how many letters?",
    ),
}

CAPITALS: Mapping[str, str] = {
    "Germany": "Berlin", "Sweden": "Stockholm", "Finland": "Helsinki", "Denmark": "Copenhagen",
    "Hungary": "Budapest", "Bulgaria": "Sofia", "Romania": "Bucharest", "Belgium": "Brussels",
    "Iceland": "Reykjavik", "Croatia": "Zagreb", "Serbia": "Belgrade", "Ukraine": "Kyiv",
    "Russia": "Moscow", "Turkey": "Ankara", "Iraq": "Baghdad", "Lebanon": "Beirut",
    "Syria": "Damascus", "Thailand": "Bangkok", "Indonesia": "Jakarta",
    "Mongolia": "Ulaanbaatar", "Bangladesh": "Dhaka", "Pakistan": "Islamabad",
    "Afghanistan": "Kabul", "Nigeria": "Abuja", "Ethiopia": "Addis Ababa", "Senegal": "Dakar",
    "Sudan": "Khartoum", "Algeria": "Algiers", "Libya": "Tripoli", "Zambia": "Lusaka",
    "Australia": "Canberra", "Brazil": "Brasilia", "Argentina": "Buenos Aires",
    "Venezuela": "Caracas", "Uruguay": "Montevideo", "Paraguay": "Asuncion", "Jamaica": "Kingston",
}  # fmt: skip
ELEMENTS: Mapping[str, tuple[str, int]] = {
    "boron": ("B", 5), "silicon": ("Si", 14), "phosphorus": ("P", 15), "argon": ("Ar", 18),
    "potassium": ("K", 19), "titanium": ("Ti", 22), "iron": ("Fe", 26), "cobalt": ("Co", 27),
    "nickel": ("Ni", 28), "copper": ("Cu", 29), "zinc": ("Zn", 30), "silver": ("Ag", 47),
    "tin": ("Sn", 50), "iodine": ("I", 53), "gold": ("Au", 79), "mercury": ("Hg", 80),
    "lead": ("Pb", 82), "uranium": ("U", 92),
}  # fmt: skip
CURRENCIES: Mapping[str, str] = {
    "Japan": "yen", "China": "yuan", "India": "rupee", "Russia": "ruble", "Mexico": "peso",
    "Brazil": "real", "Poland": "zloty", "Sweden": "krona", "Turkey": "lira", "Thailand": "baht",
    "Israel": "shekel", "Vietnam": "dong", "Hungary": "forint", "Switzerland": "franc",
}  # fmt: skip
LANGUAGES: Mapping[str, str] = {
    "Brazil": "Portuguese", "Cuba": "Spanish", "Egypt": "Arabic", "Austria": "German",
    "Iran": "Persian", "Greece": "Greek", "Israel": "Hebrew", "Jamaica": "English",
    "Senegal": "French", "Poland": "Polish", "Turkey": "Turkish", "Sweden": "Swedish",
}  # fmt: skip
FACTS: Mapping[str, Mapping[str, str]] = {
    "capital": CAPITALS,
    "symbol": {name: symbol for name, (symbol, _) in ELEMENTS.items()},
    "number": {name: str(number) for name, (_, number) in ELEMENTS.items()},
    "currency": CURRENCIES,
    "language": LANGUAGES,
}
FACT_STATEMENTS = {
    **mini_wordings.FACT_STATEMENTS,
    "currency": "The currency of {s} is the {o}.",
    "language": "The official language of {s} is {o}.",
}
FACT_WORDINGS: Mapping[str, tuple[str, ...]] = {
    "currency": (
        "With which money does one pay in {s}?",
        "What is the currency of {s}?",
        "Name the currency of {s}.",
        "Which currency is used in {s}?",
    ),
    "language": (
        "Give the language that is official in {s}.",
        "What is the official language of {s}?",
        "Which language is the official one in {s}?",
        "Name the official language of {s}.",
    ),
}
