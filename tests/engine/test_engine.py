"""The engine: nothing computed twice, shared batches, copies that differ, rows that leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from folders import save_adapter, save_model

from moco.config import EngineConfig, RunConfig, parse
from moco.engine.cache import Cache
from moco.engine.engine import CLOSED_ROWS, Engine
from moco.engine.inline import InlineExecutor
from moco.engine.jobs import WorkerSettings
from moco.engine.ledger import Ledger, PurposeMeter
from moco.errors import Cancelled, InputError
from moco.members import resolve
from moco.pool import Context, Model, Pool
from moco.types import Query, Request, Sampling

QUERIES = [Query(str(i), f"What is number {i}?") for i in range(6)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("engine")
    found = {name: save_model(root / name, "llama", i) for i, name in enumerate("ab")}
    for i in range(2):
        found[f"lora{i}"] = save_adapter(root / f"lora{i}", found["a"], i, rank=2 + i)
    return found


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(Cache(tmp_path / "calls.sqlite"), InlineExecutor, WorkerSettings())
    yield made
    made.close()


def pool_of(engine: Engine, members: list[Any], sampling: Sampling, **context: Any) -> Pool:
    config = parse(RunConfig, {"method": "x", "task": "y", "pool": members})
    found = resolve(config, pull=True)
    made = Context(engine, sampling, **context)
    return Pool([Model(s, made) for s in found.pool], {}, made)


def scripted(**options: Any) -> dict[str, Any]:
    return {"model": options.pop("name", "s"), "backend": "fake", "options": options}


def test_four_copies_differ_when_hot_and_agree_when_greedy(
    engine: Engine, folders: dict[str, Path]
) -> None:
    members = [str(folders["a"])] * 4
    hot = pool_of(engine, members, Sampling(0.7, max_tokens=16))
    assert hot.names == ["a", "a#2", "a#3", "a#4"]
    texts = list(zip(*[[g.text for g in own] for own in hot.ask_all(QUERIES)], strict=True))
    assert all(len(set(own)) > 1 for own in texts)
    before = engine.fresh_calls
    cold = pool_of(engine, members, Sampling(max_tokens=16))
    texts = list(zip(*[[g.text for g in own] for own in cold.ask_all(QUERIES)], strict=True))
    assert all(len(set(own)) == 1 for own in texts)
    assert engine.fresh_calls - before == len(QUERIES)
    assert len(engine.loads) == 1


def test_draws_are_independent_and_repeatable(engine: Engine, folders: dict[str, Path]) -> None:
    pool = pool_of(engine, [str(folders["a"])], Sampling(0.9, max_tokens=16))
    first, second = (pool.ask_all(QUERIES, draw=d)[0] for d in (0, 1))
    assert [g.text for g in first] != [g.text for g in second]
    assert [g.text for g in pool.with_(draw=1).ask_all(QUERIES)[0]] != [g.text for g in first]
    assert pool.ask_all(QUERIES, draw=0)[0] == first
    other = pool_of(engine, [str(folders["a"])], Sampling(0.9, max_tokens=16), seed=1)
    assert [g.text for g in other.ask_all(QUERIES)[0]] != [g.text for g in first]


def test_alias_id_and_stage_are_not_in_the_key(engine: Engine, folders: dict[str, Path]) -> None:
    pool = pool_of(engine, [str(folders["a"])], Sampling(0.5, max_tokens=8))
    first = pool.ask_all(QUERIES)[0]
    named = pool_of(
        engine, [{"model": str(folders["a"]), "name": "other"}], Sampling(0.5, max_tokens=8)
    )
    before = engine.fresh_calls
    renamed = [Query("x" + q.id, q.prompt) for q in QUERIES]
    assert named.ask_all(renamed, stage="else")[0] == first
    assert engine.fresh_calls == before


def test_adapters_and_compositions_share_one_base(engine: Engine, folders: dict[str, Path]) -> None:
    members = [str(folders[n]) for n in ("a", "lora0", "lora1")]
    pool = pool_of(engine, members, Sampling(max_tokens=12))
    alone = pool.ask_all(QUERIES)
    assert len({tuple(g.text for g in own) for own in alone}) == 3
    one = pool.compose({"lora0": 1.0, "lora1": 0.0})
    assert [g.text for g in one.ask([q.prompt for q in QUERIES])] == [g.text for g in alone[1]]
    half = pool.compose({"lora0": 0.5, "lora1": 0.5})
    both = pool.including([half]).generate(
        [
            Request(m, q.prompt, Sampling(max_tokens=12))
            for q in QUERIES
            for m in ("lora0", half.name)
        ]
    )
    assert [g.text for g in both[::2]] == [g.text for g in alone[1]]
    assert len(engine.loads) == 1


def test_merges_of_the_same_checkpoints_take_turns_in_one_loaded_model(
    engine: Engine, folders: dict[str, Path], tmp_path: Path
) -> None:
    sampling, prompts = Sampling(max_tokens=12), [q.prompt for q in QUERIES]
    pool = pool_of(engine, [str(folders[n]) for n in ("a", "b")], sampling)
    mixes = [pool.compose({"a": w, "b": 1 - w}) for w in (0.2, 0.9, -0.4)]
    wide = pool.including(mixes)
    asked = [Request(m.name, p, sampling) for p in prompts for m in mixes]
    found = [g.text for g in wide.generate(asked)]
    again = pool.compose({"a": 0.2, "b": 0.8}, name="again").ask(prompts, draw=1)
    assert [g.text for g in again] == found[::3]
    nested = wide.compose({mixes[0].name: 0.5, mixes[1].name: 0.5}, name="nested")
    assert dict(zip([p.name for p in nested.spec.parents], nested.spec.weights, strict=True)) == {
        "a": pytest.approx(0.55), "b": pytest.approx(0.45),
    }  # fmt: skip
    assert len(engine.loads) == 1
    for i, w in enumerate((0.2, 0.9, -0.4)):
        other = Engine(Cache(tmp_path / f"{i}.sqlite"), InlineExecutor, WorkerSettings())
        alone = pool_of(other, [str(folders[n]) for n in ("a", "b")], sampling)
        texts = [g.text for g in alone.compose({"a": w, "b": 1 - w}).ask(prompts)]
        other.close()
        assert texts == found[i::3]


def test_equal_calls_of_many_threads_are_computed_once(
    engine: Engine, folders: dict[str, Path]
) -> None:
    pool = pool_of(engine, [str(folders["a"])], Sampling(0.5, max_tokens=24))
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: pool.ask_all(QUERIES)[0], range(8)))
    assert all(own == found[0] for own in found)
    assert engine.fresh_calls == len(QUERIES)


def test_a_listener_hears_the_final_stage_only(engine: Engine, folders: dict[str, Path]) -> None:
    heard: dict[str, str] = {}

    def listen(query_id: str, text: str) -> None:
        heard[query_id] = heard.get(query_id, "") + text

    pool = pool_of(engine, [str(folders["a"])], Sampling(max_tokens=12), listener=listen)
    pool.ask_all(QUERIES, stage="draft", sampling=Sampling(0.3, max_tokens=12))
    assert heard == {}
    found = pool.ask_all(QUERIES, stage="final")[0]
    assert heard == {q.id: g.text for q, g in zip(QUERIES, found, strict=True)}


def test_cancel_ends_the_wait(engine: Engine) -> None:
    stop = threading.Event()
    members = [scripted(delay_seconds=0.3)]
    pool = pool_of(engine, members, Sampling(), cancelled=stop.is_set)
    threading.Timer(0.4, stop.set).start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        pool.ask_all([Query(str(i), f"q{i}") for i in range(100)])
    assert time.monotonic() - start < 5


def test_a_failing_call_keeps_what_others_found(engine: Engine) -> None:
    members = [scripted(reply="fine", fails_on="number 3")]
    pool = pool_of(engine, members, Sampling())
    with pytest.raises(InputError, match="fails"):
        pool.ask_all(QUERIES)
    rest = [q for q in QUERIES if q.id != "3"]
    deadline = time.monotonic() + 5
    while engine.fresh_calls < len(rest) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.fresh_calls == len(rest)
    assert [g.text for g in pool.ask_all(rest)[0]] == ["fine"] * len(rest)
    assert engine.fresh_calls == len(rest)


def test_the_ledger_counts_each_call_once(engine: Engine, folders: dict[str, Path]) -> None:
    ledger = Ledger()
    pool = pool_of(
        engine, [str(folders["a"])], Sampling(max_tokens=8), meter=PurposeMeter(ledger, "method")
    )
    found = pool.ask_all(QUERIES)[0]
    pool.ask_all(QUERIES)
    total = ledger.total("method")
    assert (total.calls, total.cached_calls) == (len(QUERIES), 0)
    assert total.usage.prompt_tokens == sum(g.usage.prompt_tokens for g in found)
    assert total.usage.generated_tokens == sum(len(g.token_ids) for g in found)


def test_batch_dependent_rows_are_run_in_whole_batches(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    """bfloat16: a batch with one missing row is run whole, and cached rows keep their answers."""
    queries = [Query(str(i), f"What is number {i}?") for i in range(CLOSED_ROWS + 4)]
    member = {"model": str(folders["a"]), "dtype": "bfloat16"}
    sampling = Sampling(max_tokens=6)

    def ask(name: str, drop: int | None) -> list[Any]:
        made = Engine(Cache(tmp_path / name), InlineExecutor, WorkerSettings())
        pool = pool_of(made, [member], sampling)
        found = pool.ask_all(queries)[0]
        if drop is not None:
            made.cache._db.execute(
                "delete from calls where key in (select key from calls limit ?)", (drop,)
            )
            again = pool.ask_all(queries)[0]
            assert [(g.token_ids, g.logprobs) for g in again] == [
                (g.token_ids, g.logprobs) for g in found
            ]
        made.close()
        return [g.text for g in found]

    assert ask("x", None) == ask("y", 3)


def test_top_logprobs_are_a_miss_where_fewer_are_stored(
    engine: Engine, folders: dict[str, Path]
) -> None:
    pool = pool_of(engine, [str(folders["a"])], Sampling(max_tokens=4))
    pool.ask_all(QUERIES[:1])
    asked = [Request("a", QUERIES[0].prompt, Sampling(max_tokens=4), top_logprobs=3)]
    before = engine.fresh_calls
    found = pool.generate(asked)[0]
    assert engine.fresh_calls == before + 1
    assert all(len(step) == 3 for step in found.top)
    assert pool.generate(asked)[0] == found
    assert engine.fresh_calls == before + 1


def test_memory_limit_unloads_the_least_recently_used(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    config = parse(RunConfig, {"method": "x", "task": "y", "pool": [str(folders["a"])]})
    facts = resolve(config, pull=True).pool[0].facts
    assert facts is not None and facts.num_bytes > 0
    settings = WorkerSettings(memory_bytes=int(facts.num_bytes * 1.5))
    made = Engine(Cache(tmp_path / "c"), InlineExecutor, settings)
    pool = pool_of(made, [str(folders["a"]), str(folders["b"])], Sampling(max_tokens=2))
    pool.ask_all(QUERIES[:2])
    pool.of(["a"]).ask_all(QUERIES[2:4])
    assert len(made.loads) == 3
    made.close()


def test_engine_config_defaults_run_on_the_cpu() -> None:
    from moco.members import devices

    found, notes = devices(EngineConfig(devices=("cuda:7",)))
    assert found == ("cpu",) or found[0].startswith("cuda")
    assert len(notes) == (found == ("cpu",))
