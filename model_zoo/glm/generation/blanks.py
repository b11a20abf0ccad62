"""Blanks filled by a network, from the first to the last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING

from model_zoo.glm.generation.prompts import first_mask, mask_ids
from ppernie.decoding.beam import beam_search
from ppernie.decoding.generate import Reader, generate, stream

if TYPE_CHECKING:
    from ppernie.data.tokenizers import GlmTokenizer
    from ppernie.decoding.options import Decoding


def end_ids(tokenizer: GlmTokenizer) -> list[int]:
    """What ends a text that fills a blank."""
    return [tokenizer.eop_id, tokenizer.eos_id]


def written_by(options: Decoding, tokenizer: GlmTokenizer) -> Decoding:
    """The options with masks and the start of a text banned, which are no text: filling blanks would never end."""
    banned = [*options.banned_ids, *mask_ids(tokenizer), tokenizer.sop_id]
    return options.model_copy(update={"banned_ids": banned})


def fill_blanks(
    reader: Reader,
    contexts: Sequence[Sequence[int]],
    tokenizer: GlmTokenizer,
    options: Decoding,
    max_new_tokens: int,
    numbers: Sequence[int] | None = None,
) -> list[list[list[int]]]:
    """What fills the masks of each context; each is written with the text of those before it in their places.

    Args:
        contexts: ids as ``context_ids`` makes them.
        max_new_tokens: of one blank.
        numbers: of the contexts, as ``generate``'s of prompts.
    """
    contexts = [list(context) for context in contexts]
    numbers = range(len(contexts)) if numbers is None else numbers
    blanks: list[list[list[int]]] = [[] for _ in contexts]
    while open_ := [n for n, context in enumerate(contexts) if first_mask(context, tokenizer) is not None]:
        texts = generate(
            reader,
            [[*contexts[n], tokenizer.sop_id] for n in open_],
            written_by(options, tokenizer),
            end_id=end_ids(tokenizer),
            max_new_tokens=max_new_tokens,
            pad_id=tokenizer.pad_id,
            numbers=[numbers[n] for n in open_],
            part=len(blanks[open_[0]]),
        )
        for n, text in zip(open_, texts, strict=True):
            contexts[n] = filled(contexts[n], text, tokenizer)
            blanks[n].append(text)
    return blanks


def stream_blanks(
    reader: Reader, context: Sequence[int], tokenizer: GlmTokenizer, options: Decoding, max_new_tokens: int
) -> Iterator[tuple[int, int]]:
    """``fill_blanks`` of one context, token by token as they come, each with the number of its blank.

    A beam search hands its tokens out when it has ended.
    """
    options, ends, context = written_by(options, tokenizer), end_ids(tokenizer), list(context)
    for number in count():
        if first_mask(context, tokenizer) is None:
            return
        prompt = [*context, tokenizer.sop_id]
        tokens: Iterable[int]
        if options.strategy == "beam":
            tokens = beam_search(reader, prompt, options, end_id=ends, max_new_tokens=max_new_tokens)
        else:
            rows = stream(reader, [prompt], options, end_id=ends, max_new_tokens=max_new_tokens, part=number)
            tokens = (token for _, token in rows)
        text = []
        for token in tokens:
            text.append(token)
            yield number, token
        context = filled(context, text, tokenizer)


def filled(context: Sequence[int], text: Sequence[int], tokenizer: GlmTokenizer) -> list[int]:
    """The context with a text in the place of its first mask."""
    place = first_mask(context, tokenizer)
    assert place is not None
    return [*context[:place], *text, *context[place + 1 :]]
