"""The files that a tokenizer is saved in, checked as they are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from ppernie.errors import UserError

VOCAB_FILE = "vocab.txt"
CONFIG_FILE = "tokenizer_config.json"
SPECIAL_TOKENS = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
MAX_VOCAB_LINES = 1_000_000


def read_vocab(path: Path) -> list[str]:
    """Tokens in id order, from one token a line or "token<TAB>id" lines; UserError names file and line."""
    tokens: dict[int, str] = {}
    with_ids = False
    for line, text in _lines(path):
        where = f"{path}, line {line}"
        token, tab, index = text.rpartition("\t")
        if line == 1:
            with_ids = bool(tab)
        if with_ids != bool(tab):
            raise UserError(f"{where}: every line or none must have a tab and an id, as line 1")
        if not tab:
            token, index = text, str(line - 1)
        if not token:
            raise UserError(f"{where}: there is no token: delete the line, or restore the file")
        if not re.fullmatch("[0-9]{1,7}", index):
            raise UserError(f"{where}: {index[:20]!r} is not an id: it must be a whole number, 0 or more")
        if int(index) in tokens:
            raise UserError(f"{where}: id {index} is taken already, by {tokens[int(index)]!r}")
        tokens[int(index)] = token
    if missing := set(range(len(tokens))) - tokens.keys():
        raise UserError(f"{path}: no line has id {min(missing)}, and ids must run from 0 without a gap")
    ordered = [tokens[index] for index in range(len(tokens))]
    for token in SPECIAL_TOKENS.values():
        if ordered.count(token) != 1:
            raise UserError(f"{path}: the vocabulary must hold {token} once, and holds it {ordered.count(token)} times")
    return ordered


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1; only a line feed ends one, since a token may be any other character."""
    line = 0
    try:
        with path.open("rb") as file:
            for line, raw in enumerate(file, 1):
                if line > MAX_VOCAB_LINES:
                    raise UserError(f"{path}: more than {MAX_VOCAB_LINES:,} lines, this is no vocabulary")
                yield line, raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise UserError(f"cannot read the vocabulary {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}, line {line}: not UTF-8: save the file in that encoding") from error
    if line == 0:
        raise UserError(f"{path}: the vocabulary is empty")


def read_lowercase(path: Path) -> bool:
    """`do_lower_case` of a tokenizer's configuration, once all that is not supported is ruled out."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{path}: expected a JSON object")
    if config.get("tokenizer_class", "ErnieTokenizer") not in ("ErnieTokenizer", "BertTokenizer"):
        raise UserError(f"{path}: tokenizer_class {config['tokenizer_class']!r} is not supported: ErnieTokenizer is")
    for name, token in SPECIAL_TOKENS.items():
        given = config.get(name, token)
        if (given["content"] if isinstance(given, dict) else given) != token:
            raise UserError(f"{path}: {name} is {given!r}: only {token} is supported")
    added = config.get("added_tokens_decoder") or {}
    added = {entry["content"] if isinstance(entry, dict) else entry for entry in added.values()}
    if extra := sorted({*added, *(config.get("additional_special_tokens") or [])} - set(SPECIAL_TOKENS.values())):
        raise UserError(f"{path}: added tokens are not supported: put {', '.join(extra)} into {VOCAB_FILE}")
    lowercase = config.get("do_lower_case", True)
    if not isinstance(lowercase, bool):
        raise UserError(f"{path}: do_lower_case must be true or false, not {lowercase!r}")
    return lowercase
