"""Reading by steps against reading everything at once, and rows against each row alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
import pytest

from model_zoo.glm.generation.prompts import lay_out
from model_zoo.glm.generation.reader import GlmReader
from ppernie.data.tokenizers import GlmTokenizer
from ppernie.decoding.generate import generate
from ppernie.decoding.options import Decoding
from ppernie.errors import UserError

NEW = 9


def prompts(tokenizer: GlmTokenizer) -> list[list[int]]:
    cat, tree = tokenizer.encode_plain("the cat sat"), tokenizer.encode_plain("birds sing in the old trees")
    gmask, mask, sop, end = tokenizer.gmask_id, tokenizer.mask_id, tokenizer.sop_id, tokenizer.eos_id
    return [[*cat, gmask, sop], [*tree, mask, sop], [gmask, sop], [*cat, mask, *tree, end, sop]]


def uncached(network: Any, tokenizer: GlmTokenizer, prompt: list[int]) -> list[int]:
    """Greedy tokens, each from a forward pass over all before it."""
    ids = list(prompt)
    while len(ids) < len(prompt) + NEW:
        array = np.asarray([ids])
        layout = lay_out(array, tokenizer, network.config.position_rows)
        logits = network(*(paddle.to_tensor(x) for x in (array, layout.position_ids, layout.visible)))
        token = int(logits[0, -1, : tokenizer.vocab_size].argmax())
        if token in (tokenizer.eop_id, tokenizer.eos_id):
            break
        ids.append(token)
    return ids[len(prompt) :]


def written(network: Any, tokenizer: GlmTokenizer, rows: list[list[int]], **options: Any) -> list[list[int]]:
    return generate(
        GlmReader(network, tokenizer),
        rows,
        Decoding(**options),
        end_id=[tokenizer.eop_id, tokenizer.eos_id],
        max_new_tokens=NEW,
        pad_id=tokenizer.pad_id,
    )


def test_a_batch_with_a_cache_writes_what_each_prompt_gets_without(network: Any, icetk: GlmTokenizer) -> None:
    with paddle.no_grad():
        expected = [uncached(network, icetk, prompt) for prompt in prompts(icetk)]
    assert len({tuple(text) for text in expected}) > 2
    assert written(network, icetk, prompts(icetk)) == expected


@pytest.mark.parametrize("strategy", ["beam", "sample"])
def test_rows_do_not_hang_on_each_other(network: Any, icetk: GlmTokenizer, strategy: str) -> None:
    rows = prompts(icetk)
    together = written(network, icetk, rows, strategy=strategy, beam_rule="gnmt", top_k=20)
    # The first row alone is drawn as it is among others; the seed goes with the row.
    alone = [written(network, icetk, [row], strategy=strategy, beam_rule="gnmt", top_k=20)[0] for row in rows]
    assert together[0] == alone[0]
    assert strategy == "sample" or together == alone


def test_rows_of_the_word_table_behind_the_vocabulary_never_come(network: Any, icetk: GlmTokenizer) -> None:
    logits, _ = GlmReader(network, icetk).step(paddle.to_tensor(prompts(icetk)[:1]), None)
    assert logits.shape == [1, icetk.vocab_size] and network.config.vocab_size > icetk.vocab_size


def test_ids_outside_the_vocabulary_are_refused(network: Any, icetk: GlmTokenizer) -> None:
    reader, size = GlmReader(network, icetk), network.config.vocab_size
    prompt = [icetk.gmask_id, icetk.sop_id]
    for wrong in (-1, size):
        with pytest.raises(UserError, match=f"id {wrong} lies outside 0..{size - 1}"):
            reader.step(paddle.to_tensor([[wrong, *prompt]]), None)
    _, stand = reader.step(paddle.to_tensor([prompt]), None)
    with pytest.raises(UserError, match="lies outside"):
        reader.step(paddle.to_tensor([[size]]), stand)


def test_the_window_is_a_limit(network: Any, icetk: GlmTokenizer) -> None:
    reader, window = GlmReader(network, icetk), network.config.max_position_embeddings
    prompt = [*icetk.encode_plain("the")[:1] * (window - 2), icetk.gmask_id, icetk.sop_id]
    _, stand = reader.step(paddle.to_tensor([prompt]), None)
    with pytest.raises(UserError, match=f"{window + 1} tokens do not fit into the window of {window}"):
        reader.step(paddle.to_tensor([[5]]), stand)
    with pytest.raises(UserError, match="shorten the prompt"):
        reader.step(paddle.to_tensor([[5, *prompt]]), None)
