"""``ppernie harness`` over tasks of the three kinds, cut off and gone on with; results against sums by hand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppernie.cli.main import main
from ppernie.harness import layouts, plots
from ppernie.harness.choice import choose
from ppernie.harness.generation import write
from ppernie.harness.language_modelling import model_language
from ppernie.harness.outcome import of_prompt
from ppernie.harness.rows import Question, read_questions
from ppernie.harness.scorer import Blank, Context

TEXTS = ["the quick brown fox jumps over the lazy dog. " * 6, "Is it A or B?", "Bright vixens jump; dozy fowl quack!"]
TASKS: dict[str, Any] = {
    "pick": {
        "kind": "choice",
        "files": "rows.jsonl",
        "prompts": {
            "plain": {"text": "{{q}} ||| {{o[a]}}", "choices": "{{o | join(' ||| ')}}"},
            "blank": {"text": "[MASK] {{q}} ||| {{o[a]}}", "choices": "{{o | join(' ||| ')}}"},
        },
    },
    "write": {
        "kind": "generation",
        "files": "rows.jsonl",
        "prompts": {"plain": {"text": "{{q}} ||| {{o | join(' ||| ')}}"}},
        "max_new_tokens": 3,
    },
    "model": {"kind": "language_modelling", "files": "texts.jsonl", "scored": 16},
}


@pytest.fixture
def harness(tmp_path: Path, write_rows: Any, model: Path) -> Callable[..., Any]:
    """Runs the command; its exit status, and the results."""
    write_rows("rows.jsonl", [{"q": f"the quick {n}", "o": ["fox", "lazy dog", "A"], "a": n % 3} for n in range(5)])
    write_rows("texts.jsonl", [{"text": text} for text in TEXTS])
    (tmp_path / "tasks.yaml").write_text(json.dumps({"root": str(tmp_path), "tasks": TASKS}), encoding="utf-8")

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        out = tmp_path / "out"
        status = main(
            ["harness", "-c", str(tmp_path / "tasks.yaml"), "--model", str(model), "--out", str(out), *arguments]
        )
        file = out / "results.json"
        return status, json.loads(file.read_text(encoding="utf-8"))["tasks"] if file.exists() else {}

    return run


def test_a_run_goes_on_where_it_stopped(harness: Callable[..., Any], tmp_path: Path, capsys: Any, model: Path) -> None:
    status, results = harness("--tasks", "pick")
    assert status == 0 and list(results) == ["pick"]
    assert set(results["pick"]["prompts"]) == {"plain", "blank"} and results["pick"]["rows"] == 5
    assert set(results["pick"]["measures"]["accuracy"]) == {"max", "median", "mean"}
    capsys.readouterr()
    status, results = harness()
    told = capsys.readouterr().out
    assert status == 0 and set(results) == set(TASKS)
    assert "pick: kept from" in told and "write: prompt 1 of 1" in told and "pick: prompt" not in told
    rows = [line.split("|")[1].split() for line in told.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:] if "-" not in row[0]] == ["pick"] * 2 + ["write"] * 2 + ["model"] * 3
    harness("--limit", "2", "--tasks", "pick")
    assert "pick: prompt" in capsys.readouterr().out


def test_one_number_of_several_tasks(harness: Callable[..., Any], tmp_path: Path, capsys: Any) -> None:
    config = json.loads((tmp_path / "tasks.yaml").read_text(encoding="utf-8"))
    config["aggregates"] = {"both": {"tasks": ["pick", "write"]}}
    (tmp_path / "tasks.yaml").write_text(json.dumps(config), encoding="utf-8")
    status, results = harness("--tasks", "pick", "write")
    assert status == 0 and "both | normalised" in re.sub(" +", " ", capsys.readouterr().out)
    kept = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["aggregates"]["both"]
    # Both tasks have the part of their file's name, so they are one group.
    picked = [(p["all"]["accuracy"] - 1 / 3) / (2 / 3) for p in results["pick"]["prompts"].values()]
    written = results["write"]["measures"]["exact_match"]["max"]
    assert kept["measures"]["normalised"]["max"] == pytest.approx((max(picked) + written) / 2)
    harness("--tasks", "pick")
    assert "normalised" not in capsys.readouterr().out
    config["aggregates"] = {"pick": {"tasks": ["pick", "model"]}}
    (tmp_path / "tasks.yaml").write_text(json.dumps(config), encoding="utf-8")
    assert harness()[0] == 2
    told = capsys.readouterr().err
    assert "model: there is pick, write with such scores" in told and "is a task's name too" in told


def test_other_examples_make_other_results(
    harness: Callable[..., Any], tmp_path: Path, write_rows: Any, capsys: Any
) -> None:
    shown = [{"q": f"a {n}", "o": ["fox", "dog"], "a": 0} for n in range(3)]
    write_rows("shots.jsonl", shown[:2])
    config = json.loads((tmp_path / "tasks.yaml").read_text(encoding="utf-8"))
    config["tasks"]["pick"]["shots"] = {"count": 2, "files": "shots.jsonl"}
    del config["tasks"]["pick"]["prompts"]["blank"]
    (tmp_path / "tasks.yaml").write_text(json.dumps(config), encoding="utf-8")
    for expected in ("pick: prompt", "pick: kept from"):
        assert harness("--tasks", "pick")[0] == 0
        assert expected in capsys.readouterr().out
    write_rows("shots.jsonl", shown[1:] + shown[:1])
    assert harness("--tasks", "pick")[0] == 0
    assert "pick: prompt" in capsys.readouterr().out


def test_both_ways_to_read_a_held_out_book(
    harness: Callable[..., Any], repository: Path, shared_data: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layouts, "_PASSAGE", 4000)
    config = ["-c", str(repository / "configs/glm/eval/held_out.yaml"), "--limit", "1"]
    names = ["alice", "alice_unidirectional"]
    # The window of this network is 64 tokens.
    changes = [f"root={shared_data}", *(f"tasks.{name}.scored=32" for name in names)]
    status, results = harness(*config, "--tasks", *names, "-o", *changes)
    assert status == 0
    one, other = (results[name]["measures"]["bits_per_byte"]["mean"] for name in names)
    assert one != other and one == pytest.approx(other, rel=0.5)
    assert "alice_unidirectional | bits_per_byte" in capsys.readouterr().out


def test_a_streamed_network_has_the_same_results(harness: Callable[..., Any], tmp_path: Path) -> None:
    (_, resident), png = harness(), tmp_path / "out" / "results.png"
    image = png.read_bytes()
    assert image.startswith(b"\x89PNG")
    for path in (tmp_path / "out").iterdir():
        path.unlink()
    status, streamed = harness("--stream")
    assert status == 0 and streamed == resident
    assert png.read_bytes() == image


def test_a_plot_shows_every_prompt_of_every_task(harness: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))
    _, results = harness()
    panels = {panel.get_title(): panel for panel in figures[0].axes}
    assert set(panels) == {measure for result in results.values() for measure in result["measures"]}
    for measure, panel in panels.items():
        names = [label.get_text() for label in panel.get_yticklabels()]
        assert names == [name for name, result in results.items() if measure in result["measures"]]
        dots, medians = panel.lines[::2], panel.lines[1::2]
        for name, prompts, median in zip(names, dots, medians, strict=True):
            values = [prompt["all"][measure] for prompt in results[name]["prompts"].values()]
            assert list(prompts.get_xdata()) == values
            assert list(median.get_xdata()) == [results[name]["measures"][measure]["median"]]


def test_a_file_of_results_that_is_none(harness: Callable[..., Any], tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.json").write_text('{"tasks": 3}', encoding="utf-8")
    assert harness()[0] == 2
    assert "results.json: is no file of results" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "pik"], "--tasks pik: .*tasks.yaml has pick, write, model"),
        (["--limit", "0"], "--limit 0"),
        (["-o", "tasks.pick.files=none.jsonl"], "no such file"),
        (
            ["-o", "tasks.pick.prompts.plain.choices=a ||| b"],
            "pick: .*rows.jsonl:1: the answer 'fox' is none of the options",
        ),
        (["-o", "tasks.model.scored=70"], "model: scored: 70 tokens of a window that has room for 63"),
        (["-o", "tasks.write.max_new_tokens=64"], "write: .*rows.jsonl:1: .* the mask would be cut off"),
        (["--model", "none"], "no such model folder"),
    ],
)
def test_mistakes(arguments: list[str], message: str, harness: Callable[..., Any], capsys: Any) -> None:
    assert harness(*arguments)[0] == 2
    assert re.search(message, capsys.readouterr().err)


def test_another_kind_of_network(
    harness: Callable[..., Any], tmp_path: Path, make_model: Any, tokenizer: Any, capsys: Any
) -> None:
    from ppernie.zoo.description import ModelDescription
    from ppernie.zoo.folder import save_model

    network = make_model("ErnieForMaskedLM")
    arch = {"name": "ernie3/ErnieForMaskedLM", **network.config.model_dump()}
    weights = {name: parameter.numpy() for name, parameter in network.named_parameters()}
    save_model(tmp_path / "ernie", weights, ModelDescription(arch=arch, task=None, max_length=16), tokenizer, {})
    assert harness("--model", str(tmp_path / "ernie"))[0] == 2
    assert "no network of this kind scores texts" in capsys.readouterr().err


def test_the_likeliest_option_is_the_answer(make_scorer: Any, task_of: Any, harness: Any, tmp_path: Path) -> None:
    scorer, task = make_scorer(), task_of(**TASKS["pick"])
    for questions in read_questions(task, str(tmp_path)).values():
        outcome = choose(task, questions, scorer)
        for question, row in zip(questions, outcome.rows, strict=True):
            context = scorer.context(question.text, "mask", "")
            sums = [scorer.log_likelihoods([Blank(context, [scorer.answer(o)])])[0][0].sum() for o in question.choices]
            best = question.choices[max(range(3), key=sums.__getitem__)]
            assert row == {"accuracy": (float(best in question.targets), 1.0), "chance": (1 / 3, 1.0)}


def test_long_prompts_are_cut_and_counted(make_scorer: Any, task_of: Any) -> None:
    scorer, task = make_scorer(), task_of(**TASKS["pick"])
    long, short = (Question("", "", text, ("fox",), ("fox", "lazy dog")) for text in ("quick brown " * 40, "the"))
    assert choose(task, [long, short], scorer).truncated == 1
    for changes in ({}, {"unidirectional": True}):
        assert write(task_of(**TASKS["write"] | changes), [long, short], scorer).truncated == 1


def test_targets_and_beams_of_texts(task_of: Any) -> None:
    class Writes:
        """Hands out texts as ids into a list, and remembers nothing."""

        said = ["the fox runs", "The fox.", "dog , x"]

        def context(self, text: str, mask: str, where: str) -> Any:
            return Context([0], 0)

        def room(self, answers: Any) -> int:
            return 9

        def decode(self, ids: Any) -> str:
            return self.said[ids[0]]

        def texts(self, prompts: Any, *_: Any, **__: Any) -> Any:
            return [[[0], [1], [2]] for _ in prompts]

    question = Question("", "", "q", ("a cat", "fox"))
    found = of_prompt(write(task_of(**TASKS["write"]), [question], Writes()), ["p"], None)["all"]
    # Of "fox runs", the article left out, one word of two is right: precision 1/2, recall 1.
    assert found == {"exact_match": 0.0, "f1": pytest.approx(2 / 3)}
    stopped = task_of(**TASKS["write"] | {"stop": ["runs", " r"]})
    assert write(stopped, [question], Writes()).rows == [{"exact_match": (1.0, 1.0), "f1": (1.0, 1.0)}]
    beams = {
        "decoding": {"strategy": "beam", "beam_rule": "gnmt"},
        "word_follows": True,
        "answer": "word",
        "metric": "exact",
    }
    lambada = task_of(**TASKS["write"] | beams)
    # Of the third beam alone punctuation follows the first word.
    assert write(lambada, [Question("", "", "q", ("dog",))], Writes()).rows[0]["exact_match"] == (1.0, 1.0)


@pytest.mark.parametrize("unidirectional", [False, True])
def test_language_modelling_window_by_window(make_scorer: Any, task_of: Any, unidirectional: bool) -> None:
    scorer, documents = make_scorer(), [Question("", "", text) for text in TEXTS]
    (mask,) = scorer.context("", "gmask", "").ids
    outcome = model_language(task_of(**TASKS["model"] | {"unidirectional": unidirectional}), documents, scorer)
    lengths = []
    for document, row in zip(documents, outcome.rows, strict=True):
        ids, loss = scorer.answer(document.text), 0.0
        lengths.append(len(ids))
        # 63 tokens and the mask fill the window of 64; behind the first window, 47 tokens stand before 16.
        for at in [0, *range(63, len(ids), 16)]:
            before, scored = (ids[at - 47 : at], ids[at : at + 16]) if at else ([], ids[:63])
            if unidirectional:
                ((found,),) = scorer.log_likelihoods([Blank(Context([mask], 0), [[*before, *scored]])])
            else:
                ((found,),) = scorer.log_likelihoods([Blank(Context([*before, mask], len(before)), [scored])])
            loss -= float(found[-len(scored) :].sum())
        assert row["perplexity"] == (pytest.approx(loss, rel=1e-5), len(document.text.split()))
        assert row["bits_per_byte"] == (pytest.approx(loss / math.log(2), rel=1e-5), len(document.text.encode()))
        assert row["bits_per_token"][1] == len(ids)
    assert max(lengths) > 63 + 16 and min(lengths) < 63
