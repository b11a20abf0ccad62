"""The tokens that GLM adds behind the vocabulary of another model: `added_tokens.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ppernie.data.tokenizers.files import CONFIG_FILE, read_object, write_object
from ppernie.errors import UserError

ADDED_FILE = "added_tokens.json"
SPECIAL = {
    "sep_token": "[SEP]",
    "pad_token": "<|endoftext|>",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
    "eos_token": "<|endoftext|>",
    "gmask_token": "[gMASK]",
    "smask_token": "[sMASK]",
    "sop_token": "<|startofpiece|>",
    "eop_token": "<|endofpiece|>",
}


def special_tokens(added: Sequence[str], unk: str) -> dict[str, str]:
    """The special tokens by role; [sMASK] is absent where none is added, and other added tokens have a number."""
    found = {"unk_token": unk} | {r: t for r, t in SPECIAL.items() if r != "smask_token" or t in added}
    return found | {f"added_{number}": token for number, token in enumerate(added) if token not in found.values()}


def read_added(folder: Path, size: int, usual: Sequence[str]) -> list[str]:
    """The added tokens of a folder in the order of ids, `usual` where it names none.

    Args:
        folder: holds `added_tokens.json`, or a `tokenizer_config.json` with `added_tokens_decoder`, or neither.
        size: of the vocabulary, behind which they stand.
        usual: the published ones.

    Raises:
        UserError: their ids do not follow on the vocabulary.
    """
    path = folder / ADDED_FILE
    ids = read_object(path)
    if not ids:
        path = folder / CONFIG_FILE
        entries = read_object(path).get("added_tokens_decoder") or {}
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise UserError(f"{path}: added_tokens_decoder must map ids to tokens")
        ids = {entry.get("content"): int(i) if i.isdecimal() else i for i, entry in entries.items()}
    behind = {token: index for token, index in ids.items() if not isinstance(index, int) or index >= size}
    names = {index: token for token, index in behind.items()}
    if set(names) != set(range(size, size + len(behind))):
        raise UserError(
            f"{path}: the added tokens must have ids from {size} on without a gap, as the vocabulary ends there"
        )
    return [names[index] for index in sorted(names)] or list(usual)


def write_added(folder: Path, kind: str, tokens: Sequence[str], start: int, special: dict[str, str]) -> None:
    """Writes `added_tokens.json` and `tokenizer_config.json`, as PaddleNLP's class `kind` reads them."""
    write_object(folder / ADDED_FILE, {token: index for index, token in enumerate(tokens, start)})
    # PaddleNLP takes the other roles' tokens by their names.
    named = {
        role: special[role] for role in ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token", "eos_token")
    }
    write_object(folder / CONFIG_FILE, {"tokenizer_class": kind, **named})
