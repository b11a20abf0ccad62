"""What a run does about updates that would spoil it: leaves them out, or goes back and leaves their data out.

The data of an update is a function of its step, and a step that is left out counts: the run goes on with the next
step and its data, as one does that has the same steps in ``Train.skip`` from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppernie.checkpoints import Checkpoint, Checkpoints, Damaged
from ppernie.engine.monitor import Monitor
from ppernie.errors import UserError

if TYPE_CHECKING:
    from ppernie.config.sections import TrainSection
    from ppernie.engine.recorder import Recorder
    from ppernie.parallel.ranks import Ranks

# Updates left out in a row after which going on is pointless.
_MOST_SKIPS = 10
_ADVICE = "Lower Optimizer.learning_rate, lengthen the warm-up, or look at the data"


class Stability:
    """Accepts the updates of a run or not, by ``Monitor``'s verdict.

    A faulty update is never applied. Where the verdict is ``rollback``, and ``Train.rollback.after`` updates in a row
    are faulty, the weights are at fault: the run takes those of its last checkpoint, and the steps since then count
    as left out. A last checkpoint from which no update was good, as after a rollback that did not help or from within
    a spike, is set aside if there is an older one.

    All ranks judge the same sums over all of them, and so decide alike.

    Args:
        total: steps of the run.
        load: takes weights and moments of a checkpoint, and what goes with them.

    Attributes:
        faults: faulty updates in a row, up to now.
        skipped: ranges [first, last] of the steps, counted from 1, whose data taught the model nothing.

    Raises:
        UserError: ``Train.skip`` names a range after the end of the run.
    """

    def __init__(
        self,
        train: TrainSection,
        total: int,
        checkpoints: Checkpoints,
        load: Callable[[Checkpoint], None],
        ranks: Ranks,
    ) -> None:
        self._checkpoints, self._load, self._ranks = checkpoints, load, ranks
        self._limits, self._monitor = train.rollback, Monitor(train)
        for first, last in train.skip:
            if first > total:
                raise UserError(f"Train.skip: [{first}, {last}] begins after step {total}, the last of the run")
        self._planned = merged((first, min(last, total)) for first, last in train.skip)
        self.skipped: list[list[int]] = []
        self.faults, self._rollbacks, self._restored = 0, 0, 0
        # Whether an update was good since the last rollback.
        self._recovered = True

    def pass_over(self, step: int, recorder: Recorder) -> int | None:
        """The last step of the range of ``Train.skip`` that holds this one; None where none does."""
        last = next((last for first, last in self._planned if first <= step <= last), None)
        if last is not None:
            self._leave_out(step, last)
            recorder.event("Skip", step, f"steps {step} to {last} left out, as Train.skip says")
        return last

    def accepts(self, step: int, loss: float, grad_norm: float, recorder: Recorder) -> bool:
        """Whether the update of a step may be applied; where not, the run is ready for the next step.

        Raises:
            UserError: the run should stop, or cannot go back.
        """
        verdict, reason = self._monitor.judge(loss, grad_norm)
        if verdict == "report":
            recorder.event("Spike", step, reason)
        if verdict in ("ok", "report"):
            self.faults, self._recovered = 0, True
            return True
        self.faults += 1
        if verdict == "stop" or (verdict == "skip" and self.faults > _MOST_SKIPS):
            latest = self._checkpoints.latest()
            raise UserError(
                f"step {step}: {reason}. The last checkpoint is {latest or 'none'}. {_ADVICE}, or set Train.on_nan to "
                "skip or rollback"
            )
        self._leave_out(step, step)
        if verdict == "rollback" and self.faults >= self._limits.after:
            self._go_back(step, reason, recorder)
        else:
            recorder.event("Skip", step, f"{reason}; update left out")
        return False

    def _go_back(self, step: int, reason: str, recorder: Recorder) -> None:
        folder, limit = self._checkpoints.folder, self._limits.limit
        if self._rollbacks == limit:
            raise UserError(f"step {step}: {reason}, after {limit} rollbacks (Train.rollback.limit). {_ADVICE}")
        replaceable = self._replaceable()

        def take(checkpoint: Checkpoint) -> None:
            own = checkpoint.state.get("stability", {})
            if checkpoint.path == replaceable and (own.get("faults") or not self._recovered):
                raise Damaged(checkpoint.path, "no update from its weights was good")
            self._load(checkpoint)
            self._monitor.load_state_dict(own.get("monitor", {}))
            self._restored = checkpoint.state["train"]["step"]

        if self._checkpoints.restore(take) is None:
            raise UserError(f"step {step}: {reason}, and {folder} holds nothing to roll back to")
        self.faults, self._rollbacks, self._recovered = 0, self._rollbacks + 1, False
        self._leave_out(self._restored + 1, step)
        recorder.undo(self._restored)
        told = f"{reason}; back to the weights of step {self._restored}, the data up to step {step} left out"
        recorder.event("Rollback", step, told)

    def _replaceable(self) -> Path | None:
        """The last checkpoint, if there is one before it."""
        self._checkpoints.wait()
        found = [path for _, path in self._checkpoints.complete()]
        return self._ranks.broadcast_object(found[-1] if len(found) > 1 else None)

    def _leave_out(self, first: int, last: int) -> None:
        self.skipped = merged([*self.skipped, (first, last)])

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "skipped": self.skipped,
            "faults": self.faults,
            "rollbacks": self._rollbacks,
            "recovered": self._recovered,
            "monitor": self._monitor.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any], step: int) -> None:
        """Takes the state of a run that made ``step`` steps.

        Raises:
            UserError: the run has learned from steps that ``Train.skip`` leaves out.
        """
        self.skipped = merged(state["skipped"])
        for first, last in self._planned:
            end = min(last, step)
            if first <= step and not any(start <= first and end <= stop for start, stop in self.skipped):
                raise UserError(
                    f"Train.skip: [{first}, {last}] begins before the end of the checkpoint of step {step}, which was "
                    f"trained on it; resume from a checkpoint of step {first - 1} or before"
                )
        self.faults, self._rollbacks = state["faults"], state["rollbacks"]
        self._recovered = state["recovered"]
        self._monitor.load_state_dict(state["monitor"])


def merged(ranges: Iterable[Iterable[int]]) -> list[list[int]]:
    """Ranges [first, last] in order, those that meet made one."""
    found: list[list[int]] = []
    for first, last in sorted(map(tuple, ranges)):
        if found and first <= found[-1][1] + 1:
            found[-1][1] = max(found[-1][1], last)
        else:
            found.append([first, last])
    return found
