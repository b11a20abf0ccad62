"""The best model of a run: what is written of it, and the way back into the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppernie.parallel.network import Share, parts_of
from ppernie.parallel.state import whole_weights
from ppernie.peft import Adapters
from ppernie.peft.weights import merged, unmerged
from ppernie.slim.distillation.companions import is_companion, student_weights
from ppernie.zoo.folder import read_stored, save_model
from ppernie.zoo.layout import Tensor
from ppernie.zoo.weights import load_weights

if TYPE_CHECKING:
    from ppernie.config.sections import TuningSection
    from ppernie.data.tokenizers import Tokenizer
    from ppernie.parallel.ranks import Ranks
    from ppernie.slim.distillation.students import StudentModel
    from ppernie.zoo.description import ModelDescription


class BestModel:
    """The model folder of a run; with adapters it holds these alone, or a network that needs no other.

    Students that learn beside the network have folders of their own, ``students/NAME`` beside it.

    Args:
        description: of the network without adapters.
        students: by name.

    Attributes:
        learnt: describes what a checkpoint has of the network: all of it, or what learns beside a base.
    """

    def __init__(
        self,
        folder: Path,
        share: Share,
        ranks: Ranks,
        description: ModelDescription,
        tokenizer: Tokenizer,
        tuning: TuningSection,
        students: Mapping[str, StudentModel],
    ) -> None:
        self._folder, self._share, self._ranks, self._tokenizer = folder, share, ranks, tokenizer
        self._students = students
        # What is not written of the network, and what is added to its other weights.
        self._left = share.frozen if tuning.save == "adapters" else frozenset[str]()
        self._merged = tuning.lora if tuning.save == "whole" else None
        self.learnt = self._description = description
        if tuning.on:
            self.learnt = description.model_copy(
                update={"tuning": Adapters(lora=tuning.lora, prefix=tuning.prefix, base=share.base)}
            )
            whole = Adapters(prefix=tuning.prefix) if tuning.prefix else None
            self._description = description.model_copy(update={"tuning": whole})
        if tuning.save == "adapters":
            self._description = self.learnt

    def save(self, metrics: Mapping[str, Any]) -> None:
        """Writes the folder; all ranks must call it."""
        weights: Mapping[str, Any] = whole_weights(self._share, self._ranks, but=self._left)
        if self._ranks.topology.rank == 0:
            if self._merged is not None:
                weights = {name: np.asarray(tensor) for name, tensor in merged(weights, self._merged).items()}
            for name, student in self._students.items():
                target = self._folder.with_name("students") / name
                kept = student.kept(student_weights(weights, name))
                save_model(target, kept, student.description, self._tokenizer, metrics)
            own = {name: tensor for name, tensor in weights.items() if not is_companion(name)}
            save_model(self._folder, own, self._description, self._tokenizer, metrics)
        self._ranks.barrier()

    def load(self) -> None:
        """Gives the network what the folder holds. Raises UserError where it is damaged."""
        share = self._share
        weights: Mapping[str, Tensor] = read_stored(self._folder, self._description)
        if self._merged is not None:
            weights = unmerged(weights, {name: cut.shape for name, cut in share.cuts.items()})
        but = self._left | {name for name in share.cuts if is_companion(name)}
        load_weights(share.network, parts_of(weights, share), str(self._folder), but=but)
