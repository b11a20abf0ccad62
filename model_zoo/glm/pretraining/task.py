"""GLM's pretraining as a task: autoregressive blank infilling (arXiv:2210.02414, section 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from model_zoo.glm.pretraining.instructions import Instructions
from model_zoo.glm.pretraining.options import Options
from model_zoo.glm.pretraining.windows import Windows
from ppernie.data.streams import Stream
from ppernie.data.tokenizers import GlmTokenizer
from ppernie.errors import UserError
from ppernie.tasks.base import Batch
from ppernie.tasks.pretraining import PretrainingTask

if TYPE_CHECKING:
    import paddle

    from model_zoo.glm.config import GlmConfig
    from ppernie.data.corpus import Corpus
    from ppernie.data.tokenizers import Tokenizer


class BlankInfilling(PretrainingTask):
    """The loss is the mean over all predicted ``tokens``, whatever window they are in.

    The objectives ``gmask``, ``mask``, ``smask`` and ``instructions`` are the same tokens apart, for the log: their
    factors are 0.
    """

    Options = Options
    input_names = ("input_ids", "position_ids", "visible", "predicted_positions")

    def __init__(self, options: Any, tokenizer: Tokenizer, max_length: int) -> None:
        super().__init__(options, tokenizer, max_length)
        if not isinstance(tokenizer, GlmTokenizer):
            raise UserError("blanks are filled with a GLM's tokenizer; set Data.tokenizer to one of its kinds")
        if options.smask and tokenizer.smask_id is None:
            raise UserError("the tokenizer has no token for hidden sentences; set Task.smask to 0")
        self._glm_tokenizer = tokenizer
        self._parts = list(options.shares)
        self.objectives = {"tokens": 1.0, **dict.fromkeys(self._parts, 0.0)}

    def streams(self, corpus: Corpus, arch: GlmConfig) -> dict[str, Stream]:
        return self._windows(corpus, arch, held_out=False)

    def evaluation_streams(self, corpus: Corpus, arch: GlmConfig) -> dict[str, Stream]:
        return self._windows(corpus, arch, held_out=True)

    def _windows(self, corpus: Corpus, arch: GlmConfig, *, held_out: bool) -> dict[str, Stream]:
        options, tokenizer, instructions = self.options, self._glm_tokenizer, None
        if options.instructions:
            room = self.max_length // options.samples
            instructions = Instructions(options.instructions, tokenizer, room, held_out=held_out)
        return {"windows": Windows(corpus, tokenizer, self.max_length, arch.position_rows, options, instructions)}

    def losses(self, outputs: paddle.Tensor, batch: Mapping[str, paddle.Tensor]) -> dict[str, paddle.Tensor]:
        import paddle

        names = [name for name in self._parts if name in batch]
        logits = paddle.split(outputs, [len(batch[name]) for name in names]) if len(names) > 1 else [outputs]
        sums = {name: self.cross_entropy(part, batch[name]) for name, part in zip(names, logits, strict=True)}
        return {"tokens": paddle.add_n(list(sums.values())), **{name: loss.detach() for name, loss in sums.items()}}

    def cross_entropy(self, logits: paddle.Tensor, labels: paddle.Tensor) -> paddle.Tensor:
        """Sum over the labels int64 [n] of scores [n, vocabulary]; a run whose ranks share these puts its own here."""
        from paddle.nn import functional as F

        return F.cross_entropy(logits, labels, reduction="sum")

    def weights(self, batch: Batch) -> dict[str, float]:
        sizes = {name: float(len(batch[name])) for name in self._parts if name in batch}
        return {"tokens": sum(sizes.values()), **sizes}
