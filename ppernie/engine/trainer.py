"""The training loop."""

from __future__ import annotations

import functools
import json
import logging
import math
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ppernie import checkpoints, registry
from ppernie.checkpoints import Checkpoint, Checkpoints, open_checkpoint
from ppernie.engine.accumulation import Accumulation, MicroBatch
from ppernie.engine.batches import training_batches
from ppernie.engine.best_model import BestModel
from ppernie.engine.embedding_gradient import EmbeddingGradient
from ppernie.engine.evaluate import evaluate, evaluate_streams
from ppernie.engine.gradients import scale_gradients
from ppernie.engine.inputs import input_digests
from ppernie.engine.interrupts import Interrupts
from ppernie.engine.pace import Pace
from ppernie.engine.precision import Precision
from ppernie.engine.progressive import progress, schedule_clock
from ppernie.engine.recorder import NoRecorder, Recorder
from ppernie.engine.snapshot import Snapshot
from ppernie.engine.stability import Stability
from ppernie.engine.throughput import Throughput
from ppernie.engine.watchdog import Watchdog
from ppernie.errors import Interrupted, UserError
from ppernie.files import write_file
from ppernie.nn.dropout import DropoutScale
from ppernie.optim.adamw import AdamW
from ppernie.optim.schedules import learning_rate
from ppernie.parallel.network import Share
from ppernie.slim.pruning.zeros import Zeros
from ppernie.tasks.base import LOWER_IS_BETTER

if TYPE_CHECKING:
    from ppernie.config.sections import Config
    from ppernie.engine.assemble import Parts
    from ppernie.engine.output_folder import OutputFolder
    from ppernie.parallel.ranks import Ranks
    from ppernie.tasks.pretraining import PretrainingTask

logger = logging.getLogger("ppernie")


@dataclass
class TrainState:
    """Where a run stands.

    Attributes:
        step: steps done, those without an update among them; it says which batches come next.
        best, best_step: best value of the metric and when it was reached.
        stale: evaluations since then.
        evaluated: step of the last evaluation.
    """

    step: int = 0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    evaluated: int = 0


