"""The bundled task `mini` and the files of the bundled models."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from moco.tasks import mini
from moco.tasks import mini_world as world
from moco.tasks.mini_items import FACTS, SKILLS, Domain, Item, draw

ROOT = Path(__file__).parents[1]
ZOO = ROOT / "moco" / "zoo" / "mini"
DOMAINS: tuple[Domain, ...] = ("arithmetic", "words", "facts", "two")


@pytest.fixture(scope="module")
def training() -> list[Item]:
    rng = random.Random(5)
    return [draw(rng, domain, "train") for domain in DOMAINS for _ in range(4000)]


def test_sizes_and_proportions() -> None:
    for part, count in (("dev", 120), ("test", 300), ("large", 2000), ("train", 480)):
        items = mini.generate(part)  # type: ignore[arg-type]
        assert len(items) == count
        shares = Counter(item.domain for item in items)
        for domain in ("arithmetic", "words", "facts"):
            assert abs(shares[domain] / count - 80 / 300) < 0.002
        assert abs(shares["two"] / count - 60 / 300) < 0.002
        assert {item.kind for item in items} == {"choice", "number", "span"}
        assert all(item.kind != "choice" for item in items if item.domain == "two")
    assert Counter(s.meta["domain"] for s in mini.samples("test")) == {
        "arithmetic": 80,
        "words": 80,
        "facts": 80,
        "two": 60,
    }


def test_made_items_equal_stored_items() -> None:
    stored = [json.loads(line) for line in mini.DATA.read_text(encoding="utf-8").splitlines()]
    made = [
        mini.record(item, f"mini-{part}-{i}", part)
        for part in ("dev", "test")
        for i, item in enumerate(mini.generate(part))
    ]
    assert stored == made
    assert len({line["id"] for line in stored}) == 420
    assert [s.query.id for s in mini.samples("dev")] == [line["id"] for line in stored[:120]]


def test_no_item_comes_twice() -> None:
    for part in ("dev", "test", "large", "train"):
        items = mini.generate(part)
        assert len({(item.question, item.choices) for item in items}) == len(items)


def test_splits_share_no_wording_and_no_entities(training: list[Item]) -> None:
    parts = {"train": training, "dev": mini.generate("dev"), "test": mini.generate("large")}
    parts["dev"] += mini.generate("train")
    parts["test"] += mini.generate("test")
    for first, second in (("train", "dev"), ("train", "test"), ("dev", "test")):
        a, b = parts[first], parts[second]
        assert {i.template for i in a}.isdisjoint({i.template for i in b})
        assert {i.question for i in a}.isdisjoint({i.question for i in b})
        # single words, letters and subjects of facts must be known to be asked about
        pairs = [{i.entities for i in part if len(i.entities) > 1} for part in (a, b)]
        assert pairs[0].isdisjoint(pairs[1])


def test_every_fact_of_test_is_stated_in_training(training: list[Item]) -> None:
    stated = {(i.skill, i.entities[0]): i for i in training if i.domain == "facts"}
    for item in mini.generate("large") + mini.generate("test"):
        if item.domain == "facts":
            known = stated[item.skill, item.entities[0]]
            assert known.work == item.work
            assert known.value == item.value
            assert known.question != item.question


def _sum_of(text: str) -> int:
    value = 0
    for step in text.rstrip(".").split(", "):
        left, sign, right, said = re.match(r"(\d+)([-+*])(\d+)=(\d+)$", step).groups()  # type: ignore[union-attr]
        a, b = int(left), int(right)
        value = a + b if sign == "+" else a - b if sign == "-" else a * b
        assert value == int(said)
    return value


def _asked_number(phrase: str) -> int:
    if found := re.match(r"the number of letters in (\w+)", phrase):
        return len(found[1])
    if found := re.match(r"the place of the letter (\w) in", phrase):
        return "abcdefghijklmnopqrstuvwxyz".index(found[1]) + 1
    for relation, text in (
        ("number", r"the atomic number of (\w+)"),
        ("month", r"the number of the month (\w+)"),
        ("planet", r"the number of the planet (\w+)"),
        ("sides", r"the number of sides of the (\w+)"),
    ):
        if found := re.match(text, phrase):
            return int(FACTS[relation][found[1]])
    raise AssertionError(phrase)


def test_answers_are_right() -> None:
    for item in mini.generate("test") + mini.generate("dev"):
        numbers = [int(n) for n in re.findall(r"\d+", item.question)]
        if item.domain == "arithmetic":
            assert _sum_of(item.work) == int(item.value)
            used = [int(n) for n in re.findall(r"\d+", item.work)]
            assert set(numbers) <= set(used)
        elif item.domain == "facts":
            assert FACTS[item.skill][item.entities[0]] == item.value
        elif item.skill in ("fact_add", "word_add", "fact_mul", "word_mul"):
            phrases = re.findall(
                r"the (?:atomic |place |number )[a-z ]*?(?:of|in) [^.?]*", item.question
            )
            values = [
                _asked_number(p)
                for p in re.split(r"(?=the (?:atomic|place|number))", phrases[0])
                if p
            ]
            values += numbers
            assert len(values) == 2
            product = values[0] * values[1]
            assert int(item.value) == (sum(values) if item.skill.endswith("add") else product)
            assert _sum_of(item.work) == int(item.value)
        elif item.skill == "fact_sort":
            capitals = [world.COUNTRIES[c][0] for c in item.entities]
            assert item.value == " ".join(sorted(capitals))
        else:
            _check_words(item)


def _check_words(item: Item) -> None:
    listed, first = list(item.entities), item.entities[0]
    if item.skill == "list_nth":
        place = next(i for i, o in enumerate(world.ORDINALS) if o in item.question)
        assert item.value == listed[place]
    elif item.skill == "after":
        place = listed.index(item.value)
        assert f"after {listed[place - 1]}" in item.question
    else:
        wanted = {
            "first_letter": first[0],
            "last_letter": first[-1],
            "length": str(len(first)),
            "place": str(ord(first[0]) - 96),
            "list_first": first,
            "list_last": listed[-1],
            "count": str(len(listed)),
            "sort": " ".join(sorted(listed)),
        }
        assert item.value == wanted[item.skill]


def test_choices_hold_the_answer_once() -> None:
    for item in mini.generate("large"):
        if item.choices:
            assert len(set(item.choices)) == 4
            assert item.choices.count(item.value) == 1
    letters = Counter(i.answer for i in mini.generate("large") if i.choices)
    assert min(letters.values()) > 0.18 * sum(letters.values())


def test_every_skill_is_asked() -> None:
    for part in ("dev", "test", "large", "train"):
        asked = {(i.domain, i.skill) for i in mini.generate(part)}
        assert asked == {(domain, skill) for domain in DOMAINS for skill in SKILLS[domain]}


NAMES = (
    "base", "arithmetic", "words", "facts", "arithmetic_lora", "words_lora", "facts_lora",
    "outsider_a", "outsider_b", "reward", "embedder",
)  # fmt: skip


def _elements(path: Path) -> int:
    """Stored numbers by a safetensors file's header; all must be bf16."""
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    header.pop("__metadata__", None)
    assert {entry["dtype"] for entry in header.values()} == {"BF16"}
    total = 0
    for entry in header.values():
        size = 1
        for n in entry["shape"]:
            size *= n
        total += size
    return total


