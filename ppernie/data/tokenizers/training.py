"""A SentencePiece model learnt from sentences, with the tokens that GLM commands its network by."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterable

from ppernie.data.tokenizers.icetk import BLANKS, BYTES, COMMANDS, TAB, IcetkTokenizer
from ppernie.data.tokenizers.sentencepiece_model import NEW_LINE
from ppernie.errors import UserError

# Longer sentences would be left out. A character has up to 4 bytes.
MAX_SENTENCE_BYTES = 2**16
# More change the pieces little, and each takes time and memory.
MAX_SENTENCES = 100_000
SEED = 0
# The sums of several threads depend on their number, so it is that of no machine.
_THREADS = 4
_TOKENS = ("<unk>", "<s>", "</s>", "<pad>")
_SPACES = (NEW_LINE, TAB, *BLANKS)
FIXED_PIECES = len(_TOKENS) + len(COMMANDS) + len(_SPACES) + len(BYTES)


def train_icetk(sentences: Iterable[str], vocab_size: int, max_sentences: int = MAX_SENTENCES) -> IcetkTokenizer:
    """Learns the pieces of a unigram model, the same ones from the same sentences.

    Text is taken as it is, so that decoding gives it back. First come the commands, the line feed, the tab, runs of
    2 to 80 spaces and 256 bytes, then what was learnt.

    Args:
        sentences: the text; of more than `max_sentences` as many are drawn.
        vocab_size: number of ids.
        max_sentences: how many are held in memory.

    Raises:
        UserError: there is no text, or too little or too much of it for so many ids.
    """
    from sentencepiece import SentencePieceTrainer

    if vocab_size <= FIXED_PIECES:
        raise UserError(
            f"a vocabulary of {vocab_size} tokens: commands, spaces and bytes alone are {FIXED_PIECES}; raise the size"
        )
    drawn = _draw(sentences, max_sentences)
    if not drawn:
        raise UserError("there is no text to learn the pieces from: every sentence is empty; check the sources")
    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(drawn),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size,
            pad_id=len(_TOKENS) - 1,
            control_symbols=list(COMMANDS),
            user_defined_symbols=list(_SPACES),
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            max_sentence_length=MAX_SENTENCE_BYTES,
            shuffle_input_sentence=False,
            num_threads=_THREADS,
            minloglevel=3,
        )
    except RuntimeError as error:
        raise UserError(_refusal(str(error), vocab_size)) from error
    return IcetkTokenizer(model.getvalue())


def _draw(sentences: Iterable[str], count: int) -> list[str]:
    """At most `count` of the sentences that are not empty, each with the same chance, in the order of their draws."""
    dice = random.Random(SEED)
    drawn: list[str] = []
    for number, sentence in enumerate(filter(None, sentences)):
        if number < count:
            drawn.append(sentence)
        elif (place := dice.randrange(number + 1)) < count:
            drawn[place] = sentence
    return drawn


def _refusal(message: str, vocab_size: int) -> str:
    """SentencePiece's refusals of a size, which name the highest or lowest one that it would take."""
    if most := re.search(r"value <= (\d+)", message):
        return (
            f"a vocabulary of {vocab_size} tokens: the text has pieces for {most[1]} only; lower the size, or add text"
        )
    if least := re.search(r"required_chars\. \d+ vs (\d+)", message):
        return f"a vocabulary of {vocab_size} tokens: the characters of the text alone take {least[1]}; raise the size"
    return f"SentencePiece cannot learn a vocabulary of {vocab_size} tokens from this text: {message}"
