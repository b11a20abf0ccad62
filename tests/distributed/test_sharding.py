"""What stages 2 and 3 of sharding leave in a rank's memory, between updates and within them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LAYERS = 6


def _measured(values: dict[str, Any]) -> dict[str, Any]:
    """Trains; bytes of the weights, gradients and optimizer state, and what the blocks' forward sees."""
    import paddle
    from paddle.base import core

    from ppernie.config import parse_config
    from ppernie.engine import trainer
    from ppernie.engine.train import train

    found: dict[str, Any] = {"whole blocks": 0, "passes": 0}

    def used() -> int:
        return core.host_memory_stat_current_value("Allocated", 0)

    class Watched(trainer.Trainer):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            for block in self._blocks():
                block.register_forward_post_hook(self._count)
            found["weights"] = used()
            plain = self.accumulation.backward

            def backward(*arguments: Any) -> Any:
                result = plain(*arguments)
                found["with gradients"] = used()
                return result

            self.accumulation.backward = backward  # type: ignore[method-assign]

        def _blocks(self) -> list[paddle.nn.Layer]:
            return [layer for name, layer in self.model.named_sublayers() if name.split(".")[-2:-1] == ["layers"]]

        def _count(self, *_: Any) -> None:
            if not self.model.training:
                return
            width = values["Arch"]["hidden_size"]
            whole = sum(block.feed_forward.linear1.weight.shape[0] == width for block in self._blocks())
            found["passes"] += 1
            found["whole blocks"] = max(found["whole blocks"], whole)

        def _finish(self, *arguments: Any) -> dict[str, Any]:
            found["with moments"] = used()
            return super()._finish(*arguments)

    trainer.Trainer = Watched  # type: ignore[misc]
    found["test"] = train(parse_config(values))["test"]["loss"]
    return found


@pytest.mark.parametrize("stage", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_a_rank_keeps_its_part_alone(
    stage: int, run_values: dict[str, Any], launch: Callable[..., Any], tmp_path: Path
) -> None:
    def values(name: str, batch_size: int, **distributed: Any) -> dict[str, Any]:
        made = json.loads(json.dumps(run_values))
        made["Global"]["output_dir"] = str(tmp_path / name)
        made["Arch"] |= {"name": "ernie3/ErnieForMaskedLM", "num_hidden_layers": LAYERS, "hidden_size": 256}
        made["Arch"] |= {"intermediate_size": 1024, "vocab_size": 1000}
        made["Arch"] |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        made["Task"] = {"name": "masked_language_modeling"}
        made["Data"]["test"] = {"files": "test.jsonl"}
        made["Train"] |= {"batch_size": batch_size, "max_steps": 2, "epochs": 2}
        made["Distributed"] = distributed
        return made

    (alone,) = launch(_measured, 1, values("alone", 4)).results
    ranks = launch(_measured, 2, values("several", 2, sharding=2, sharding_stage=stage)).results
    for rank in ranks:
        for moment in ("weights", "with moments"):
            assert 0.49 < rank[moment] / alone[moment] < 0.56, (moment, rank, alone)
        # The state of an earlier update is there, too.
        assert 0.49 < rank["with gradients"] / alone["with gradients"] < 0.58, (rank, alone)
        assert rank["passes"] == 2 * LAYERS
        # The network's own hook comes after this one: the block that has just run is whole, in stage 2 all are.
        assert rank["whole blocks"] <= 1 if stage == 3 else rank["whole blocks"] == LAYERS
        # Of the best model, written from the parts of all ranks and read into them.
        assert rank["test"] == pytest.approx(alone["test"], rel=1e-4)
    assert alone["whole blocks"] == LAYERS
