"""Every command that the documents show, run as it stands on shrunken models and real data."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ppernie.bench.load import write_folders
from ppernie.data import jieba_words
from ppernie.data.vocabulary import character_vocabulary

FRONT = ("README.md", "README_zh.md", "CONTRIBUTING.md")
CARDS = (
    "model_zoo/ernie3/README.md",
    "model_zoo/ernie3/universal/README.md",
    "model_zoo/ernie_gram/README.md",
    "model_zoo/glm/README.md",
)
SMALL_ENCODERS = "model_zoo/ernie_tiny/README.md"
# What make runs is what runs these tests; benchmarks, experiments and published shards have tests of their own at small
# sizes.
ELSEWHERE = re.compile(r"^(make |ppernie (bench|quickstart|experiment) |.* (glm-130b-sat|output/glm-130b-int4) )")
SHORT = " -o Train.max_steps=4 Train.batch_size=4 Data.workers=0"
SMALL = " Arch.num_hidden_layers=1 Arch.hidden_size=24 Arch.num_attention_heads=2 Arch.intermediate_size=24"
FEW = " Data.eval.limit=8 Optimizer.schedule.warmup=1"
RELEASED = "ernie-3.0-nano-zh"
# Of what corpora are made of, as much of each file as the commands need.
CORPORA = ("laws_zh", "classical_novels_zh", "chinese_poetry", "english_text", "wikitext2")
CORPUS_BYTES = 60_000


def commands(document: str) -> Iterator[str]:
    text = (Path(__file__).resolve().parents[2] / document).read_text(encoding="utf-8")
    for block in re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL):
        if "# needs a GPU" not in block:
            yield from (line.strip() for line in block.splitlines() if line.strip() and not line.startswith("#"))


def test_both_readmes_show_the_same_commands() -> None:
    assert list(commands("README.md")) == list(commands("README_zh.md"))
    assert programs("README.md") == programs("README_zh.md")


def test_the_two_commands_of_the_set_up_are_there() -> None:
    assert {"make quickstart", "make test"} <= set(commands("README.md"))


def programs(document: str) -> list[str]:
    text = (Path(__file__).resolve().parents[2] / document).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """A cache in which the released model that the documents name lies, with random weights."""
    folder = tmp_path_factory.mktemp("home")
    written = folder / "written"
    write_folders(RELEASED, written)
    (folder / "models").mkdir()
    (written / "paddlenlp").rename(folder / "models" / RELEASED)
    (folder / "models" / RELEASED / "config.json").unlink()
    shutil.copy(shared_data / "vocab" / "ernie3.0_base_zh_vocab.txt", folder / "models" / RELEASED / "vocab.txt")
    return folder


@pytest.fixture
def environment(checkout: Path, home: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    return os.environ | own | {"PPERNIE_HOME": str(home), "PPERNIE_OFFLINE": "1"}


@pytest.fixture
def checkout(tmp_path: Path, repository: Path, shared_data: Path) -> Path:
    """A copy of what the commands need, with the data where the documents say."""
    folder = tmp_path / "checkout"
    for name in ("ppernie", "model_zoo", "configs", "tools"):
        shutil.copytree(repository / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data").mkdir()
    for source in shared_data.iterdir():
        if source.name in CORPORA:
            shorten(source, folder / "data" / source.name)
        else:
            (folder / "data" / source.name).symlink_to(source)
    return folder


def shorten(source: Path, target: Path) -> None:
    """Copies the first lines of each file, at least one."""
    for path in source.rglob("*.*"):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as file:
            copy.write_bytes(b"".join(file.readlines(CORPUS_BYTES)))


def shown(documents: Sequence[str]) -> list[str]:
    found = [command for document in documents for command in commands(document)]
    return [command for command in dict.fromkeys(found) if not ELSEWHERE.match(command)]


@pytest.mark.parametrize("documents", [FRONT, pytest.param((*FRONT, *CARDS), marks=pytest.mark.slow)], ids=len)
def test_every_command_runs(documents: Sequence[str], checkout: Path, environment: dict[str, str]) -> None:
    """In the order of the documents, as later commands use what earlier ones wrote."""
    for command in shown(documents):
        line = re.sub(r"#.*$", "", command).strip()
        shrunken = line
        if re.search(r"tools/(train|eval|export_model)\.py", line):
            shrunken += SHORT if "Global.pretrained_model" in line else SHORT + SMALL
            shrunken += FEW if "/pretrain/" in line or "/universal_" in line or "/glm/" in line else ""
        if "compress.py" in line:
            # Half-taught models, on a machine that has better to do than to measure.
            shrunken += " Slim.latency=null"
        if line.startswith("ppernie tokenizer"):
            shrunken += " --vocab-size 4000"
        if re.match("ppernie (zero_shot|harness)", line):
            shrunken += " --limit 8"
        run(shrunken, checkout, environment)


def run(command: str, checkout: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(["bash", "-c", command], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_every_command_of_the_small_encoders_runs(checkout: Path, environment: dict[str, str]) -> None:
    """A small classifier teaches in all stages, in place of a released encoder and of one trained for hours."""
    short = ["Train.max_steps=4", "Train.batch_size=4", "Data.workers=0", *FEW.split(), *SMALL.split()]
    classifier = "output/ernie3/eprstmt/best_model"
    taught = [*short, f"Slim.distillation.teacher={classifier}"]
    vocabulary = checkout / "output" / "quickstart-data" / "vocab.txt"
    vocabulary.parent.mkdir(parents=True)
    words = (row["word"] for row in jieba_words.load("train"))
    vocabulary.write_text("".join(f"{token}\n" for token in character_vocabulary(words, 2)), encoding="utf-8")
    for command in (
        "ppernie preprocess -c configs/corpora/zh.yaml",
        "ppernie preprocess -c configs/corpora/zh_dev.yaml",
        f"ppernie train -c configs/ernie3/finetune/eprstmt.yaml -o {' '.join(short)}",
        f"ppernie train -c configs/ernie3/quickstart.yaml -o {' '.join(short)}",
    ):
        run(command, checkout, environment)
    stages = ("general", "general_enhanced", "task_adaptive", "task_specific")
    for command in commands(SMALL_ENCODERS):
        line = re.sub(r"#.*$", "", command).strip()
        options = short
        if line.startswith("ppernie distill"):
            options = [f"stages.{stage}.override={json.dumps(taught)}" for stage in stages]
        elif "task_specific.yaml" in line:
            options = taught
        elif line.startswith("ppernie compress"):
            options = [*short, "Slim.gate=null", "Slim.latency=null"]
            options += [f"Slim.distil.stages.task_specific.override={json.dumps(short)}"] * ("on_device" in line)
        run(f"{line} -o {' '.join(shlex.quote(option) for option in options)}", checkout, environment)


def test_every_program_runs(checkout: Path, environment: dict[str, str]) -> None:
    shown_programs = dict.fromkeys(program for document in (*FRONT, *CARDS) for program in programs(document))
    assert shown_programs
    for program in shown_programs:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{program}\n{done.stdout}\n{done.stderr}"
