"""Tables of the model cards, made from the manifest.

A card is the ``README.md`` of a family. What stands between ``<!-- begin: variants -->`` and
``<!-- end: variants -->``, and likewise for ``reported``, is made here; all else in a card is written by hand.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from ppernie import registry
from ppernie.errors import UserError
from ppernie.files import write_file
from ppernie.table import render
from ppernie.zoo.manifest import Report, Variant, variants


def write_cards(check: bool = False) -> list[str]:
    """Brings the tables of all cards in step with the manifest; with ``check`` nothing is written.

    Returns:
        Paths of the cards that changed, or would change.

    Raises:
        UserError: a card or one of its marks is missing.
    """
    changed = []
    for family in registry.families():
        path = Path(str(registry.family_files(family))) / "README.md"
        text = _read(path)
        own = [variant for variant in variants().values() if variant.family == family]
        fresh = fill(text, "variants", variants_section(own), path)
        fresh = fill(fresh, "reported", reported_section(own), path)
        if fresh != text:
            changed.append(str(path))
            if not check:
                write_file(path, fresh)
    return changed


def fill(card: str, section: str, content: str, path: Path) -> str:
    """The card with new content between the two marks of a section. Raises UserError where they are not there once."""
    begin, end = f"<!-- begin: {section} -->", f"<!-- end: {section} -->"
    found = re.findall(f"{begin}.*?{end}", card, re.DOTALL)
    if len(found) != 1:
        raise UserError(f"{path}: needs one line '{begin}' and after it one line '{end}'")
    return card.replace(found[0], f"{begin}\n\n{content}\n\n{end}")


def summary(variant: Variant) -> dict[str, object]:
    """A variant in one row."""
    shape = variant.architecture
    sizes = [str(shape[key]) for key in ("num_hidden_layers", "hidden_size", "num_attention_heads")] if shape else []
    return {
        "name": variant.name,
        "layers / hidden / heads": " / ".join(sizes),
        "vocabulary": f"{shape['vocab_size']:,}" if shape else "",
        "parameters": f"{variant.parameters:,}" if variant.parameters else "",
        "languages": ", ".join(variant.languages),
        "licence": variant.licence,
    }


def variants_section(variants: Iterable[Variant]) -> str:
    """A table of sizes, and below it what else there is to know of single variants."""
    variants = list(variants)
    table = render([summary(variant) for variant in variants])
    names: dict[str, list[str]] = {}
    for variant in variants:
        for remark in _remarks(variant):
            names.setdefault(remark, []).append(f"`{variant.name}`")
    notes = [_item(f"{', '.join(named)}: {remark}") for remark, named in names.items()]
    return "\n\n".join(filter(None, (table, "\n".join(notes))))


def reported_section(variants: Iterable[Variant]) -> str:
    """One table for each benchmark of each source."""
    tables: dict[tuple[str, str], list[tuple[str, Report]]] = {}
    for variant in variants:
        for report in variant.reported:
            tables.setdefault((report.benchmark, report.source), []).append((variant.name, report))
    parts = [f"{benchmark}; source: {source}.\n\n{_scores(rows)}" for (benchmark, source), rows in tables.items()]
    return "\n\n".join(parts) or "Nothing."


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no model card; cards are part of the source tree, not of an installation") from None


def _remarks(variant: Variant) -> Iterable[str]:
    if variant.folder != variant.name:
        yield f"another name of `{variant.folder}`"
    if variant.note:
        yield variant.note
    if variant.by_hand:
        yield variant.by_hand


def _item(text: str) -> str:
    return textwrap.fill(f"* {text}", 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _scores(rows: Sequence[tuple[str, Report]]) -> str:
    metrics = list(dict.fromkeys(metric for _, report in rows for metric in report.metrics))
    digits = {metric: max(_digits(report.metrics.get(metric)) for _, report in rows) for metric in metrics}
    table: list[dict[str, object]] = [
        {"name": name, **{metric: _score(report.metrics.get(metric), digits[metric]) for metric in metrics}}
        for name, report in rows
    ]
    return render(table)


def _digits(score: float | str | None) -> int:
    return len(str(score).partition(".")[2]) if isinstance(score, float) else 0


def _score(score: float | str | None, digits: int) -> str:
    """As upstream prints it: the numbers of a column have equally many digits behind the point."""
    if score is None:
        return ""
    return f"{score:.{digits}f}" if isinstance(score, float) else score
