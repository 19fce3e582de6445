"""Hosted models, asked over HTTP on this machine."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openaiserver import Server, completion, question_of, serving, vector_of
from scripted import (
    call,
    lines_of,
    member,
    message_of,
    only_folder,
    report_of,
    run_config,
    write_config,
)

from moco.access import Access
from moco.backends import base, openai
from moco.backends.base import ListFeed, ModelSpec, Row
from moco.config import Shared, parse
from moco.engine.engine import _groups
from moco.engine.jobs import Job
from moco.engine.keys import generate_call
from moco.errors import (
    Cancelled,
    ConfigError,
    EnvironmentProblem,
    InputError,
    MissingExtraError,
    MocoError,
    PromptTooLongError,
    RequirementError,
)
from moco.members import resolve
from moco.pool import Pool
from moco.types import Generation, Message, Query, Request, Sampling

SECRET = "sk-secret-0123456789abcdef"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A running server, reached without a proxy; no key or address comes from the environment."""
    pytest.importorskip("openai")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("API_KEY", "BASE_URL", "ORG_ID", "PROJECT_ID", "CUSTOM_HEADERS"):
        monkeypatch.delenv(f"OPENAI_{name}", raising=False)
    with serving() as found:
        yield found


def hosted(server: Server, name: str = "big", **changes: Any) -> dict[str, Any]:
    """A hosted member as a config has it."""
    return {"model": name, "backend": "openai", "base_url": server.url, **changes}


def spec_of(entry: dict[str, Any]) -> ModelSpec:
    """The spec of a pool's only member."""
    return resolve(parse(Shared, {"pool": [entry]}), pull=False).pool[0]


def rows_of(spec: ModelSpec, count: int, **sampling: Any) -> list[Row]:
    """So many different requests."""
    used = Sampling(**{"max_tokens": 20, **sampling})
    requests = [Request(spec.name, f"question {i}", used, query_id=str(i)) for i in range(count)]
    return [generate_call(spec, request, 0, 0).payload for request in requests]


def ask(spec: ModelSpec, rows: list[Row]) -> ListFeed:
    """Run a batch on a fresh back end."""
    feed = ListFeed(rows)
    backend = openai.load(spec, "cpu", 1024)
    backend.run(feed)
    backend.close()
    return feed


def error_of(spec: ModelSpec) -> MocoError:
    """Why the only request of a batch failed."""
    (error,) = ask(spec, rows_of(spec, 1)).errors.values()
    assert isinstance(error, MocoError)
    assert SECRET not in str(error) + repr(error)
    return error


def test_answers_keep_their_order_and_the_bound(server: Server) -> None:
    server.pause = 0.03
    spec = spec_of(hosted(server, options={"concurrency": 3}))
    feed = ask(spec, rows_of(spec, 10))
    assert [g.text for g in feed.in_order()] == [f"re: question {i}" for i in range(10)]
    assert server.most_open == 3
    one = feed.in_order()[0]
    assert (one.stop, one.usage.prompt_tokens, one.usage.generated_tokens) == ("eos", 11, 3)
    assert one.usage.positions == 14
    assert 0.1 < sum(g.usage.seconds for g in feed.in_order()) < 5


def test_two_hosted_members_answer_side_by_side(server: Server) -> None:
    server.pause = 0.05
    members = [
        {
            "model": name, "backend": "openai", "base_url": server.url,
            "options": {"concurrency": 1},
        }
        for name in ("big", "small")
    ]  # fmt: skip
    asked = [Query(str(i), f"question {i}") for i in range(4)]
    with Pool.open([*members, {"model": "scripted", "backend": "fake"}]) as pool:
        answers = pool.ask_all(asked)
    assert [[g.text for g in own] for own in answers[:2]] == [
        [f"re: question {i}" for i in range(4)]
    ] * 2
    assert server.most_open == 2


def test_the_request_says_what_the_run_says(server: Server) -> None:
    spec = spec_of(hosted(server))
    (greedy,) = rows_of(spec, 1, stop=("\n",), top_p=0.9)
    prompt = (Message("system", "Be brief."), Message("user", "Hi \udcff"))
    ask(spec, [replace(greedy, request=replace(greedy.request, prompt=prompt))])
    (sent,) = server.bodies()
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi ?"}]
    assert sent == {
        "model": "big", "messages": turns, "max_tokens": 20, "temperature": 0.0, "stop": ["\n"],
    }  # fmt: skip
    (path, headers, _), *_ = server.requests
    assert path == "/v1/chat/completions"
    assert headers.get("authorization", "Bearer ").strip() == "Bearer"


