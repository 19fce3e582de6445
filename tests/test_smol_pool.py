"""The ready pool of LoRA specialists of SmolLM2: what its folders hold, and that they answer."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from moco import checkpoint, lora, members, sources
from moco.config import Shared
from moco.model import derived
from moco.types import Request, Sampling
from moco.zoo import catalogue, pools

OWN_CACHE = os.environ.get("XDG_CACHE_HOME", "")  # read before a fixture replaces it
SCRIPTS = Path(__file__).parent.parent / "scripts"
POOL = "zoo://smol-specialists"
BASE = "smollm2-135m"
DOMAINS = ("arithmetic", "words", "facts")
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
NUM_LAYERS = 30

each = pytest.mark.parametrize("domain", DOMAINS)


def folder(domain: str) -> Path:
    """The folder of a specialist."""
    found = sources.resolve(f"{POOL}/{domain}", pull=False)
    assert found is not None
    return found


def test_the_pool_lists_the_three_folders() -> None:
    ready = pools.find(POOL)
    assert ready is not None
    assert ready.members == tuple(f"{POOL}/{domain}" for domain in DOMAINS)
    assert all(folder(domain).is_dir() for domain in DOMAINS)


@each
def test_an_adapter_is_small_and_in_bf16(domain: str) -> None:
    files = {file.name for file in folder(domain).iterdir()}
    assert files == {lora.CONFIG, lora.WEIGHTS, "moco.json"}
    assert (folder(domain) / lora.WEIGHTS).stat().st_size < 2_000_000
    slots = checkpoint.header(folder(domain) / lora.WEIGHTS)
    assert {slot.dtype for slot in slots.values()} == {"BF16"}
    checkpoint.check_file_finite(folder(domain) / lora.WEIGHTS)


@each
def test_an_adapter_has_rank_8_on_the_attention(domain: str) -> None:
    config = json.loads((folder(domain) / lora.CONFIG).read_text(encoding="utf-8"))
    assert (config["r"], config["lora_alpha"]) == (8, 16)
    assert sorted(config["target_modules"]) == sorted(TARGETS)
    assert config["base_model_name_or_path"] == BASE
    adapter = lora.read(folder(domain))
    assert {module.rank for module in adapter.modules.values()} == {8}
    assert {module.scale for module in adapter.modules.values()} == {2.0}
    ends = Counter(name.rpartition(".")[2] for name in adapter.modules)
    assert ends == dict.fromkeys(TARGETS, NUM_LAYERS)


@each
def test_an_adapter_names_its_base_and_the_bases_digest(domain: str) -> None:
    entry = catalogue.find(BASE)
    adapter = lora.read(folder(domain))
    assert entry is not None
    assert (adapter.base, adapter.base_sha256) == (BASE, entry.facts.base)


def test_the_adapters_are_different() -> None:
    stored = {(folder(domain) / lora.WEIGHTS).read_bytes() for domain in DOMAINS}
    assert len(stored) == len(DOMAINS)


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that makes the questions."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import smol_data

    return smol_data


@each
def test_held_out_questions_are_not_in_training(data: ModuleType, domain: str) -> None:
    rng = random.Random(0)
    trained = [data.draw(rng, domain, "train") for _ in range(2000)]
    asked = [data.draw(rng, domain, "test") for _ in range(500)]
    assert not {item.template for item in trained} & {item.template for item in asked}
    assert not {item.question for item in trained} & {item.question for item in asked}


@each
def test_held_out_answers_are_what_a_perfect_reply_gives(data: ModuleType, domain: str) -> None:
    from moco.scorers.exact import Exact
    from moco.types import Prediction

    rng = random.Random(1)
    for i in range(300):
        item = data.draw(rng, domain, "test")
        sample = data.sample_of(item, str(i))
        perfect = Prediction(str(i), data.reply(item), (), "eos")
        assert Exact().score([sample], [perfect], {})[0].value == 1.0, item


@pytest.fixture
def own_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base in the user's own cache; skips where it has not been pulled."""
    monkeypatch.setenv("XDG_CACHE_HOME", OWN_CACHE)
    if sources.resolve(BASE, pull=False) is None:
        pytest.skip(f"{BASE} is not pulled")


@pytest.mark.real
@pytest.mark.usefixtures("own_models")
def test_the_members_are_adapters_of_one_base() -> None:
    specs = members.resolve(Shared(pool=POOL), pull=False).pool
    facts = [spec.facts for spec in specs]
    assert [spec.name for spec in specs] == list(DOMAINS)
    assert all(found is not None and found.adapter for found in facts)
    assert len({found.base for found in facts if found}) == 1
    assert len({spec.base_key for spec in specs}) == 1


@pytest.mark.real
@pytest.mark.usefixtures("own_models")
def test_the_members_answer_differently_and_can_be_composed(data: ModuleType) -> None:
    from moco.backends.base import Row, generate
    from moco.backends.hf import HfBackend

    samples = [sample for domain in DOMAINS for sample in data.held_out(domain, 2, 1)][:5]
    specs = members.resolve(Shared(pool=POOL), pull=False).pool
    mix = derived(specs, (0.5, 0.3, 0.2), "mix")
    short = Sampling(max_tokens=48)
    rows = [
        Row(Request(spec.name, sample.query.prompt, short), spec, bytes(32))
        for spec in (*specs, mix)
        for sample in samples
    ]
    told = [found.text for found in generate(HfBackend(specs[0]), rows)]
    assert all(text.strip() for text in told)
    by_member = [tuple(told[i : i + len(samples)]) for i in range(0, len(told), len(samples))]
    assert len(set(by_member)) == len(DOMAINS) + 1
