"""Writes ``golden/``: a small classifier as Hugging Face saves it, in three forms, for ``test_golden.py``.

Run it where torch 2.13 and transformers 5.23 are installed: ``python tests/parity/zoo/make_golden.py``.
Outputs are computed in float32 by its own forward.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
import transformers

GOLDEN = Path(__file__).parent / "golden"


def main() -> None:
    config = transformers.ErnieConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=20,
        hidden_act="relu",
        max_position_embeddings=12,
        type_vocab_size=3,
        task_type_vocab_size=4,
        use_task_id=True,
        id2label={0: "差", 1: "好"},
        label2id={"差": 0, "好": 1},
    )
    model = transformers.ErnieForSequenceClassification(config).eval()
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=float(name.endswith("LayerNorm.weight")), std=0.2)
    shutil.rmtree(GOLDEN, ignore_errors=True)
    model.save_pretrained(GOLDEN / "whole")
    model.save_pretrained(GOLDEN / "shards", max_shard_size="8KB")
    (GOLDEN / "bin").mkdir()
    # transformers writes this form no more; many folders hold it.
    shutil.copy(GOLDEN / "whole" / "config.json", GOLDEN / "bin" / "config.json")
    torch.save(model.state_dict(), GOLDEN / "bin" / "pytorch_model.bin")

    rng = np.random.default_rng(0)
    ids = np.where(np.arange(9) < rng.integers(3, 10, (4, 1)), rng.integers(1, 40, (4, 9)), 0)
    inputs = {
        "input_ids": ids,
        "token_type_ids": rng.integers(0, 3, ids.shape),
        "task_type_ids": rng.integers(0, 4, ids.shape),
    }
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    with torch.no_grad():
        logits = model(**tensors, attention_mask=(tensors["input_ids"] != 0).long()).logits
    np.savez_compressed(GOLDEN / "io.npz", logits=logits.numpy(), **inputs)


if __name__ == "__main__":
    main()
