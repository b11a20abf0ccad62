"""Changing merged values from the command line."""

from __future__ import annotations

from typing import Any

import pytest

from ppernie.config.overrides import apply_override, apply_overrides
from ppernie.config.settings import Settings
from ppernie.errors import UserError


@pytest.fixture
def settings() -> Settings:
    return Settings(
        "a.yaml",
        {
            "Train": {"epochs": 3, "spike": None},
            "Data": {"fields": {"text": "sentence"}},
            "Optimizer": {"no_decay": ["bias", "norm"], "schedule": {"name": "linear", "warmup": 0.1}},
        },
        {("Optimizer", "schedule"): "a.yaml:3", ("Optimizer", "schedule", "name"): "a.yaml:4"},
    )


@pytest.mark.parametrize(
    ("override", "section", "expected"),
    [
        ("Train.epochs=1", "Train", {"epochs": 1, "spike": None}),
        ("Train.epochs=", "Train", {"epochs": None, "spike": None}),
        ("Train.spike.factor=3e0", "Train", {"epochs": 3, "spike": {"factor": 3.0}}),
        ("Eval.metric=a=b", "Eval", {"metric": "a=b"}),
        ("Data.fields.text='{keyword}'", "Data", {"fields": {"text": "{keyword}"}}),
        ("+Data.fields.label=y", "Data", {"fields": {"text": "sentence", "label": "y"}}),
        ("+Data.fields.text=y", "Data", {"fields": {"text": "y"}}),
        (
            "Data.train.fields={a: b}",
            "Data",
            {"fields": {"text": "sentence"}, "train": {"fields": {"a": "b"}}},
        ),
        ("Arch.hidden_size=8", "Arch", {"hidden_size": 8}),
    ],
)
def test_a_value_is_set_as_yaml(settings: Settings, override: str, section: str, expected: Any) -> None:
    apply_override(settings, override)
    assert settings.values[section] == expected


def test_a_map_is_replaced_and_an_item_of_a_list_is_set(settings: Settings) -> None:
    assert apply_overrides(settings, ["Optimizer.schedule={name: cosine}", "Optimizer.no_decay.1=ln"]) == []
    assert settings.values["Optimizer"] == {"no_decay": ["bias", "ln"], "schedule": {"name": "cosine"}}


def test_the_override_becomes_the_origin_of_its_key_and_all_below(settings: Settings) -> None:
    apply_override(settings, "Optimizer.schedule={name: cosine}")
    assert settings.origin(("Optimizer", "schedule", "name")) == "-o Optimizer.schedule={name: cosine}"


def test_later_overrides_win(settings: Settings) -> None:
    apply_overrides(settings, ["Train.epochs=1", "Train.epochs=2"])
    assert settings.values["Train"]["epochs"] == 2
    assert settings.origin(("Train", "epochs")) == "-o Train.epochs=2"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("Train.epochs", "expected Section.key=value"),
        ("=1", "empty part"),
        ("Train..epochs=1", "empty part"),
        ("+=1", "empty part"),
        ("Train.epochs.x=1", "Train.epochs is 3, not a map"),
        ("Optimizer.no_decay.2=x", "Optimizer.no_decay is a list of 2; '2' is not an index"),
        ("Optimizer.no_decay.-1=x", "is not an index"),
        ("Optimizer.no_decay.x=1", "is not an index"),
        ("Train.epochs=[1", "-o Train.epochs=[1, line 1"),
        (
            "Data.fields.txt=a",
            "holds no key 'txt'; did you mean Data.fields.text? write +Data.fields.txt=...",
        ),
        ("Data.train.fields.q=a", "write +Data.train.fields.q=..."),
    ],
)
def test_a_faulty_override_is_named(settings: Settings, override: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        apply_override(settings, override)
    assert str(caught.value).startswith(f"-o {override}")
    assert message in str(caught.value)


def test_faulty_overrides_are_collected_and_the_others_apply(settings: Settings) -> None:
    complaints = apply_overrides(settings, ["Train", "Train.epochs=5", "x..y=1"])
    assert len(complaints) == 2
    assert settings.values["Train"]["epochs"] == 5