def test_zoo_files_are_small() -> None:
    assert sum(p.stat().st_size for p in ZOO.rglob("*") if p.is_file()) <= 20_000_000
    for name in NAMES:
        files = list((ZOO / name).glob("*.safetensors"))
        assert len(files) == 1
        assert _elements(files[0]) <= 1_300_000


def test_zoo_families() -> None:
    configs = {
        n: json.loads((ZOO / n / "config.json").read_text(encoding="utf-8"))
        for n in NAMES
        if not n.endswith("lora")
    }
    vocabularies = {n: (ZOO / n / "tokenizer.json").read_bytes() for n in NAMES}
    for name, config in configs.items():
        assert config["max_position_embeddings"] >= 1024
        assert (ZOO / name / "chat_template.jinja").exists()
    for name in ("arithmetic", "words", "facts"):
        assert configs[name]["model_type"] == configs["base"]["model_type"] == "llama"
        assert vocabularies[name] == vocabularies["base"]
        adapter = json.loads((ZOO / f"{name}_lora" / "adapter_config.json").read_text("utf-8"))
        assert adapter["base_model_name_or_path"] == "../base"
    assert len({configs[n]["model_type"] for n in ("base", "outsider_a", "outsider_b")}) == 3
    assert len({vocabularies[n] for n in ("base", "outsider_a", "outsider_b")}) == 3
