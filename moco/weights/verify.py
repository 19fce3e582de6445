"""Whether a merged model is one: loaded afresh by transformers, it writes a token and reads a short
text about as well as its parents do. The one place of a merge that needs transformers.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moco.errors import MocoError, clip
from moco.silence import quiet_transformers

FAR = 100.0
"""How many times the worst parent's perplexity is a warning."""
TEXT = (
    "The library on the corner opens at nine in the morning. On Mondays a teacher brings her"
    " class, and every child may take two books home for a week. Last winter the heating failed,"
    " so people read in their coats and shared one small stove.\n"
    "If a train leaves at 8:40 and the journey takes 95 minutes, it arrives at 10:15. Seven boxes"
    " of twelve eggs hold 84 eggs.\n"
    "def area(width, height):\n    return width * height\n"
    "Water boils at one hundred degrees Celsius at sea level, and earlier on a high mountain.\n"
)
"""What perplexity is measured on: prose, numbers and a little code."""
LONGEST = 512
"""Tokens of it that are read at most."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model to be read in."""

    name: str
    folder: Path
    adapter: Path | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found."""

    token: str
    """The first token that it wrote."""
    perplexity: float
    parents: dict[str, float]
    seconds: float
    warnings: tuple[str, ...] = field(default=())


class BrokenMergeError(MocoError):
    """A result that is no usable model."""


class UncheckedMergeError(MocoError):
    """A result that this machine cannot load whole."""


def verify(result: Candidate, parents: Sequence[Candidate], device: str = "cpu") -> Verification:
    """Loads the result, then its parents one after the other.

    Raises `BrokenMergeError` where the result does not load, lacks tensors, does not run, or
    computes numbers that are not finite, and `UncheckedMergeError` where there is no room for it or
    a package is missing. A perplexity far above every parent's, or a parent that cannot be read,
    is a warning.
    """
    start = time.perf_counter()
    token, perplexity = _read(result, device)
    found, warnings = {}, []
    for parent in parents:
        try:
            found[parent.name] = _read(parent, device)[1]
        except (BrokenMergeError, UncheckedMergeError) as error:
            found[parent.name] = math.nan
            warnings.append(f"its parent {parent.name} {error}")
    if not math.isfinite(perplexity):
        broken = [name for name, value in found.items() if not math.isfinite(value)]
        told = f"; so does its parent {', '.join(broken)}" if broken else ""
        raise BrokenMergeError(f"computes numbers that are not finite{told}")
    worst = max((value for value in found.values() if math.isfinite(value)), default=perplexity)
    if perplexity > FAR * worst:
        warnings.append(
            f"its perplexity on a short text is {perplexity:,.0f}, that of its worst parent"
            f" {worst:,.1f}: it is probably broken"
        )
    return Verification(token, perplexity, found, time.perf_counter() - start, tuple(warnings))


def _read(own: Candidate, device: str) -> tuple[str, float]:
    """(the first token that a model writes, its perplexity on the text; NaN for a model whose
    numbers are not finite).
    """
    with _faults(), quiet_transformers():
        model, tokenizer = _loaded(own)
        model = model.to(device).eval()
        longest = min(LONGEST, getattr(model.config, "max_position_embeddings", LONGEST))
        ids = tokenizer(TEXT, return_tensors="pt")["input_ids"][:, :longest].to(device)
        with torch.inference_mode():
            logits = model(ids).logits[0, :-1].float()
            perplexity = _perplexity(logits, ids[0, 1:])
            written = model.generate(
                ids[:, :16], attention_mask=torch.ones_like(ids[:, :16]), max_new_tokens=1,
                do_sample=False, pad_token_id=0,
            ) if math.isfinite(perplexity) else ids  # fmt: skip
        token = str(tokenizer.decode(written[0, -1:]))
    del model
    gc.collect()
    return token, perplexity


@contextmanager
def _faults() -> Iterator[None]:
    """Says of every failure whether the model is to blame or the machine."""
    try:
        yield
    except BrokenMergeError:
        raise
    except Exception as error:
        what = clip(f"{type(error).__name__}: {error}", 400)
        if isinstance(error, ImportError | MemoryError | torch.OutOfMemoryError) or (
            "allocate memory" in what
        ):
            raise UncheckedMergeError(f"could not be checked here: {what}") from error
        raise BrokenMergeError(f"does not run in transformers: {what}") from error


def _perplexity(logits_TV: Tensor, ids_T: Tensor) -> float:
    if not bool(torch.isfinite(logits_TV).all()):
        return math.nan
    losses_T = torch.nn.functional.cross_entropy(logits_TV, ids_T, reduction="none")
    return math.exp(min(float(losses_T.double().mean()), 700.0))


def _loaded(own: Candidate) -> tuple[Any, Any]:
    """The model and its tokenizer, in the type that its weights are stored in."""
    import transformers

    common = {"local_files_only": True, "trust_remote_code": False}
    model, told = transformers.AutoModelForCausalLM.from_pretrained(
        own.folder, dtype="auto", use_safetensors=True, output_loading_info=True, **common
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(own.folder, **common)
    if own.adapter is not None:
        import peft

        model = peft.PeftModel.from_pretrained(model, own.adapter)
    lacking = sorted(map(str, (*told["missing_keys"], *told["mismatched_keys"])))
    if lacking:
        raise BrokenMergeError(
            f"lacks {len(lacking)} tensors that transformers expects, such as {clip(lacking[0])}"
        )
    return model, tokenizer