def test_seeds_follow_the_row_above_temperature_0(server: Server) -> None:
    spec = spec_of(hosted(server))
    for _ in range(2):
        ask(spec, rows_of(spec, 3, temperature=0.8, top_p=0.9))
    seeds = {question_of(body): body["seed"] for body in server.bodies()[:3]}
    assert seeds == {question_of(body): body["seed"] for body in server.bodies()[3:]}
    assert len(set(seeds.values())) == 3
    assert all(0 <= seed < 2**31 for seed in seeds.values())
    assert server.bodies()[0]["top_p"] == 0.9


@pytest.mark.parametrize(
    ("finish", "stop"), [("stop", "eos"), ("length", "length"), ("content_filter", "error")]
)
def test_finish_reason_and_reasoning(server: Server, finish: str, stop: str) -> None:
    thought = {"content": "4", "reasoning_content": "2 and 2"}
    server.chat = lambda body: completion("", message=thought, finish=finish)
    spec = spec_of(hosted(server))
    (found,) = ask(spec, rows_of(spec, 1)).in_order()
    assert (found.text, found.stop, found.reasoning) == ("4", stop, "2 and 2")


def test_a_reply_without_content_is_empty(server: Server) -> None:
    server.chat = lambda body: completion("", message={"content": None}, usage=None)
    spec = spec_of(hosted(server))
    (found,) = ask(spec, rows_of(spec, 1)).in_order()
    assert (found.text, found.usage.generated_tokens) == ("", 0)


def test_failures_are_tried_again(server: Server) -> None:
    server.failures = [(500, {"error": {"message": "oops"}}), (429, {}), (503, b"busy")]
    spec = spec_of(hosted(server, options={"concurrency": 1}))
    assert ask(spec, rows_of(spec, 1)).in_order()[0].text == "re: question 0"
    assert len(server.requests) == 4


def test_one_failed_row_fails_alone(server: Server) -> None:
    bad = {"error": {"message": "cannot do this one"}}
    spec = spec_of(hosted(server, options={"concurrency": 1}))
    server.failures = [(400, bad)]
    feed = ask(spec, rows_of(spec, 4))
    assert [str(feed.errors[id(feed.rows[0])]).count("cannot do this one")] == [1]
    assert [feed.results[id(row)].text for row in feed.rows[1:]] == [
        f"re: question {i}" for i in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("status", "said", "kind", "words"),
    [
        (400, "temperature is too high", InputError, "temperature is too high.*options"),
        (400, "maximum context length is 10 tokens", PromptTooLongError, "max_tokens"),
        (403, "not in your country", EnvironmentProblem, "not in your country"),
        (404, "no model", EnvironmentProblem, "'big'.*no such model.*/v1"),
        (429, "slow down", EnvironmentProblem, "after 2 tries.*slow down.*concurrency"),
        (500, "on fire", EnvironmentProblem, "failed after 2 tries.*on fire.*again"),
    ],
)
def test_every_refusal_says_what_to_do(
    server: Server, status: int, said: str, kind: type[MocoError], words: str
) -> None:
    server.failures = [(status, {"error": {"message": said}})] * 2
    error = error_of(spec_of(hosted(server, options={"max_retries": 1})))
    assert type(error) is kind
    assert server.url in str(error)
    assert re.search(words, str(error))


