"""Jobs over forked processes that end with the one that started them."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ppernie.errors import UserError

Job = TypeVar("Job")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1


def run_jobs(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Generator[Result, None, None]:
    """Results in the order in which they come; with one worker the jobs run in this process.

    Closing the iterator, or an error of a job, ends the processes at once.

    Raises:
        UserError: a process was killed.
    """
    if min(workers, len(jobs)) <= 1:
        yield from map(function, jobs)
        return
    others = multiprocessing.active_children()
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(workers, len(jobs)), context, _tie_to_parent) as executor:
        try:
            for future in as_completed([executor.submit(function, job) for job in jobs]):
                yield future.result()
        except BaseException as error:
            for child in set(multiprocessing.active_children()) - set(others):
                child.kill()
            if isinstance(error, BrokenProcessPool):
                raise UserError(
                    "a worker process was killed, most likely for want of memory; start again, with fewer --workers: "
                    "what is done stays"
                ) from None
            raise


def _tie_to_parent() -> None:
    """Ctrl-C is the parent's to handle; and a worker that outlived it would write where the next run does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
