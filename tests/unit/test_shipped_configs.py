"""Every config that ships: it loads, and its network and task fit each other, on a shrunken model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ppernie import registry
from ppernie.config import dump_config, load_config
from ppernie.data.corpus.settings import load_corpus_config
from ppernie.data.readers.files import resolve
from ppernie.data.tokenizers import ErnieTokenizer
from ppernie.tasks.pretraining import PretrainingTask

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
# Corpora, experiments, prompts and the harness have configs of their own kinds, and distillation tests of its own.
APART = {"_base_", "corpora", "experiments", "zero_shot", "eval", "distill"}
SHIPPED = sorted(path for path in CONFIGS.rglob("*.yaml") if not APART & {*path.relative_to(CONFIGS).parts})
# These learn from a corpus, which tests of their own have; GLMs, whose tokenizers are others, have theirs too.
OVER_CORPORA = [path for path in SHIPPED if path.parent.name == "pretrain" and path.stem != "masked_lm"]
CORPORA = sorted(CONFIGS.glob("corpora/*.yaml"))
SMALL = ["Arch.num_hidden_layers=2", "Arch.hidden_size=16", "Arch.num_attention_heads=2", "Arch.intermediate_size=32"]
EXAMPLES = {
    "sequence_classification": {"text": "物流很快", "text_pair": "东西很好", "label": "好"},
    "token_classification": {"tokens": list("厦门的海"), "tags": ["B-LOC", "I-LOC", "O", "O"]},
    "span_extraction": {"question": "哪里？", "context": "在厦门的海上", "answers": [{"text": "厦门", "start": 1}]},
    "multiple_choice": {"text": "这是#idiom#的事", "choices": ["一举两得"] * 7, "label": 3},
    "cross_similarity": {"text": "物流很快", "text_pair": "很快", "label": 1.0},
    "dual_similarity": {"text": "物流很快", "text_pair": "很快", "label": 1.0},
    "masked_language_modeling": {"text": "物流很快东西很好"},
    "text_generation": {"text": "物流很快", "target": "快吗"},
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> ErnieTokenizer:
    characters = sorted({c for e in EXAMPLES.values() for v in e.values() for c in str(v) if not c.isspace()})
    tokens = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *characters]
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    return ErnieTokenizer.from_vocab(path)


def test_there_are_configs() -> None:
    assert len(SHIPPED) >= 14 and len(CORPORA) >= 2


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.stem)
def test_a_corpus_is_of_files_that_are_there(path: Path, shared_data: Path) -> None:
    config = load_corpus_config(path, [f"root={shared_data}"])
    for source in (*config.sources, *config.graphs, *config.pairs):
        assert resolve(source.files, config.root)
    assert config.output == f"output/corpora/{path.stem}"


@pytest.mark.parametrize("path", OVER_CORPORA, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_a_pretraining_run_loads(path: Path, tmp_path: Path) -> None:
    config = load_config(path)
    resolved = tmp_path / "config.yaml"
    resolved.write_text(dump_config(config), encoding="utf-8")
    assert load_config(resolved) == config
    assert issubclass(registry.task_class(config.Task.name), PretrainingTask)
    assert config.Data.train is not None and config.Data.train.corpus is not None
    assert config.Train.max_steps is not None


@pytest.mark.parametrize(
    "path",
    [path for path in SHIPPED if path not in OVER_CORPORA and "glm" not in path.parts],
    ids=lambda path: str(path.relative_to(CONFIGS)),
)
def test_loads_builds_and_takes_a_gradient(path: Path, tokenizer: ErnieTokenizer, tmp_path: Path) -> None:
    import paddle

    config = load_config(path, SMALL)
    resolved = tmp_path / "config.yaml"
    resolved.write_text(dump_config(config), encoding="utf-8")
    assert load_config(resolved) == config

    task = registry.task_class(config.Task.name)(config.Task.options, tokenizer, config.Data.max_length)
    example = EXAMPLES[config.Task.name] | {"where": "here"}
    other = example | {"label": "坏"} if isinstance(example.get("label"), str) else example
    task.prepare([example, other])
    model = registry.arch_class(config.Arch.name)(config.Arch.model, **task.head())
    items = [*task.expand(example, True), *task.expand(other, True)]
    batch = task.collate([task.encode(item, (0, 0, 0)) for item in items])
    names = [name for name in (*task.input_names, "masked_positions") if name in batch]
    tensors = {name: paddle.to_tensor(array) for name, array in batch.items()}
    loss = task.loss(model(**{name: tensors[name] for name in names}), tensors)
    loss.backward()
    assert np.isfinite(float(loss))
    first = (".encoder.layers.0.", "trunk.layers.0.")
    assert all(p.grad is not None for n, p in model.named_parameters() if any(part in n for part in first))
