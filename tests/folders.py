"""Model folders of tiny random models, as a user would have them on disk."""

from __future__ import annotations

import json
from pathlib import Path

import tiny

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_model(folder: Path, kind: str = "llama", seed: int = 0, vocab_size: int = 320) -> Path:
    """Write a tiny chat model: weights (float32), tokenizer, template, generation config."""
    model = tiny.tiny_model(kind, vocab_size, seed)
    model.save_pretrained(folder)
    tokenizer = tiny.byte_tokenizer(vocab_size)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>",
        "pad_token": "<|end|>", "model_max_length": 512, "chat_template": TEMPLATE,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    ends = {"eos_token_id": [tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|end|>")]}
    (folder / "generation_config.json").write_text(json.dumps(ends))
    return folder


def save_adapter(folder: Path, base: Path, seed: int = 0, rank: int = 4) -> Path:
    """Write a random LoRA adapter on a tiny llama in PEFT's format."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM",
        init_lora_weights=False,
    )  # fmt: skip
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    model.save_pretrained(folder)
    return folder
