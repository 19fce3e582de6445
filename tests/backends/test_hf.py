"""The Hugging Face back end against transformers' own loops, on tiny random models in fp32."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from moco.backends.base import ListFeed, ModelSpec, Pair, Row, generate
from moco.backends.hf import HfBackend
from moco.errors import Cancelled, InputError, ModelFormatError, PromptTooLongError
from moco.types import Generation, Message, Request, Sampling
from tests.tiny import tiny_adapter, tiny_folder

PROMPTS = [
    "The answer",
    "1 2 3 4 5 6 7 8 9 10 11 12",
    "x",
    "so on: " * 12,
    "is the end of a question é😀",
]


def spec_of(folder: Path, **fields: Any) -> ModelSpec:
    values = {"path": folder, "dtype": "float32", "fingerprint": str(folder), **fields}
    return ModelSpec("m", str(folder), **values)


def row(spec: ModelSpec, prompt: str, seed: int = 0, **fields: Any) -> Row:
    prefix, top = fields.pop("prefix", ""), fields.pop("top_logprobs", 0)
    sampling = Sampling(**{"max_tokens": 20, **fields})
    request = Request("m", prompt, sampling, prefix, top_logprobs=top)
    return Row(request, spec, bytes([seed]) * 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def backend(folder: Path) -> HfBackend:
    return HfBackend(spec_of(folder))


@pytest.fixture(scope="module")
def plain(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def greedy_ids(model: Any, prompt: Sequence[int], count: int, stops: Sequence[int]) -> list[int]:
    ids = torch.tensor([list(prompt)])
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=count,
        eos_token_id=list(stops),
        pad_token_id=0,
    )
    return out[0, len(prompt) :].tolist()


def logprobs_after(model: Any, context: Sequence[int], judged: Sequence[int]) -> list[float]:
    with torch.inference_mode():
        logits = model(torch.tensor([[*context, *judged]])).logits[0, len(context) - 1 : -1]
    return torch.log_softmax(logits, -1)[range(len(judged)), list(judged)].tolist()


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neox", "gemma3", "qwen2"])
def test_greedy_equals_transformers(tmp_path: Path, kind: str) -> None:
    spec = spec_of(tiny_folder(tmp_path, kind))
    backend, model = HfBackend(spec), AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    stops = backend.renderer(spec).stop_ids
    rows = [row(spec, prompt, max_tokens=12 + 3 * i) for i, prompt in enumerate(PROMPTS)]
    for sent, got in zip(rows, generate(backend, rows), strict=True):
        prompt = backend.rendered(spec, sent.request.prompt, "")
        expected = greedy_ids(model, prompt, sent.request.sampling.max_tokens, sorted(stops))
        assert list(got.token_ids) == expected
        assert got.stop == ("eos" if expected[-1] in stops else "length")
        assert got.logprobs == pytest.approx(logprobs_after(model, prompt, expected), abs=1e-4)
        text = backend.renderer(spec).decode(expected)
        assert text.startswith(got.text)
        assert not text[len(got.text) :].strip("�")  # only an incomplete character is left out
        assert got.usage.prompt_tokens == len(prompt)
        assert got.usage.positions == len(prompt) + len(expected) - 1
        assert got.usage.flops == 2 * backend.num_parameters * got.usage.positions


def ids_of(generations: Sequence[Generation]) -> list[tuple[int, ...]]:
    return [generation.token_ids for generation in generations]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_row_does_not_depend_on_its_batch(backend: HfBackend, temperature: float) -> None:
    dice = random.Random(3)
    rows = [
        row(
            backend.spec,
            dice.choice(PROMPTS) * dice.randint(1, 3),
            seed=i,
            temperature=temperature,
            top_p=dice.choice([1.0, 0.8]),
            max_tokens=dice.randint(1, 30),
        )
        for i in range(24)
    ]
    alone = [generate(backend, [one])[0] for one in rows]
    together = generate(backend, rows)
    assert ids_of(together) == ids_of(alone)
    for got, expected in zip(together, alone, strict=True):
        assert got.logprobs == pytest.approx(expected.logprobs, abs=1e-4)
    order = dice.sample(range(24), 24)
    small = HfBackend.__new__(HfBackend)
    small.__dict__.update(backend.__dict__, max_rows=5, max_batch_tokens=700)
    shuffled = generate(small, [rows[i] for i in order])
    assert [shuffled[order.index(i)].token_ids for i in range(24)] == ids_of(alone)


def test_samples_of_one_prompt_read_it_once(backend: HfBackend) -> None:
    prompt = "This long question begins alike for all of them, word for word: " * 2
    rows = [
        row(backend.spec, prompt + end, seed=i, temperature=1.0, max_tokens=10)
        for end in ("", "Why?", "")
        for i in range(5)
    ]
    alone = [generate(backend, [one])[0] for one in rows]
    together = generate(backend, rows)
    assert ids_of(together) == ids_of(alone)
    for got, expected in zip(together, alone, strict=True):
        assert got.logprobs == pytest.approx(expected.logprobs, abs=1e-4)
    length = len(backend.rendered(backend.spec, prompt, ""))
    assert length > 64
    read = sum(got.usage.positions - len(got.token_ids) + 1 for got in together)
    assert read < 1.6 * length  # 15 prompts are read apart by 15 times as much
    assert all(got.usage.prompt_tokens >= length for got in together)
    small = HfBackend.__new__(HfBackend)
    small.__dict__.update(backend.__dict__, max_rows=3, max_batch_tokens=700)
    assert ids_of(generate(small, rows)) == ids_of(alone)


def test_short_beginnings_are_not_shared(backend: HfBackend) -> None:
    start = "The same forty tokens or so at the start. "
    rows = [row(backend.spec, start + str(i) * 200, max_tokens=3) for i in range(4)]
    for got in generate(backend, rows):
        assert got.usage.positions == got.usage.prompt_tokens + len(got.token_ids) - 1


def test_sampling_depends_on_the_seed(backend: HfBackend) -> None:
    rows = [row(backend.spec, "x", seed=seed, temperature=1.0) for seed in (1, 2, 1)]
    first, second, third = ids_of(generate(backend, rows))
    assert first == third != second


def test_stop_strings_cut_the_text_but_not_the_tokens(backend: HfBackend) -> None:
    full = generate(backend, [row(backend.spec, "The answer", max_tokens=30)])[0]
    stop = full.text[6:9]
    got = generate(backend, [row(backend.spec, "The answer", max_tokens=30, stop=(stop,))])[0]
    assert got.stop == "stop"
    assert got.text == full.text[: full.text.index(stop)]
    assert full.token_ids[: len(got.token_ids)] == got.token_ids
    assert len(got.logprobs) == len(got.token_ids) < len(full.token_ids)


def test_prefix_is_continued_and_not_repeated(backend: HfBackend, plain: Any) -> None:
    got = generate(backend, [row(backend.spec, "The answer", prefix="is 4")])[0]
    prompt = backend.rendered(backend.spec, "The answer", "is 4")
    stops = backend.renderer(backend.spec).stop_ids
    assert list(got.token_ids) == greedy_ids(plain, prompt, 20, sorted(stops))


def test_top_logprobs_and_listener(backend: HfBackend) -> None:
    heard: dict[int, str] = {}

    def listen(sent: Row, text: str) -> None:
        heard[id(sent)] = heard.get(id(sent), "") + text

    rows = [
        row(backend.spec, prompt, seed=i, top_logprobs=3 * i)
        for i, prompt in enumerate(PROMPTS[:2])
    ]
    feed = ListFeed(rows, listen)
    backend.run(feed)
    plain_row, with_top = feed.in_order()
    assert plain_row.top == ()
    assert len(with_top.top) == len(with_top.token_ids)
    assert all(len(pairs) == 3 for pairs in with_top.top)
    assert [pairs[0][1] for pairs in with_top.top] == pytest.approx(with_top.logprobs, abs=1e-5)
    assert [heard[id(sent)] for sent in rows] == [g.text for g in feed.in_order()]


def test_rows_that_cannot_run_fail_alone(backend: HfBackend) -> None:
    class Feed(ListFeed):
        def cancelled(self, sent: Row) -> bool:
            return sent is rows[1]

    rows = [
        row(backend.spec, "x " * 600),
        row(backend.spec, "x"),
        row(backend.spec, "y"),
        row(backend.spec, "x", max_tokens=0),
        row(dataclasses.replace(backend.spec, adapter=Path("no/such/adapter")), "x"),
    ]
    feed = Feed(rows)
    backend.run(feed)
    assert isinstance(feed.errors[id(rows[0])], PromptTooLongError)
    assert isinstance(feed.errors[id(rows[1])], Cancelled)
    assert isinstance(feed.errors[id(rows[3])], InputError)
    assert isinstance(feed.errors[id(rows[4])], ModelFormatError)
    assert feed.results[id(rows[2])].token_ids


def test_rows_join_while_others_run(backend: HfBackend) -> None:
    class Late(ListFeed):
        steps = 0

        def take(self, room: int) -> list[Row]:
            self.steps += 1
            return super().take(room) if self.steps in (1, 6, 9) else []

    rows = [row(backend.spec, prompt, max_tokens=25) for prompt in PROMPTS]
    feed = Late(rows[:2])
    feed.rows = rows[:2]
    original = feed.take

    def take(room: int) -> list[Row]:
        taken = original(room)
        if feed.steps == 4:
            feed.rows = rows
        return taken

    feed.take = take  # type: ignore[method-assign]
    backend.run(feed)
    assert ids_of([feed.results[id(sent)] for sent in rows]) == ids_of(generate(backend, rows))


def test_numbers_that_are_not_finite_fail_the_row(folder: Path) -> None:
    broken = HfBackend(spec_of(folder))
    with torch.no_grad():
        broken.model.model.norm.weight.fill_(torch.inf)
    feed = ListFeed([row(broken.spec, "x")])
    broken.run(feed)
    assert "not finite" in str(next(iter(feed.errors.values())))


@pytest.mark.parametrize("prefix", ["", "The ans"])
def test_likelihood_equals_a_plain_loop(backend: HfBackend, plain: Any, prefix: str) -> None:
    options = [" A", " B", "wer is the end", " 1 2 3", "😀"]
    pairs = [
        Pair(prompt, option, backend.spec, prefix)
        for prompt in (*PROMPTS, (Message("system", "so"), Message("user", "x")))
        for option in options
    ]
    random.Random(0).shuffle(pairs)
    renderer = backend.renderer(backend.spec)
    for pair, got in zip(pairs, backend.loglikelihood(pairs), strict=True):
        before, judged = renderer.continuation(prefix, pair.text)
        context = (*renderer.ids(pair.prompt), *before)
        expected = logprobs_after(plain, context, judged)
        assert got.logprobs == pytest.approx(expected, abs=1e-4)
        assert got.greedy == (list(judged) == greedy_ids(plain, context, len(judged), []))
        assert got.usage.positions > 0 or len(judged) == 1 or prefix


def test_likelihood_reads_a_shared_prompt_once(backend: HfBackend) -> None:
    prompt = "so on: " * 20
    length = len(backend.rendered(backend.spec, prompt, ""))
    pairs = [Pair(prompt, option, backend.spec) for option in "ABCD"]
    found = backend.loglikelihood(pairs)
    assert sum(one.usage.positions for one in found) == length
    own = generate(backend, [row(backend.spec, prompt)])[0]
    text = backend.renderer(backend.spec).decode(own.token_ids[:4])
    (judged,) = backend.loglikelihood([Pair(prompt, text, backend.spec)])
    assert judged.greedy == (own.token_ids[:4] == backend.renderer(backend.spec).encode(text))


def test_long_continuations_are_judged_in_rounds(
    backend: HfBackend, plain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moco.backends.hf_score.KEPT_POSITIONS", 8)
    pairs = [Pair("x", text, backend.spec) for text in ("1 2 3 " * 9, "so on", "A", "éé" * 8)]
    renderer = backend.renderer(backend.spec)
    for pair, got in zip(pairs, backend.loglikelihood(pairs), strict=True):
        expected = logprobs_after(plain, renderer.ids("x"), renderer.encode(pair.text))
        assert got.logprobs == pytest.approx(expected, abs=1e-4)


def test_empty_continuation_is_certain(backend: HfBackend) -> None:
    (got,) = backend.loglikelihood([Pair("x", "", backend.spec)])
    assert (got.logprobs, got.greedy, got.total) == ((), True, 0.0)


def test_adapters_and_their_compositions_share_a_batch(folder: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    base = spec_of(folder)
    adapters = [tiny_adapter(folder, tmp_path / str(seed), seed) for seed in (1, 2)]
    members = [spec_of(folder, adapter=path, fingerprint=str(path)) for path in adapters]
    mixed = ModelSpec(
        "mix",
        "mix",
        fingerprint="mix",
        parents=tuple(members),
        weights=(0.7, 0.5),
        derive="compose",
    )
    backend = HfBackend(base)
    specs = [base, members[0], mixed, members[1], base]
    assert {spec.base_key for spec in specs} == {base.base_key}
    rows = [row(spec, prompt, max_tokens=15) for prompt in PROMPTS for spec in specs]
    together = ids_of(generate(backend, rows))
    merged = merged_models(folder, adapters)
    stops = sorted(backend.renderer(base).stop_ids)
    judge = Pair("x", " 1 2", mixed)
    for sent, got in zip(rows, together, strict=True):
        prompt = backend.rendered(sent.spec, sent.request.prompt, "")
        assert list(got) == greedy_ids(merged[sent.spec.fingerprint], prompt, 15, stops)
    renderer = backend.renderer(mixed)
    expected = logprobs_after(merged["mix"], renderer.ids("x"), renderer.encode(" 1 2"))
    assert backend.loglikelihood([judge])[0].logprobs == pytest.approx(expected, abs=1e-4)
    assert issubclass(PeftModel, torch.nn.Module)


def merged_models(folder: Path, adapters: Sequence[Path]) -> dict[str, Any]:
    from peft import PeftModel

    found = {str(folder): AutoModelForCausalLM.from_pretrained(folder)}
    states = []
    for path in adapters:
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), path)
        found[str(path)] = model.merge_and_unload()
        states.append(found[str(path)].state_dict())
    mix = AutoModelForCausalLM.from_pretrained(folder)
    base = {name: tensor.clone() for name, tensor in mix.state_dict().items()}
    mix.load_state_dict(
        {
            name: tensor + 0.7 * (states[0][name] - tensor) + 0.5 * (states[1][name] - tensor)
            for name, tensor in base.items()
        }
    )
    return {**found, "mix": mix}


def test_linear_merge_is_loaded_from_its_parents(folder: Path, tmp_path: Path) -> None:
    parents = (spec_of(folder), spec_of(tiny_folder(tmp_path, seed=5)))
    spec = ModelSpec(
        "soup",
        "soup",
        dtype="float32",
        fingerprint="soup",
        parents=parents,
        weights=(0.25, 0.75),
        derive="linear",
    )
    merged = HfBackend(spec)
    states = [AutoModelForCausalLM.from_pretrained(p.path).state_dict() for p in parents]
    for name, tensor in merged.model.state_dict().items():
        assert torch.allclose(tensor, 0.25 * states[0][name] + 0.75 * states[1][name], atol=1e-6)
    assert generate(merged, [row(spec, "x")])[0].token_ids


def test_hidden_states_and_causal_embeddings(backend: HfBackend, plain: Any) -> None:
    renderer = backend.renderer(backend.spec)
    states = []
    for text in PROMPTS:
        with torch.inference_mode():
            ids = torch.tensor([renderer.framed(text)])
            states.append(plain.model(ids).last_hidden_state[0].numpy())
    for at, expected in (("last", [s[-1] for s in states]), ("mean", [s.mean(0) for s in states])):
        found = backend.hidden(backend.spec, PROMPTS, at)  # type: ignore[arg-type]
        np.testing.assert_allclose([v.values for v in found], expected, atol=1e-4)
    for vector, state in zip(backend.embed(backend.spec, PROMPTS), states, strict=True):
        mean = state.mean(0)
        np.testing.assert_allclose(vector.values, mean / np.linalg.norm(mean), atol=1e-4)


@pytest.mark.parametrize(
    "files",
    [
        {"sentence_embedding.json": '{"pooling": "mean", "normalize": true}'},
        {
            "modules.json": '[{"type": "sentence_transformers.models.Normalize"}]',
            "1_Pooling/config.json": '{"pooling_mode_cls_token": true}',
            "sentence_bert_config.json": '{"max_seq_length": 16}',
        },
    ],
)
def test_sentence_encoder_equals_a_plain_loop(tmp_path: Path, files: dict[str, str]) -> None:
    from transformers import BertConfig, BertModel

    folder = tiny_folder(tmp_path)
    torch.manual_seed(0)
    model = BertModel(
        BertConfig(
            vocab_size=320,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
        )
    ).eval()
    model.save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    spec = spec_of(folder)
    encoder, limit = HfBackend(spec), 16 if "modules.json" in files else 512
    for text, vector in zip(PROMPTS, encoder.embed(spec, PROMPTS), strict=True):
        ids = encoder.renderer(spec).framed(text)[:limit]
        with torch.inference_mode():
            states = model(torch.tensor([ids])).last_hidden_state[0].numpy()
        expected = states.mean(0) if limit == 512 else states[0]
        np.testing.assert_allclose(vector.values, expected / np.linalg.norm(expected), atol=1e-5)
        assert vector.usage.prompt_tokens == len(ids)
    with pytest.raises(ModelFormatError, match="no causal"):
        encoder.session()


def test_reward_equals_a_plain_loop(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForSequenceClassification

    folder = tiny_folder(tmp_path)
    torch.manual_seed(0)
    model = LlamaForSequenceClassification(
        LlamaConfig(
            vocab_size=320,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_labels=1,
            pad_token_id=0,
        )
    ).eval()
    model.save_pretrained(folder)
    spec = spec_of(folder)
    judge = HfBackend(spec)
    pairs = [Pair(prompt, answer, spec) for prompt in PROMPTS for answer in ("4", "so on: 1 2 3")]
    for pair, (value, usage) in zip(pairs, judge.reward(pairs), strict=True):
        ids = judge.renderer(spec).exchange(pair.prompt, pair.text)
        with torch.inference_mode():
            assert value == pytest.approx(model(torch.tensor([ids])).logits.item(), abs=1e-5)
        assert usage.positions == len(ids)


def test_folders_that_cannot_be_used(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match=r"config\.json"):
        HfBackend(spec_of(tmp_path))
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(ModelFormatError, match="safetensors"):
        HfBackend(spec_of(tmp_path))
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 4] = torch.nan
    model.save_pretrained(tmp_path)
    with pytest.raises(ModelFormatError, match="up_proj"):
        HfBackend(spec_of(tmp_path))
    with pytest.raises(ModelFormatError, match="dtype"):
        HfBackend(dataclasses.replace(spec_of(folder), dtype="int3"))


def test_lower_precision_runs(folder: Path) -> None:
    spec = spec_of(folder, dtype="bfloat16")
    got = generate(HfBackend(spec), [row(spec, prompt) for prompt in PROMPTS])
    assert all(g.token_ids for g in got)
