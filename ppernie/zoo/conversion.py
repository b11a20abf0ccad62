"""Model folders for ppernie, PaddleNLP and Hugging Face from any source that can be loaded."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ppernie import registry
from ppernie.data.tokenizers import Tokenizer, write_tokenizer
from ppernie.errors import UserError
from ppernie.files import new_folder, writing
from ppernie.zoo.description import ModelDescription
from ppernie.zoo.folder import save_model
from ppernie.zoo.layout import Fit, Kind, fit, write
from ppernie.zoo.sources import Source, check_architecture, layout_of, open_source
from ppernie.zoo.tokenizer import has_tokenizer, read_tokenizer
from ppernie.zoo.weights import write_weights

logger = logging.getLogger("ppernie")

LIBRARIES = ("ppernie", "paddlenlp", "huggingface")


def convert(source: str | Path, target: Path, library: str, variant: str | None = None) -> None:
    """Writes weights and tokenizer of a source as a folder of a library. No bit of the weights changes.

    Args:
        source: what ``from_pretrained`` takes.
        target: the new folder.
        library: one of ``LIBRARIES``.
        variant: the released model whose shape a weight file has that lies alone.

    Raises:
        UserError: the source cannot be read, the target is there already or cannot be written, or the library has no
            network or tokenizer that would compute the same.
    """
    with writing(target):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UserError(f"{target}: is there already; name a new folder")
    opened = open_source(source, variant)
    kind = opened.stored_kind()
    config = check_architecture(opened.family, opened.architecture, str(opened.place))
    found = fit(opened.tensors, config, opened.layout, kind, stored_kind=opened.kind, place=str(opened.place))
    if opened.layout.heads[kind].rows and all(name.startswith("backbone.") for name in found.tensors):
        raise UserError(f"{opened.place}: its configuration says {kind}, and it holds no such head")
    labels = _labels(opened, found) if opened.layout.heads[kind].counted else None
    tokenizer = _tokenizer(opened)
    values = None
    if library != "ppernie":
        foreign_kind = "Model" if kind == "DualEncoder" else kind
        convert_module = registry.family_convert(opened.family)
        assert convert_module is not None
        values = convert_module.write_config(library, config, foreign_kind, labels)
        if kind == "ForMultipleChoice" and opened.choices:
            values["num_choices"] = opened.choices
    if found.left:
        logger.warning("%s: left out, since they are of another head: %s", opened.place, found.left)
    state = {name: np.asarray(tensor) for name, tensor in found.tensors.items()}
    if values is None:
        save_model(target, state, opened.description or _description(opened, kind, labels), tokenizer, {})
    else:
        foreign = write(state, config, layout_of(opened.family, library, config), kind)
        _save_foreign(target, library, foreign, values, tokenizer, dict(config)["max_position_embeddings"])


def _tokenizer(source: Source) -> Tokenizer | None:
    if has_tokenizer(source.folder):
        return read_tokenizer(source.folder)
    logger.warning("%s: holds no vocabulary, so the new folder has no tokenizer", source.folder)
    return None


def _save_foreign(
    target: Path,
    library: str,
    weights: dict[str, np.ndarray],
    config: dict[str, Any],
    tokenizer: Tokenizer | None,
    max_length: int,
) -> None:
    with new_folder(target) as folder:
        if library == "huggingface":
            write_weights(folder / "model.safetensors", weights, {"format": "pt"})
        else:
            with (folder / "model_state.pdparams").open("wb") as file:
                pickle.dump(weights, file, protocol=4)
        (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if tokenizer is not None:
            gram = config["model_type"] == "ernie_gram"
            write_tokenizer(tokenizer, folder, library, max_length=max_length, gram=gram)  # type: ignore[arg-type]


def _labels(source: Source, found: Fit) -> tuple[str, ...]:
    """Names of the classes."""
    count = found.tensors["classifier.bias"].shape[0]
    labels = source.labels or tuple(f"LABEL_{index}" for index in range(count))
    if len(labels) != count:
        raise UserError(f"{source.place}: its head has {count} classes, and its configuration names {len(labels)}")
    return labels


def _description(source: Source, kind: Kind, labels: tuple[str, ...] | None) -> ModelDescription:
    """What a folder of ours says of a network that another library wrote."""
    name = source.brand + kind
    positions = source.architecture["max_position_embeddings"]
    return ModelDescription(
        arch={"name": f"{source.family}/{name}", **source.architecture},
        task=_task(source, kind, list(labels or ())),
        max_length=min(positions, source.layout.trained_length or positions),
    )


def _task(source: Source, kind: Kind, labels: list[str]) -> dict[str, Any] | None:
    """The task of a foreign head, where its files say enough of it."""
    if kind == "ForSequenceClassification" and len(labels) > 1:
        return {"name": "sequence_classification", "labels": labels}
    if kind == "ForTokenClassification" and "O" in labels:
        return {"name": "token_classification", "labels": labels}
    if kind == "ForMultipleChoice" and source.choices:
        return {"name": "multiple_choice", "choices": source.choices}
    named = {"ForQuestionAnswering": "span_extraction", "ForMaskedLM": "masked_language_modeling"}
    return {"name": named[kind]} if kind in named else None
