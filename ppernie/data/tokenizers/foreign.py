"""A tokenizer's files as PaddleNLP and Hugging Face read them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, Literal

from ppernie.data.tokenizers.base import Tokenizer
from ppernie.data.tokenizers.ernie import ErnieTokenizer
from ppernie.data.tokenizers.ernie_tiny import MODEL_FILE, ErnieTinyTokenizer
from ppernie.data.tokenizers.files import CONFIG_FILE, SPECIAL_TOKENS, VOCAB_FILE, write_config, write_vocab
from ppernie.data.tokenizers.glm import GlmTokenizer
from ppernie.errors import UserError

RUST_FILE = "tokenizer.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
PICKLED_WORDS_FILE = "dict.wordseg.pickle"


def write_tokenizer(
    tokenizer: Tokenizer,
    folder: str | Path,
    layout: Literal["paddlenlp", "huggingface"],
    *,
    max_length: int | None = None,
    gram: bool = False,
) -> None:
    """Writes what the library's `AutoTokenizer.from_pretrained(folder)` needs to give the same ids.

    PaddleNLP's `AutoTokenizer` does not know its own `ErnieTinyTokenizer`, nor that icetk is `ChatGLMTokenizer`: these
    are opened by their classes.

    Args:
        tokenizer: the tokenizer.
        folder: where to write; made if absent. The model's files may lie in it.
        layout: the library that will read it.
        max_length: longest input of the network in tokens, the library's `model_max_length`.
        gram: for PaddleNLP, name the class of ERNIE-Gram, whose ids are the same.

    Raises:
        UserError: the library has no such tokenizer.
    """
    folder = Path(folder)
    if isinstance(tokenizer, GlmTokenizer):
        if layout == "huggingface":
            raise UserError("Hugging Face has no tokenizer of GLM; write the layout of PaddleNLP")
        tokenizer.save(folder)
        return
    files: dict[str, bytes] = {}
    options: dict[str, Any] = {} if max_length is None else {"model_max_length": max_length}
    if isinstance(tokenizer, ErnieTinyTokenizer):
        if layout == "huggingface":
            raise UserError("Hugging Face has no tokenizer that cuts words by a dictionary, as that of ernie-tiny does")
        kind = "ErnieTinyTokenizer"
        files[MODEL_FILE] = tokenizer.model
        # PaddleNLP asks only whether a word is in it; a dict, unlike a set, has one order and no class to import.
        files[PICKLED_WORDS_FILE] = pickle.dumps(dict.fromkeys(tokenizer.words, 1), protocol=2)
    elif layout == "huggingface":
        assert isinstance(tokenizer, ErnieTokenizer)
        # BertTokenizerFast puts its own normalizer in the place of ours, in newer versions.
        kind = "PreTrainedTokenizerFast"
        files[RUST_FILE] = tokenizer.to_json().encode()
        options["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
        options["clean_up_tokenization_spaces"] = False
    else:
        kind = "ErnieGramTokenizer" if gram else "ErnieTokenizer"
    files[SPECIAL_TOKENS_FILE] = json.dumps(SPECIAL_TOKENS, indent=2).encode() + b"\n"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    write_vocab(folder / VOCAB_FILE, tokenizer.tokens)
    write_config(folder / CONFIG_FILE, kind, tokenizer.lowercase, **options)
