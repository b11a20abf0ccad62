"""All tasks of a harness file with one network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppernie.errors import UserError
from ppernie.harness.aggregates import aggregate
from ppernie.harness.choice import choose
from ppernie.harness.generation import write
from ppernie.harness.language_modelling import model_language
from ppernie.harness.outcome import Outcome, of_prompt, of_task
from ppernie.harness.results import Results, digest_of
from ppernie.harness.rows import Question, read_questions
from ppernie.harness.scorer import Scorer
from ppernie.harness.tasks import Aggregate, ChoiceTask, GenerationTask, Task

logger = logging.getLogger("ppernie")


def run_tasks(
    tasks: Mapping[str, Task],
    root: str | None,
    model: Path,
    out: Path,
    open_scorer: Callable[[], Scorer],
    *,
    limit: int | None,
    seed: int,
    aggregates: Mapping[str, Aggregate] | None = None,
) -> dict[str, dict[str, Any]]:
    """The results of the tasks by name, each written to the folder ``out`` as soon as it is there; then the aggregates.

    An aggregate of which a task is not among these is left out. What the folder has of the same tasks, files and
    settings is kept. All data is read before the network: a wrong path shows at once.

    Raises:
        UserError: the data of a task, named in the message, does not fit it, or the folder cannot be written.
    """
    results = Results(out)
    digests = {name: digest_of(task, root, model, limit, seed) for name, task in tasks.items()}
    open_ = [name for name in tasks if not results.has(name, digests[name])]
    for name in set(tasks) - set(open_):
        logger.info("%s: kept from %s", name, out)
    questions = {name: _named(name, read_questions)(tasks[name], root, limit, seed) for name in open_}
    if open_:
        scorer = open_scorer()
        for name in open_:
            found = _named(name, _evaluated)(name, tasks[name], questions[name], scorer)
            results.add(name, {"digest": digests[name], **found})
    made = {
        name: aggregate([results.tasks[task] for task in made_of.tasks])
        for name, made_of in (aggregates or {}).items()
        if set(made_of.tasks) <= set(tasks)
    }
    if made:
        results.add_aggregates(made)
    return {name: results.tasks[name] for name in tasks} | made


def _evaluated(name: str, task: Task, prompts: dict[str, list[Question]], scorer: Scorer) -> dict[str, Any]:
    found = {}
    for number, (prompt, questions) in enumerate(prompts.items(), 1):
        logger.info("%s: prompt %d of %d (%s), %d rows", name, number, len(prompts), prompt, len(questions))
        outcome = _answered(task, questions, scorer)
        found[prompt] = of_prompt(outcome, [question.part for question in questions], task.weights)
    return {
        "rows": max(result["rows"] for result in found.values()),
        "truncated": sum(result["truncated"] for result in found.values()),
        "measures": of_task(found),
        "prompts": found,
    }


def _answered(task: Task, questions: Sequence[Question], scorer: Scorer) -> Outcome:
    if isinstance(task, ChoiceTask):
        return choose(task, questions, scorer)
    if isinstance(task, GenerationTask):
        return write(task, questions, scorer)
    return model_language(task, questions, scorer)


def _named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose errors name the task."""

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except UserError as error:
            raise UserError(f"{name}: {error}") from error

    return call
