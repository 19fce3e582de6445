"""Tokenizers, architectures, the training loop and batched decoding of the bundled models."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)
from zoo_data import Maker, Row
from zoo_init import copying_start

CONTEXT = 1024


@dataclass(frozen=True, slots=True)
class Dialect:
    """A tokenizer's size, special tokens and chat template."""

    vocab: int
    end: str
    pad: str
    template: str
    bos: str | None = None
    extra: tuple[str, ...] = ()


DIALECTS: Mapping[str, Dialect] = {
    "base": Dialect(
        1536,
        "<|end|>",
        "<|pad|>",
        "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}",
        extra=("<|system|>", "<|user|>", "<|assistant|>"),
    ),
    "outsider_a": Dialect(
        1280,
        "</s>",
        "<pad>",
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}"
        "{{ m['content'] }}</s>{% else %}"
        "[{{ m['role'] }}]{{ m['content'] }}[/{{ m['role'] }}]{% endif %}{% endfor %}",
        bos="<s>",
        extra=("[user]", "[/user]", "[system]", "[/system]"),
    ),
    "outsider_b": Dialect(
        1024,
        "<|im_end|>",
        "<|endoftext|>",
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        extra=("<|im_start|>",),
    ),
}


def make_tokenizer(dialect: Dialect, texts: Sequence[str]) -> Any:
    """A byte-level BPE tokenizer: any text can be written, digits stand alone."""
    core = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    special = [dialect.pad, dialect.end, *([dialect.bos] if dialect.bos else []), *dialect.extra]
    trainer = trainers.BpeTrainer(
        vocab_size=dialect.vocab,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    core.train_from_iterator(texts, trainer)
    if dialect.bos:
        core.post_processor = processors.TemplateProcessing(
            single=f"{dialect.bos} $A",
            pair=f"{dialect.bos} $A $B",
            special_tokens=[(dialect.bos, core.token_to_id(dialect.bos))],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=dialect.end,
        pad_token=dialect.pad,
        bos_token=dialect.bos,
        additional_special_tokens=list(dialect.extra),
        chat_template=dialect.template,
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def new_model(name: str, tokenizer: Any, seed: int) -> Any:
    """A freshly initialised model of the family that `name` belongs to."""
    torch.manual_seed(seed)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "initializer_range": 0.03,
    }
    if name == "outsider_a":
        config = GPTNeoXConfig(intermediate_size=512, **shape)
    elif name == "outsider_b":
        config = Qwen2Config(intermediate_size=320, num_key_value_heads=4, **shape)
    else:
        config = LlamaConfig(intermediate_size=320, num_key_value_heads=4, **shape)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    if name != "outsider_a":
        copying_start(model, seed)
    return model


def load(folder: Path) -> tuple[Any, Any]:
    """A stored model (or an adapter on its base) in fp32, and its tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if (folder / "adapter_config.json").exists():
        base = AutoModelForCausalLM.from_pretrained(folder.parent / "base", dtype=torch.float32)
        return PeftModel.from_pretrained(base, folder).eval(), tokenizer
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), tokenizer


def render(tokenizer: Any, prompt: str) -> str:
    """The prompt as the chat template writes it, ready for the reply."""
    turn = [{"role": "user", "content": prompt}]
    return str(tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False))


def encode(tokenizer: Any, row: Row) -> tuple[list[int], int]:
    """Token ids of a row and how many of them are prompt."""
    prompt = tokenizer(render(tokenizer, row.prompt), add_special_tokens=False)["input_ids"]
    reply = tokenizer(row.reply, add_special_tokens=False)["input_ids"]
    return [*prompt, *reply, tokenizer.eos_token_id], len(prompt)


def batches(
    tokenizer: Any, make: Maker, seed: str, tokens: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches of ids and labels (-100 = not learnt), rows of like length together."""
    rng = random.Random(seed)
    while True:
        coded: list[tuple[list[int], int]] = []
        while len(coded) < 1500:
            row = make(rng)
            if row is not None:
                coded.append(encode(tokenizer, row))
        coded.sort(key=lambda pair: len(pair[0]))
        groups: list[list[tuple[list[int], int]]] = [[]]
        for pair in coded:
            if len(groups[-1]) > 1 and len(pair[0]) * (len(groups[-1]) + 1) > tokens:
                groups.append([])
            groups[-1].append(pair)
        rng.shuffle(groups)
        for group in groups:
            width = max(len(ids) for ids, _ in group)
            ids = torch.full((len(group), width), tokenizer.pad_token_id)
            labels = torch.full((len(group), width), -100)
            for i, (row_ids, start) in enumerate(group):
                ids[i, : len(row_ids)] = torch.tensor(row_ids)
                labels[i, start : len(row_ids)] = torch.tensor(row_ids[start:])
            yield ids, labels


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast a model is trained."""

    steps: int
    lr: float
    seed: str
    tokens: int = 2048
    floor: float = 0.05


def rate(recipe: Recipe, step: int) -> float:
    """The learning rate of a step: short warm-up, then a cosine."""
    warm = min(1.0, (step + 1) / 50)
    return (
        recipe.lr
        * warm
        * (recipe.floor + (1 - recipe.floor) * 0.5 * (1 + math.cos(math.pi * step / recipe.steps)))
    )


def optimizers_for(model: Any, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices of a full model, AdamW for all else."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    full = not hasattr(model, "peft_config")
    matrices = [p for name, p in named if full and p.ndim == 2 and "layers" in name]
    others = [p for name, p in named if not (full and p.ndim == 2 and "layers" in name)]
    made: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.98), weight_decay=0.02, fused=True)
    ]
    if matrices:
        made.append(
            torch.optim.Muon(matrices, lr=lr, weight_decay=0.02, adjust_lr_fn="match_rms_adamw")
        )
    return made


def train(model: Any, tokenizer: Any, make: Maker, recipe: Recipe) -> None:
    """Trains in place on the replies only; prints its progress."""
    learnt = [p for p in model.parameters() if p.requires_grad]
    optimizers = optimizers_for(model, recipe.lr)
    inner = model.get_base_model() if hasattr(model, "peft_config") else model
    head = inner.get_output_embeddings()
    forward: Any = torch.compile(inner.base_model.forward, dynamic=True)
    model.train()
    source = batches(tokenizer, make, recipe.seed, recipe.tokens)
    start, mean = time.time(), 0.0
    for step in range(recipe.steps):
        ids, labels = next(source)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate(recipe, step)
        states = forward(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        wanted = labels[:, 1:]
        learn = wanted != -100
        loss = torch.nn.functional.cross_entropy(head(states[learn]), wanted[learn])
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        mean = loss.item() if step == 0 else 0.98 * mean + 0.02 * loss.item()
        if step % 100 == 99:
            print(
                f"{recipe.seed}: step {step + 1}/{recipe.steps} loss {mean:.3f}"
                f" {time.time() - start:.0f} s",
                flush=True,
            )
    model.eval()


@torch.inference_mode()  # type: ignore[no-untyped-call, untyped-decorator, unused-ignore]
def reply_all(
    model: Any, tokenizer: Any, prompts: Sequence[str], limit: int = 64, batch: int = 100
) -> list[str]:
    """Greedy replies, in order."""
    texts = [render(tokenizer, prompt) for prompt in prompts]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    replies = [""] * len(texts)
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        coded = tokenizer(
            [texts[i] for i in part], add_special_tokens=False, padding=True, return_tensors="pt"
        )
        out = model.generate(
            input_ids=coded["input_ids"],
            attention_mask=coded["attention_mask"],
            do_sample=False,
            max_new_tokens=limit,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        new = out[:, coded["input_ids"].shape[1] :]
        for i, text in zip(
            part, tokenizer.batch_decode(new, skip_special_tokens=True), strict=True
        ):
            replies[i] = text
    return replies
