"""The files that a tokenizer is saved in, checked as they are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppernie.errors import UserError

VOCAB_FILE = "vocab.txt"
CONFIG_FILE = "tokenizer_config.json"
SPECIAL_TOKENS = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
MAX_VOCAB_LINES = 1_000_000
MAX_VOCAB_BYTES = 64 * 2**20
MAX_CONFIG_BYTES = 16 * 2**20


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


def write_vocab(path: Path, tokens: Sequence[str]) -> None:
    """One token a line, in the order of ids."""
    path.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8", newline="\n")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1; only a line feed ends one, since a token may be any other character."""
    line = 0
    raw = read_bytes(path, MAX_VOCAB_BYTES)
    if not raw:
        raise UserError(f"{path}: the vocabulary is empty")
    if raw.count(b"\n") > MAX_VOCAB_LINES:
        raise UserError(f"{path}: more than {MAX_VOCAB_LINES:,} lines, this is no vocabulary")
    try:
        for line, text in enumerate(raw.removesuffix(b"\n").split(b"\n"), 1):
            yield line, text.decode("utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}, line {line}: not UTF-8: save the file in that encoding") from error


@dataclass(frozen=True)
class TokenizerConfig:
    """The class that a `tokenizer_config.json` names, and whether it lower-cases the text."""

    kind: str = "ErnieTokenizer"
    lowercase: bool = True


def read_config(path: Path) -> TokenizerConfig:
    """Reads `tokenizer_config.json`, which may be absent; a UserError names what in it is not supported."""
    config = read_object(path)
    kind = read_class(path) or TokenizerConfig.kind
    for name, token in SPECIAL_TOKENS.items():
        given = config.get(name, token)
        if (given.get("content") if isinstance(given, dict) else given) != token:
            raise UserError(f"{path}: {name} is {given!r}: only {token} is supported")
    if extra := sorted(_added_tokens(config, path) - set(SPECIAL_TOKENS.values())):
        raise UserError(f"{path}: added tokens are not supported: put {', '.join(extra)} into {VOCAB_FILE}")
    lowercase = config.get("do_lower_case", True)
    if not isinstance(lowercase, bool):
        raise UserError(f"{path}: do_lower_case must be true or false, not {lowercase!r}")
    if config.get("strip_accents") not in (None, lowercase):
        raise UserError(
            f"{path}: strip_accents is {config['strip_accents']!r}: only that of do_lower_case is supported"
        )
    if config.get("tokenize_chinese_chars", True) is not True:
        raise UserError(f"{path}: tokenize_chinese_chars must be true: Chinese characters always stand alone")
    return TokenizerConfig(kind, lowercase)


def read_class(path: Path) -> str | None:
    """The class that a `tokenizer_config.json` names, if it is there and names one."""
    kind = read_object(path).get("tokenizer_class")
    if not isinstance(kind, str | None):
        raise UserError(f"{path}: tokenizer_class must be a name, not {kind!r}")
    return kind


def _added_tokens(config: dict[str, Any], path: Path) -> set[str]:
    added = config.get("added_tokens_decoder") or {}
    special = config.get("additional_special_tokens") or []
    if not isinstance(added, dict) or not isinstance(special, list):
        raise UserError(f"{path}: the added tokens are neither a JSON object nor a list")
    entries = [*added.values(), *special]
    return {str(entry.get("content") if isinstance(entry, dict) else entry) for entry in entries}


def write_config(path: Path, kind: str, lowercase: bool, **more: Any) -> None:
    """Writes `tokenizer_config.json` for the class `kind`."""
    config = {"tokenizer_class": kind, "do_lower_case": lowercase, **SPECIAL_TOKENS, **more}
    write_object(path, config)


def read_object(path: Path) -> dict[str, Any]:
    """A file of settings, a JSON object; empty where there is no file."""
    if not path.exists():
        return {}
    found = read_json(path, MAX_CONFIG_BYTES)
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected a JSON object")
    return found


def write_object(path: Path, settings: dict[str, Any]) -> None:
    """Writes a file of settings."""
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path, max_bytes: int) -> Any:
    """A JSON document; UserError where it is broken, or longer or deeper than such a file is."""
    try:
        return json.loads(read_bytes(path, max_bytes))
    except (ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path}: broken JSON: {error}") from error


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """A whole file, whose size is looked at before memory is taken."""
    try:
        if (size := path.stat().st_size) > max_bytes:
            raise UserError(
                f"{path}: {size:,} bytes, and such a file has no more than {max_bytes:,}: it is another one"
            )
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; restore the file") from error