class Trainer:
    """Trains a model as a config says, into an output folder.

    All randomness of an update is a function of (seed, step), and of a batch of (seed, epoch, number), which the step
    gives: a resumed run repeats the uninterrupted one to the bit.
    """

    def __init__(self, config: Config, parts: Parts, share: Share, folder: OutputFolder, ranks: Ranks) -> None:
        self.config, self.parts, self.share, self.folder, self.ranks = config, parts, share, folder, ranks
        self.topology, self.model = ranks.topology, share.network
        self.leads = self.topology.rank == 0
        self.task = parts.task
        train = config.Train
        self.batches = training_batches(config, parts, self.topology)
        # Where the batches of each step of an epoch begin, and those of the last one end.
        self._borders = [0, *self.batches.ends(train.accumulate_steps).tolist()]
        self.steps_per_epoch = len(self._borders) - 1
        self.total = self.steps_per_epoch * train.epochs
        if train.max_steps is not None:
            self.total = min(self.total, train.max_steps)
        self.clock = schedule_clock(config, self.total, self.topology.data_world)
        self.metric = config.Eval.metric or self.task.metric_names[0]
        if self.metric not in (*self.task.metric_names, "loss"):
            raise UserError(
                f"Eval.metric '{self.metric}' is none of this task's: {', '.join((*self.task.metric_names, 'loss'))}"
            )
        if self.topology.mp > 1 and hasattr(self.task, "cross_entropy"):
            from ppernie.parallel.layers import cross_entropy_sum

            self.task.cross_entropy = functools.partial(
                cross_entropy_sum, classes=dict(config.Arch.model)["vocab_size"]
            )
        deals = self.topology.sharding > 1 and share.shards is None
        self.optimizer = AdamW(self.model, config.Optimizer, list(share.cuts), ranks.share_out if deals else None)
        self.snapshot = Snapshot(share, self.optimizer)
        self.best_model = BestModel(
            folder.best_model,
            share,
            ranks,
            parts.description,
            self.task.tokenizer,
            config.Tuning,
            parts.distiller.students if parts.distiller else {},
        )
        self.precision = Precision(config.AMP)
        growing = train.progressive is not None and train.progressive.dropout
        self.dropout = DropoutScale(self.model) if growing else None
        points = train.embedding_gradient
        self.embedding_gradient = EmbeddingGradient(self.model, points) if points else None
        self.zeros = (
            Zeros(self.model, registry.arch_plan(config.Arch.name), train.sparsity, self.total)
            if train.sparsity
            else None
        )
        attempt = ranks.broadcast_object(uuid.uuid4().hex[:12])
        writers = checkpoints.Ranks(self.topology.rank, self.topology.world, attempt)
        self.checkpoints = Checkpoints(
            folder.checkpoints,
            train.keep_last,
            writers,
            self.topology.degrees(),
            ranks.broadcast_object,
            self._any,
        )
        self.stability = Stability(train, self.total, self.checkpoints, self._take, ranks)
        self.pace = Pace(ranks)
        self.inputs = ranks.broadcast_object(input_digests(config, learnt=True) if self.leads else {})
        self.accumulation = Accumulation(self.task, share, self.optimizer.parameters, self.precision, ranks, self.pace)
        self.state = TrainState()

    def run(self, resume: str | None) -> dict[str, Any]:
        """Trains to the end and returns what ``train_results.json`` holds.

        Args:
            resume: None to start anew, ``"auto"`` for the newest whole checkpoint of the output folder (or a new start
                where there is none), or a checkpoint folder.

        Raises:
            Interrupted: SIGINT or SIGTERM came; the run is saved.
            UserError: the loss is not finite and ``Train.on_nan`` says stop; the checkpoint is absent, damaged or
                another model's; or writing failed.
        """
        self._resume(resume)
        recorder = Recorder(self.folder.path, self.total, self.state.step) if self.leads else NoRecorder()
        try:
            watchdog = Watchdog(self.topology.rank, self.config.Train.hang_after)
            with Interrupts() as interrupts, watchdog:
                self._train(recorder, interrupts, watchdog)
            return self._finish(recorder)
        finally:
            self.checkpoints.close()
            recorder.close()

    def _resume(self, resume: str | None) -> None:
        path = None
        if resume == "auto":
            path = self.checkpoints.restore(self._load)
        elif resume:
            path = Path(resume)
            self._load(open_checkpoint(path))
        if path is not None:
            logger.info("Resumed from %s", path)

    def _train(self, recorder: Recorder, interrupts: Interrupts, watchdog: Watchdog) -> None:
        train = self.config.Train
        if "rollback" in (train.on_nan, train.spike and train.spike.action) and self.checkpoints.latest() is None:
            self._save()
        if self.state.evaluated < self.state.step and self._due(self.config.Eval.every):
            recorder.drop_evaluation(self.state.step)
            self._evaluate(recorder)
        throughput = Throughput()
        self.model.train()
        updates = self._updates()
        while self.state.step < self.total and not self._stale():
            watchdog.step(self.state.step + 1)
            record, passed = None, self.stability.pass_over(self.state.step + 1, recorder)
            if passed is None:
                self.pace.begin()
                throughput.start()
                micro_batches = next(updates)
                throughput.read()
                record = self._update(micro_batches, recorder)
                throughput.stop([counts for _, counts in micro_batches], self.topology.data_world)
                self.pace.update()
            self.state.step = step = passed or self.state.step + 1
            recorder.progress(step)
            if record and (step % train.log_every == 0 or step == self.total):
                recorder.train({**self._place(), **record, **throughput.take(self.total - step)})
                self._tell_stragglers(recorder)
            # A checkpoint from within a spike might be of spoilt weights.
            if self._due(train.save_every) and not self.stability.faults:
                self._save()
            if self._any(interrupts.pending is not None):
                self._save()
                self.checkpoints.wait()
                raise Interrupted(f"interrupted; saved at step {step}. Go on with --resume auto")
            # Saved before, as it can take long; a run that goes on from there makes it first.
            if self._due(self.config.Eval.every):
                self._evaluate(recorder)
            self.checkpoints.check()
        if self._stale() or self.stability.faults:
            self._save()
        self.checkpoints.wait()

    def _updates(self) -> Iterator[list[MicroBatch]]:
        """The batches of the update that comes next, each time."""
        while True:
            step = self.state.step
            epoch, done = divmod(step, self.steps_per_epoch)
            batches = self.batches.iterate(epoch, self._borders[done])
            for first, last in pairwise(self._borders[done:]):
                if self.state.step != step:  # steps were left out
                    break
                yield list(islice(batches, last - first))
                step += 1

    def _update(self, micro_batches: list[MicroBatch], recorder: Recorder) -> dict[str, float] | None:
        """One update; its record, or None where it was dropped."""
        step, section = self.state.step, self.config.Optimizer
        self.ranks.seed(self.config.Global.seed, step)
        if self.dropout is not None:
            self.dropout.set(progress(self.config.Train, step))
        stated: dict[str, float] = {}
        if self.embedding_gradient is not None:
            stated["embedding_gradient"] = self.embedding_gradient.set(step + 1)
        # The loss scale may change before the gradients are scaled back.
        scale = self.precision.scale
        losses, norm = self.accumulation.backward(micro_batches, scale)
        loss = sum(self.task.objectives[name] * value for name, value in losses.items())
        overflowed = self.precision.overflowed(norm)
        if overflowed or self.precision.scale != scale:
            what = "overflow, update left out" if overflowed else "no overflow for long"
            recorder.event("Scale", step + 1, f"{what}; loss scale is now {self.precision.scale:g}")
        if overflowed or not self.stability.accepts(step + 1, loss, norm, recorder):
            self.optimizer.clear_grad()
            return None
        clip = section.clip_norm
        factor = (min(1.0, clip / norm) if clip and norm else 1.0) / scale
        if factor != 1.0:
            scale_gradients(self.optimizer.parameters.values(), factor)
        rate = learning_rate(section.schedule, section.learning_rate, self.clock, step)
        with self.zeros.kept(step + 1) if self.zeros is not None else nullcontext():
            self.optimizer.step(rate)
        self.optimizer.clear_grad()
        if self.precision.dynamic:
            stated["loss_scale"] = scale
        return {"lr": rate, "loss": loss, "grad_norm": norm, **stated, **(losses if len(losses) > 1 else {})}

    def _due(self, every: int | None) -> bool:
        """Whether something that happens each ``every`` steps, or each epoch, happens now; always at the end."""
        step = self.state.step
        return step % (every or self.steps_per_epoch) == 0 or step == self.total

    def _place(self) -> dict[str, int]:
        done = self.state.step - 1
        return {
            "step": self.state.step,
            "epoch": done // self.steps_per_epoch + 1,
            "epochs": -(-self.total // self.steps_per_epoch),
            "iter": done % self.steps_per_epoch + 1,
            "iters": self.steps_per_epoch,
        }

    def _evaluate(self, recorder: Recorder) -> None:
        if not self._evaluates:
            return
        metrics = self._metrics()
        self.state.evaluated = self.state.step
        recorder.evaluation({"step": self.state.step, **metrics})
        if self.zeros is not None and not self.zeros.complete(self.state.step):
            return
        value = -metrics[self.metric] if self.metric in LOWER_IS_BETTER else metrics[self.metric]
        value = -math.inf if math.isnan(value) else value
        if self.state.best is None or value > self.state.best:
            self.state.best, self.state.best_step, self.state.stale = value, self.state.step, 0
            self._save_best(metrics)
        else:
            self.state.stale += 1

    @property
    def _evaluates(self) -> bool:
        return bool(self.parts.eval or self.parts.eval_streams)

    def _metrics(self) -> dict[str, float]:
        batch_size = self.config.Eval.batch_size
        if not self.parts.eval_streams:
            return evaluate(self.model, self.task, self.parts.eval, batch_size)
        assert self.config.Data.eval is not None
        task = cast("PretrainingTask", self.task)
        return evaluate_streams(self.model, task, self.parts.eval_streams, batch_size, self.config.Data.eval.limit)

    def _stale(self) -> bool:
        patience = self.config.Eval.early_stopping
        return patience is not None and self.state.stale >= patience

    def _any(self, here: bool) -> bool:
        """Whether it is so on any rank."""
        return here if self.topology.world == 1 else self.ranks.all_sum([float(here)], over="all")[0] > 0

    def _tell_stragglers(self, recorder: Recorder) -> None:
        if self.topology.world == 1:
            return
        for rank, seconds, median in self.pace.stragglers():
            told = f"rank {rank} works {seconds:.2f} s an update, the median {median:.2f} s; the others wait for it"
            recorder.event("Straggler", self.state.step, told)

    def _save_best(self, metrics: dict[str, float]) -> None:
        self.best_model.save({"step": self.state.step, **metrics})

    def _save(self) -> None:
        state = {
            "train": asdict(self.state),
            "precision": self.precision.state_dict(),
            "stability": self.stability.state_dict(),
            "batch_size": self.batches.batch_size,
            "inputs": self.inputs,
            "description": self.best_model.learnt.model_dump(),
        }
        self.checkpoints.save(self.state.step, self.snapshot.slices(), state, beside=self.config.Train.async_save)

    def _load(self, checkpoint: Checkpoint) -> None:
        # A model folder made a checkpoint has weights and a step alone.
        stored = checkpoint.state.get("batch_size", self.batches.batch_size)
        if stored != self.batches.batch_size:
            raise UserError(
                f"{checkpoint.path}: belongs to a run with {stored} examples a batch over all ranks, this one has "
                f"{self.batches.batch_size}; set Train.batch_size so that their number stays"
            )
        # A moved file is the same; an earlier version kept nothing.
        read = set(checkpoint.state.get("inputs", self.inputs).values())
        if changed := [path for path, found in self.inputs.items() if found not in read]:
            raise UserError(
                f"{checkpoint.path}: belongs to a run over other data: changed since, or not there then, are "
                f"{', '.join(changed)}. Restore it, or start anew, with this run's model as Global.pretrained_model"
            )
        self._take(checkpoint)
        # An earlier version kept more.
        kept = checkpoint.state["train"].items()
        self.state = TrainState(**{name: value for name, value in kept if name in TrainState.__annotations__})
        if not (self.folder.best_model / "metrics.json").exists():  # the checkpoint is of a run in another folder
            self.state = TrainState(self.state.step)
        if "stability" in checkpoint.state:
            self.stability.load_state_dict(checkpoint.state["stability"], self.state.step)

    def _take(self, checkpoint: Checkpoint) -> None:
        """Weights, moments and loss scale."""
        self.snapshot.load(checkpoint)
        if "precision" in checkpoint.state:
            self.precision.load_state_dict(checkpoint.state["precision"])

    def _finish(self, recorder: Recorder) -> dict[str, Any]:
        if not self._evaluates:
            self._save_best({})
        results: dict[str, Any] = {"steps": self.state.step}
        if self.stability.skipped:
            results["skipped"] = self.stability.skipped
        if self._evaluates:
            self.ranks.barrier()
            results |= json.loads((self.folder.best_model / "metrics.json").read_text(encoding="utf-8"))
            results |= {"steps": self.state.step, "best_step": results.pop("step"), "metric": self.metric}
        if self.parts.test:
            self.best_model.load()
            metrics = evaluate(self.model, self.task, self.parts.test, self.config.Eval.batch_size)
            results["test"] = metrics
        if self.leads:
            write_file(self.folder.results, json.dumps(results, indent=2) + "\n")
        return results
