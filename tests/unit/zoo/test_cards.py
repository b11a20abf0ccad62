from __future__ import annotations

from pathlib import Path

import pytest

from ppernie.errors import UserError
from ppernie.zoo.cards import fill, reported_section, variants_section, write_cards
from ppernie.zoo.manifest import Report, Variant

CARD = "# Card\n\n<!-- begin: variants -->\nold\n<!-- end: variants -->\n\nby hand\n"


def variant(name: str, **fields: object) -> Variant:
    known = {"family": "f", "network": None, "folder": name, "languages": ("zh", "en"), "licence": "MIT", "note": None}
    return Variant.model_validate(known | {"name": name} | fields)


def test_the_cards_are_in_step_with_the_manifest() -> None:
    assert write_cards(check=True) == [], "run `ppernie download cards`"


def test_only_the_section_changes() -> None:
    fresh = fill(CARD, "variants", "new", Path("README.md"))
    assert fresh == CARD.replace("\nold\n", "\n\nnew\n\n")
    assert fill(fresh, "variants", "new", Path("README.md")) == fresh


@pytest.mark.parametrize("card", ["# Card", "<!-- begin: variants -->", CARD + CARD])
def test_a_card_without_its_marks(card: str) -> None:
    with pytest.raises(UserError, match="README.md: needs one line '<!-- begin: variants -->'"):
        fill(card, "variants", "new", Path("README.md"))


def test_variants_with_what_there_is_to_know() -> None:
    shape = {"num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 4, "vocab_size": 40000}
    many = [
        variant("a", note="same", architecture=shape, parameters=1234567),
        variant("b", note="same", folder="a"),
        variant("c", by_hand="ask"),
    ]
    assert variants_section(many).splitlines() == [
        "| name | layers / hidden / heads | vocabulary | parameters | languages | licence |",
        "| ---- | ----------------------- | ---------: | ---------: | --------- | ------- |",
        "| a    | 2 / 8 / 4               |     40,000 |  1,234,567 | zh, en    | MIT     |",
        "| b    |                         |            |            | zh, en    | MIT     |",
        "| c    |                         |            |            | zh, en    | MIT     |",
        "",
        "* `a`, `b`: same",
        "* `b`: another name of `a`",
        "* `c`: ask",
    ]


def test_one_table_for_each_benchmark_of_each_source() -> None:
    def report(source: str, benchmark: str, **metrics: float | str) -> Report:
        return Report(source=source, benchmark=benchmark, metrics=metrics)

    many = [
        variant("a", note="n", reported=(report("paper", "one", x=79.3, y="1/2"), report("paper", "two", x=5.0))),
        variant("b", note="n", reported=(report("paper", "one", x=8.25, z=0.5), report("page", "one", x=7.0))),
    ]
    assert reported_section(many).splitlines() == [
        "one; source: paper.",
        "",
        "| name |     x | y   |   z |",
        "| ---- | ----: | --- | --: |",
        "| a    | 79.30 | 1/2 |     |",
        "| b    |  8.25 |     | 0.5 |",
        "",
        "two; source: paper.",
        "",
        "| name |   x |",
        "| ---- | --: |",
        "| a    | 5.0 |",
        "",
        "one; source: page.",
        "",
        "| name |   x |",
        "| ---- | --: |",
        "| b    | 7.0 |",
    ]
    assert reported_section([variant("c", note="n")]) == "Nothing."
