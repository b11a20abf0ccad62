"""Data sets by name: the library's own, and PaddleNLP's (downloaded by it on first use)."""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ppernie.errors import UserError

Values = dict[str, Any]

PADDLENLP = "paddlenlp/"


def _jieba_words(split: str | None) -> list[Values]:
    load: Callable[[str | None], list[Values]] = import_module("ppernie.data.jieba_words").load
    return load(split)


#: Data sets of the library's own; each takes a split (None: all of it) and gives raw rows.
BUILTIN: dict[str, Callable[[str | None], list[Values]]] = {"jieba_words": _jieba_words}


def rows(dataset: str, subset: str | None, split: str | None) -> Iterator[tuple[str, Values]]:
    """Raw rows of a named data set, each with its place for messages, "name:index".

    `dataset` is a name in `BUILTIN`, or "paddlenlp/NAME" with a subset where that data set has several.
    PaddleNLP's class indices are turned back into class names, so that files and names give equal labels.
    Raises UserError, also if the data set cannot be fetched.
    """
    if dataset in BUILTIN:
        if subset is not None:
            raise UserError(f"dataset {dataset} has no subsets; remove subset: {subset}")
        values = iter(BUILTIN[dataset](split))
    elif dataset.startswith(PADDLENLP):
        values = _paddlenlp_rows(dataset, subset, split)
    else:
        raise UserError(f"no data set {dataset}: known are {', '.join(BUILTIN)} and {PADDLENLP}NAME")
    place = "/".join(part for part in (dataset, subset, split) if part)
    return ((f"{place}:{index}", row) for index, row in enumerate(values))


def _paddlenlp_rows(dataset: str, subset: str | None, split: str | None) -> Iterator[Values]:
    name = dataset.removeprefix(PADDLENLP)
    known = _paddlenlp_names()
    # PaddleNLP would look an unknown name up on the Hugging Face hub and run the script it finds there.
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {PADDLENLP}{near[0]}?" if near else f": it has {', '.join(known)}"
        raise UserError(f"PaddleNLP has no data set {name}{hint}")
    if split is None:
        raise UserError(f"dataset {dataset} needs a split, for example split: train")
    try:
        data = import_module("paddlenlp.datasets").load_dataset(name, name=subset, splits=split)
    except Exception as error:
        wanted = " ".join(part for part in (dataset, subset, split) if part)
        raise UserError(
            f"the data set {wanted} could not be loaded: {type(error).__name__}: {error}. Without a network,"
            " fetch its files elsewhere and name them with files: instead of dataset:"
        ) from error
    names = data.label_list
    return (_with_class_names(data[index], names) for index in range(len(data)))


def _paddlenlp_names() -> list[str]:
    spec = find_spec("paddlenlp")
    if spec is None:
        raise UserError("dataset: paddlenlp/... needs the package paddlenlp, which is not installed")
    folder = Path((spec.submodule_search_locations or [""])[0]) / "datasets"
    return sorted(file.stem for file in folder.glob("*.py") if not file.stem.endswith(("_", "dataset")))


def _with_class_names(row: Values, names: list[str] | None) -> Values:
    """The row with names for class indices; unlabelled rows (an empty label, or -1) lose their label."""
    row = dict(row)
    for column in ("label", "labels"):
        value = row.get(column)
        if value in ("", -1):
            del row[column]
        elif names and type(value) is int:
            row[column] = names[value]
        elif names and isinstance(value, list) and all(type(item) is int for item in value):
            row[column] = [names[item] for item in value]
    return row