def test_a_wrong_key_is_not_shown(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.key = "sk-the-right-one"
    monkeypatch.setenv("HOST_KEY", SECRET)
    error = error_of(spec_of(hosted(server, key_env="HOST_KEY")))
    assert "HOST_KEY" in str(error)
    assert "401" in str(error)
    assert isinstance(error, EnvironmentProblem)
    assert "set the member's key_env" in str(error_of(spec_of(hosted(server))))


def test_a_server_that_repeats_the_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_KEY", SECRET)
    spec = spec_of(hosted(server, key_env="HOST_KEY", options={"max_retries": 0}))
    server.failures = [(400, {"error": {"message": f"bad {SECRET}"}}), (418, {"x": SECRET})]
    assert "[key]" in str(error_of(spec))
    error_of(spec)
    server.chat = lambda body: {"echo": SECRET}
    assert "[key]" in str(error_of(spec))


@pytest.mark.parametrize("value", [None, "", " ", "sk line\nbreak", "sk–dash"])
def test_a_key_that_is_missing_or_broken(
    server: Server, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv("HOST_KEY", raising=False)
    else:
        monkeypatch.setenv("HOST_KEY", value)
    error = error_of(spec_of(hosted(server, key_env="HOST_KEY")))
    assert isinstance(error, EnvironmentProblem)
    assert "HOST_KEY" in str(error)
    assert not (value or "").strip() or str(value) not in str(error)
    assert not server.requests


def test_the_environment_lends_no_key_and_no_address(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-from-elsewhere")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-from-elsewhere")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Extra: {SECRET}\nAuthorization: {SECRET}")
    spec = spec_of(hosted(server))
    ask(spec, rows_of(spec, 1)).in_order()
    shown = str(server.requests)
    assert SECRET not in shown
    assert "from-elsewhere" not in shown


def test_no_reply_in_time(server: Server) -> None:
    server.pause = 0.4
    options = {"timeout_seconds": 0.05, "max_retries": 0}
    error = error_of(spec_of(hosted(server, options=options)))
    assert "0.05 s after 1 try" in str(error)
    assert "timeout_seconds" in str(error)


def test_nobody_listens_there(server: Server) -> None:
    away = {**hosted(server), "base_url": "http://127.0.0.1:9/v1", "options": {"max_retries": 0}}
    error = error_of(spec_of(away))
    assert isinstance(error, EnvironmentProblem)
    assert "cannot be reached" in str(error)
    assert "base_url" in str(error)


@pytest.mark.parametrize(
    "reply",
    [
        b"<html>hello</html>", b"{broken", b"", b"[]", {"choices": []}, {"error": {"message": "x"}},
        {"choices": [{"message": {"content": ["parts"]}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": "x"}, "finish_reason": "tool_calls"}]},
    ],
)  # fmt: skip
def test_replies_of_another_form(server: Server, reply: Any) -> None:
    server.chat = lambda body: reply
    error = error_of(spec_of(hosted(server)))
    assert isinstance(error, EnvironmentProblem)
    assert "not what the API promises" in str(error)


class _CancelsAfter(ListFeed):
    """A feed whose rows count as cancelled once the first answer is there."""

    def cancelled(self, row: Row) -> bool:
        return bool(self.results)


def test_cancelled_rows_are_not_sent(server: Server) -> None:
    spec = spec_of(hosted(server, options={"concurrency": 2}))
    feed = _CancelsAfter(rows_of(spec, 9))
    openai.load(spec, "cpu", 1024).run(feed)
    assert len(feed.results) + len(feed.errors) == 9
    assert len(server.requests) == len(feed.results) <= 3
    assert all(isinstance(error, Cancelled) for error in feed.errors.values())


def test_listeners_get_the_whole_text(server: Server) -> None:
    spec, heard = spec_of(hosted(server)), list[str]()
    feed = ListFeed(rows_of(spec, 1), listener=lambda row, text: heard.append(text))
    openai.load(spec, "cpu", 1024).run(feed)
    assert heard == ["re: question 0"]


def test_what_a_hosted_model_does_not_give(server: Server) -> None:
    spec = spec_of(hosted(server))
    assert spec.facts is not None
    assert spec.facts.access == Access.TEXT
    backend = openai.load(spec, "cpu", 1024)
    with pytest.raises(RequirementError, match="log-probabilities"):
        backend.loglikelihood([])
    with pytest.raises(RequirementError, match="hidden"):
        backend.hidden(spec, ["x"], "last")
    with pytest.raises(RequirementError, match="rewards"):
        backend.reward([])
    (row,) = rows_of(spec, 1)
    started = replace(row, request=replace(row.request, prefix="Well"))
    with pytest.raises(RequirementError, match="started answer"):
        base.generate(backend, [started])


def test_embedder_role(server: Server) -> None:
    entry = hosted(server, "vectors", options={"serves": "embeddings", "dimensions": 3})
    texts = [f"text {'e' * i}" for i in range(70)]
    with Pool.open([member("a")], roles={"embedder": entry}) as pool:
        embedder = pool.roles["embedder"]
        assert embedder.facts.access == Access.EMBED
        found = embedder.embed(texts)
        np.testing.assert_allclose(found, [vector_of(text) for text in texts])
        assert found.dtype == np.float32
        embedder.embed(texts)
    assert sorted(len(body["input"]) for body in server.bodies()) == [6, 64]
    assert {body["dimensions"] for body in server.bodies()} == {3}
    assert {body["encoding_format"] for body in server.bodies()} == {"float"}


def test_embedding_costs_add_up(server: Server) -> None:
    spec = spec_of(hosted(server, options={"serves": "embeddings"}))
    vectors = openai.load(spec, "cpu", 1024).embed(spec, ["a", "bb", "a longer text"])
    assert sum(v.usage.prompt_tokens for v in vectors) == 7
    assert vectors[2].usage.prompt_tokens > vectors[0].usage.prompt_tokens


def test_what_changes_the_fingerprint(server: Server) -> None:
    plain = spec_of(hosted(server)).fingerprint
    pace = {"timeout_seconds": 5, "max_retries": 0, "concurrency": 1}
    same = [hosted(server, key_env="ANY"), hosted(server, options=pace), hosted(server, name="n")]
    same.append({**hosted(server), "base_url": server.url + "/"})
    assert {spec_of({**entry, "model": "big"}).fingerprint for entry in same} == {plain}
    other = [hosted(server, "small"), {**hosted(server), "base_url": "http://elsewhere/v1"}]
    assert plain not in {spec_of(entry).fingerprint for entry in other}


def test_batches_of_hosted_models_stay_open(server: Server) -> None:
    """Nothing is computed here, so numerics close no batch."""
    spec = spec_of(hosted(server))
    calls = [generate_call(spec, row.request, 0, 0) for row in rows_of(spec, 100)]
    ((batch, closed),) = _groups(Job("generate", tuple(calls)), calls, {c.key for c in calls})
    assert (len(batch), closed) == (100, False)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"options": {"timeout": 3}}, "timeout: unknown key. Did you mean 'timeout_seconds'"),
        ({"options": {"serves": "images"}}, "serves"),
        ({"options": {"concurrency": 0}}, "concurrency"),
        ({"options": {"dimensions": 3}}, "serves: embeddings"),
        ({"options": {"base_url": "http://x"}}, "base_url stands beside"),
        ({"dtype": "float32"}, "dtype needs a local model"),
        ({"adapter": "x"}, "adapter needs a local model"),
        ({"key_env": SECRET}, "key_env.*never the key"),
        ({"key_env": SECRET.replace("-", "_")}, "key_env.*never the key"),
        ({"base_url": f"http://me:{SECRET}@host/v1"}, "base_url.*password"),
        ({"base_url": f"http://host/v1?key={SECRET}"}, "base_url.*password"),
        ({"base_url": "host/v1"}, "base_url.*http"),
        ({"api_key": SECRET}, "api_key: unknown key"),
        ({"backend": "fake", "key_env": "KEY"}, "key_env belongs to hosted"),
        ({"backend": "hf", "base_url": "http://x"}, "base_url belongs to hosted"),
    ],
)
def test_config_errors(entry: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        spec_of({"model": "big", "backend": "openai", **entry})
    assert caught.match(words)
    assert SECRET not in str(caught.value)
    assert SECRET.replace("-", "_") not in str(caught.value)


def test_check_needs_neither_client_nor_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    entry = {"model": "big", "backend": "openai", "key_env": "NOT_SET_ANYWHERE"}
    config = write_config(tmp_path, run_config(tmp_path, pool=[entry, member("a"), member("b")]))
    code, _, err = call(capsys, "check", config)
    assert code == 0, err
    code, _, err = call(capsys, "run", config, "-l", tmp_path / "runs")
    assert code == 3
    assert "pip install 'moco-collab[openai]'" in message_of(err)
    with pytest.raises(MissingExtraError, match="openai"):
        openai.load(spec_of(entry), "cpu", 1024)


def _voter(body: Any) -> Any:
    letter = "B" if body["model"] == "big" and "1?" in question_of(body) else "A"
    return completion(f"Answer: {letter}")


def test_a_vote_of_hosted_members(
    server: Server,
    tmp_path: Path,
    own_cache: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HOST_KEY", SECRET)
    server.key, server.chat = SECRET, _voter
    price = {"prompt": 1.0, "generated": 2.0}
    pool = [hosted(server, name, key_env="HOST_KEY", price=price) for name in ("big", "owner/two")]
    config = write_config(tmp_path, run_config(tmp_path, pool=pool))
    logs = tmp_path / "runs"
    assert call(capsys, "check", config)[0] == 0
    assert not server.requests
    code, out, err = call(capsys, "run", config, "-l", logs)
    assert code == 0, err
    asked = len(server.requests)
    usage = report_of(only_folder(logs))["usage"]
    assert usage["prompt_tokens"] == 11 * usage["calls"]
    assert usage["generated_tokens"] == 3 * usage["calls"]
    assert usage["price"] == pytest.approx(usage["calls"] * (11 + 6) / 1e6)
    code, _, _ = call(capsys, "run", config, "-l", logs)
    assert (code, len(server.requests)) == (0, asked)
    monkeypatch.delenv("HOST_KEY")  # a replay needs no key
    assert call(capsys, "run", config, "-l", logs)[0] == 0
    lines = lines_of(only_folder(logs) / "calls.jsonl")
    assert {line["model"] for line in lines} == {"big", "two"}
    assert SECRET not in out + err + caplog.text + json.dumps(lines)
    for folder in (logs, own_cache):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_workers_in_processes_ask_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_KEY", SECRET)
    server.key = SECRET
    engine = {"executor": "process", "devices": ["cpu"]}
    entries = [hosted(server, name, key_env="HOST_KEY") for name in ("big", "no-model")]
    with Pool.open(entries, engine=engine) as pool:
        found: list[Generation] = pool[0].ask(["hello"])
        assert found[0].text == "re: hello"
        with pytest.raises(EnvironmentProblem, match="no such model"):
            pool[1].ask(["hello"])
