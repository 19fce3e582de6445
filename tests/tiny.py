"""Tiny random-weight models and tokenizers, built in a moment, for tests of real forward passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

WORDS = "The answer is the end of a question, and so on: 1 2 3 4 5 6 7 8 9 10 11 12. "
SPECIALS = ["<|end|>", "<|im_start|>", "<|im_end|>"]
THINK = ["<think>", "</think>"]


def byte_tokenizer(vocab_size: int = 320, bos: bool = False) -> Tokenizer:
    """A byte-level BPE tokenizer with ChatML control tokens and a few merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(THINK),
        special_tokens=SPECIALS,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([WORDS * 4], trainer)
    tokenizer.add_tokens([AddedToken(word, special=False, normalized=False) for word in THINK])
    if bos:
        start = ("<|im_start|>", tokenizer.token_to_id("<|im_start|>"))
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|im_start|> $A", special_tokens=[start]
        )
    return tokenizer


def tiny_model(kind: str, vocab_size: int = 320, seed: int = 0) -> Any:
    """A random causal model in fp32 with two layers (Gemma: four, three of them sliding)."""
    import torch
    import transformers as tf

    common = {
        "vocab_size": vocab_size,
        "max_position_embeddings": 512,
        "bos_token_id": 1,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    wide = {
        **common,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": 0.3,
    }
    configs = {
        "llama": lambda: tf.LlamaConfig(**wide, num_key_value_heads=2, tie_word_embeddings=True),
        "qwen2": lambda: tf.Qwen2Config(**wide, num_key_value_heads=1),
        "gpt2": lambda: tf.GPT2Config(
            **common, n_embd=32, n_layer=2, n_head=4, n_positions=512, initializer_range=0.3
        ),
        "gpt_neox": lambda: tf.GPTNeoXConfig(**wide),
        "gemma2": lambda: tf.Gemma2Config(
            **wide, num_key_value_heads=2, head_dim=8, sliding_window=6, query_pre_attn_scalar=8
        ),
        "gpt_oss": lambda: tf.GptOssConfig(
            **wide,
            num_key_value_heads=2,
            head_dim=8,
            sliding_window=6,
            num_local_experts=2,
            num_experts_per_tok=1,
        ),
        "gemma3": lambda: tf.Gemma3TextConfig(
            **{**wide, "num_hidden_layers": 4},
            num_key_value_heads=2,
            head_dim=8,
            sliding_window=6,
            query_pre_attn_scalar=8,
            layer_types=[
                "sliding_attention",
                "sliding_attention",
                "full_attention",
                "sliding_attention",
            ],
        ),
    }
    torch.manual_seed(seed)
    return tf.AutoModelForCausalLM.from_config(configs[kind](), attn_implementation="eager").eval()


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_folder(folder: Path, kind: str = "llama", seed: int = 0) -> Path:
    """A model folder with a tiny causal model, a byte-level tokenizer and a chat template."""
    tiny_model(kind, seed=seed).save_pretrained(folder)
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    settings = {
        "eos_token": "<|end|>",
        "chat_template": CHATML,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def tiny_adapter(base: Path, folder: Path, seed: int) -> Path:
    """A random rank-2 LoRA adapter of a base, as PEFT saves it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(seed)
    config = LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "down_proj"])
    adapted = get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    adapted.save_pretrained(folder)
    return folder
