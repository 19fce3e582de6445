"""Tiny random-weight models and tokenizers, built in a moment, for tests of real forward passes."""

from __future__ import annotations

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
        vocab_size=vocab_size - len(THINK), special_tokens=SPECIALS, show_progress=False,
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
