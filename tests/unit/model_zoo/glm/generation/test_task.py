"""What is learnt of a text and its target, and what is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import pytest

from model_zoo.glm.generation.blanks import fill_blanks, stream_blanks
from model_zoo.glm.generation.reader import GlmReader
from ppernie.data.tokenizers import GlmTokenizer
from ppernie.decoding import generate
from ppernie.decoding.options import Decoding
from ppernie.errors import UserError


def answer(task: Any, network: Any, *texts: str) -> list[dict[str, Any]]:
    items = [item for text in texts for item in task.expand({"text": text}, False)]
    batch = task.collate([task.encode(item, (0, 0, 0)) for item in items])
    results = task.reduce(task.run(network, batch), batch)
    return [task.answer([item], [result]) for item, result in zip(items, results, strict=True)]


def test_the_loss_is_on_the_target_and_its_end(
    network: Any, icetk: GlmTokenizer, make_task: Callable[..., Any]
) -> None:
    task = make_task(network, max_target_length=6, mask="mask")
    rows = [{"text": "the cat", "target": "sat on"}, {"text": "birds [gMASK] in the old trees", "target": "sing"}]
    items = [item for row in rows for item in task.expand(row, True)]
    batch = task.collate([task.encode(item, (0, 0, 0)) for item in items])
    ids, labels = batch["input_ids"], iter(batch["labels"].tolist())
    places = batch["predicted_positions"].tolist()
    for number, row in enumerate(rows):
        target = [*icetk.encode_plain(row["target"])[:5], icetk.eop_id]
        start = ids[number].tolist().index(icetk.sop_id)
        own = [place - number * ids.shape[1] for place in places if place // ids.shape[1] == number]
        assert own == list(range(start, start + len(target)))
        assert [next(labels) for _ in own] == target == ids[number, start + 1 : start + 1 + len(target)].tolist()
    assert ids[0].tolist().count(icetk.mask_id) == 1 and ids[1].tolist().count(icetk.gmask_id) == 1
    # A row's padding and neighbours change nothing: the loss is that of the rows alone.
    names = task.input_names
    whole = task.loss(network(**{n: paddle.to_tensor(batch[n]) for n in names}), _tensors(batch))
    single = 0.0
    for item in items:
        one = task.collate([task.encode(item, (0, 0, 0))])
        single += float(task.loss(network(**{n: paddle.to_tensor(one[n]) for n in names}), _tensors(one)))
    assert float(whole) == pytest.approx(single, rel=1e-5)


def _tensors(batch: dict[str, np.ndarray]) -> dict[str, paddle.Tensor]:
    return {name: paddle.to_tensor(array) for name, array in batch.items()}


def test_masks_are_filled_from_left_to_right(network: Any, icetk: GlmTokenizer, make_task: Callable[..., Any]) -> None:
    task = make_task(network, max_target_length=4)
    texts = ("the [MASK] sat on [sMASK] mat", "a dog", "[MASK] ran")
    both, plain, one = answer(task, network, *texts)
    assert len(both["blanks"]) == 2 and len(one["blanks"]) == 1 and "blanks" not in plain
    assert both["text"] == f"the {both['blanks'][0]} sat on {both['blanks'][1]} mat"
    assert [both, plain, one] == [answer(task, network, text)[0] for text in texts]
    # The second blank is written with the first one's text in its place.
    ids = icetk.encode_prompt(texts[0])
    context = [*ids, icetk.eos_id]
    (blanks,) = fill_blanks(GlmReader(network, icetk), [context], icetk, Decoding(), 4)
    place = context.index(icetk.mask_id)
    again = [*context[:place], *blanks[0], *context[place + 1 :]]
    assert fill_blanks(GlmReader(network, icetk), [again], icetk, Decoding(), 4) == [[blanks[1]]]


def test_each_sampled_blank_has_random_numbers_of_its_own(
    network: Any, icetk: GlmTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts = [[icetk.mask_id, 9], [icetk.mask_id, 9, icetk.mask_id], [9, icetk.mask_id, icetk.mask_id]]
    options, reader = Decoding(strategy="sample", seed=4), GlmReader(network, icetk)
    drawn = []

    def next_token(scores: np.ndarray, options: Decoding, rng: np.random.Generator) -> int:
        drawn.append(rng.bit_generator.state["state"]["state"])
        return chosen(scores, options, rng)

    chosen = generate.next_token
    monkeypatch.setattr(generate, "next_token", next_token)
    together = fill_blanks(reader, contexts, icetk, options, 5)
    # No two tokens are drawn with the same random numbers, be they of one text or of several.
    assert len(set(drawn)) == len(drawn) > 10
    for number, context in enumerate(contexts):
        assert fill_blanks(reader, [context], icetk, options, 5, [number]) == [together[number]]
    streamed: list[list[int]] = [[], []]
    for blank, token in stream_blanks(reader, contexts[1], icetk, options, 5):
        streamed[blank].append(token)
    assert [streamed] == fill_blanks(reader, [contexts[1]], icetk, options, 5)


def test_commands_are_never_written(make_network: Callable[..., Any], icetk: GlmTokenizer) -> None:
    """A network that likes nothing but masks: every blank is filled all the same."""
    network = make_network("glm-130b")
    table = network.embeddings.word_embeddings.weight
    rows = table.numpy()
    rows[[icetk.mask_id, icetk.gmask_id, icetk.sop_id]] *= 40
    table.set_value(rows)
    ((first, second),) = fill_blanks(
        GlmReader(network, icetk), [[icetk.mask_id, 9, icetk.mask_id]], icetk, Decoding(), 3
    )
    assert not {icetk.mask_id, icetk.gmask_id, icetk.smask_id, icetk.sop_id} & {*first, *second}


def test_an_empty_prompt_is_written_on_from(network: Any, make_task: Callable[..., Any]) -> None:
    assert set(answer(make_task(network, max_target_length=4), network, "")[0]) == {"text"}


def test_what_does_not_fit_is_refused_or_cut(network: Any, icetk: GlmTokenizer, make_task: Callable[..., Any]) -> None:
    task = make_task(network, max_length=24, max_target_length=8)
    long = "the cat sat on the mat " * 5
    for text in (long, "[MASK] the cat [MASK] sat [MASK]"):
        with pytest.raises(UserError, match="the window holds 24"):
            task.expand({"text": text}, False)
    (item,) = task.expand({"text": long, "target": "cat"}, True)
    source = task.encode(item, (0, 0, 0))["source"]
    assert task.is_cut(item) and source[-2:] == [icetk.gmask_id, icetk.sop_id] and len(source) == 16
    (whole,) = task.expand({"text": long, "target": long}, True)
    assert task.collate([task.encode(whole, (0, 0, 0))])["input_ids"].shape == (1, 24)
    with pytest.raises(UserError, match="its mask would be cut off"):
        task.encode(task.expand({"text": f"{long} [MASK]", "target": "cat"}, True)[0], (0, 0, 0))
    with pytest.raises(UserError, match="2 masks and one target"):
        task.expand({"text": "[MASK] [MASK]", "target": "cat"}, True)


@pytest.mark.parametrize("text", ["<sop>the cat", "the <sop> cat [MASK]", "<pad>the cat", "the cat<pad>"])
def test_tokens_around_prompts_are_none_of_a_text(network: Any, make_task: Callable[..., Any], text: str) -> None:
    for labelled in (False, True):
        with pytest.raises(UserError, match=r"row 3: the prompt holds <(sop|pad)>.*take it out"):
            make_task(network, max_target_length=4).expand({"text": text, "target": "sat", "where": "row 3"}, labelled)


def test_streamed_texts_are_those_of_the_batch(network: Any, make_task: Callable[..., Any]) -> None:
    for strategy in ("greedy", "beam"):
        task = make_task(network, max_target_length=6, decoding={"strategy": strategy, "beams": 2})
        for text in ("the cat", "雨[MASK]山"):
            said = answer(task, network, text)[0]
            streamed = "".join(task.stream(task.reader(network), text))
            assert streamed == "\n".join(said.get("blanks", [said["text"]]))


def test_another_tokenizer_is_refused(tokenizer: Any) -> None:
    from model_zoo.glm.generation import TextGeneration

    with pytest.raises(UserError, match="GLM's tokenizer"):
        TextGeneration(TextGeneration.Options(), tokenizer, 96)
