"""Rules between keys of a config."""

from __future__ import annotations

from typing import Any

from ppernie import registry
from ppernie.config.report import Report


def cross_check(values: dict[str, Any], report: Report) -> None:
    """Check every rule whose keys are sound; ``values`` are the sections with the variant's fields filled in."""

    def value(key: str) -> Any:
        return report.sound(values, tuple(key.split(".")))

    _check_task(value, report)
    _check_sources(value, report)
    _check_corpus_run(value, report)
    _check_growth(value, report)
    _check_length(value, report)
    _check_schedule(value, report)
    _check_embedding_gradient(value, report)
    _check_parts(value, report)
    _check_tensor_parallel(value, report)
    _check_pipeline(value, report)
    _check_tuning(value, report)
    _check_distillation(value, report)
    _check_sparsity(value, report)
    _check_recipe(value, report)


def _check_task(value: Any, report: Report) -> None:
    arch, task = value("Arch.name"), value("Task.name")
    if arch in registry.arch_names() and task in registry.task_names() and task not in registry.arch_tasks(arch):
        served = ", ".join(registry.arch_tasks(arch)) or "no task"
        others = [name for name in registry.arch_names() if task in registry.arch_tasks(name)]
        hint = f"; for {task} take {' or '.join(others)}" if others else ""
        report.add(("Arch", "name"), f"{arch} serves {served}, not {task}{hint}")


_SOURCES = ("files", "dataset", "corpus")


def _check_sources(value: Any, report: Report) -> None:
    for part in ("train", "eval", "test"):
        source = value(f"Data.{part}")
        if isinstance(source, dict) and sum(source.get(kind) is not None for kind in _SOURCES) != 1:
            report.add(("Data", part), f"must name one of {', '.join(_SOURCES)}, and no other")


def _check_corpus_run(value: Any, report: Report) -> None:
    if not value("Data.train.corpus"):
        return
    for key, told in (
        ("max_steps", "is missing: a run over a corpus is as long as it says"),
        ("save_every", "is missing: a run over a corpus has no epochs at whose end it could save"),
    ):
        if value(f"Train.{key}") is None and not report.is_faulty(("Train", key)):
            report.add(("Train", key), told)
    if value("Data.train.limit") is not None:
        report.add(("Data", "train", "limit"), "of a corpus to learn from all is read; leave it out")
    if value("Data.train.fields"):
        report.add(("Data", "train", "fields"), "a corpus has no fields; leave them out")


def _check_growth(value: Any, report: Report) -> None:
    if not value("Train.progressive.steps"):
        return
    if not value("Data.train.corpus"):
        report.add(("Train", "progressive"), "growth is for runs over a corpus; leave it out")
    for first, full in (
        ("length", "Data.max_length"),
        ("batch_size", "Train.batch_size"),
        ("accumulate_steps", "Train.accumulate_steps"),
    ):
        small, large = value(f"Train.progressive.{first}"), value(full)
        if isinstance(small, int) and isinstance(large, int) and small > large:
            report.add(("Train", "progressive", first), f"{small} exceeds {full} = {large}, to which it should grow")


def _check_length(value: Any, report: Report) -> None:
    length, positions = value("Data.max_length"), value("Arch.max_position_embeddings")
    if isinstance(length, int) and isinstance(positions, int) and length > positions:
        report.add(
            ("Data", "max_length"),
            f"{length} tokens do not fit the {positions} positions of Arch.max_position_embeddings",
        )


def _check_schedule(value: Any, report: Report) -> None:
    if value("Optimizer.schedule.unit") == "samples":  # of which the run knows the number
        return
    warmup, max_steps = value("Optimizer.schedule.warmup"), value("Train.max_steps")
    if isinstance(warmup, int) and isinstance(max_steps, int) and warmup >= max_steps:
        report.add(
            ("Optimizer", "schedule", "warmup"),
            f"{warmup} steps of warm-up leave nothing of Train.max_steps = {max_steps}",
        )
    decay = value("Optimizer.schedule.decay")
    if value("Optimizer.schedule.name") != "wsd" or warmup is None or decay is None:
        return
    shares = [part / max_steps if max_steps and isinstance(part, int) else part for part in (warmup, decay)]
    if all(isinstance(share, float) for share in shares) and sum(shares) > 1:
        report.add(("Optimizer", "schedule", "decay"), f"warm-up ({warmup}) and decay ({decay}) exceed the run")


def _check_embedding_gradient(value: Any, report: Report) -> None:
    arch = value("Arch.name")
    known = arch not in registry.arch_names() or ("Arch", "embedding_gradient") in report.known
    if value("Train.embedding_gradient") is not None and not known:
        report.add(("Train", "embedding_gradient"), f"{arch} has no Arch.embedding_gradient to change; leave it out")


def _check_parts(value: Any, report: Report) -> None:
    for degree, lacking in (("ep", "experts"), ("sep", "attention over a sequence that is cut")):
        if (value(f"Distributed.{degree}") or 1) > 1:
            report.add(("Distributed", degree), f"no network here has {lacking}; leave {degree} at 1")
    stage, sharding, pp = value("Distributed.sharding_stage"), value("Distributed.sharding"), value("Distributed.pp")
    if stage in (2, 3) and sharding == 1:
        report.add(("Distributed", "sharding_stage"), f"stage {stage} needs Distributed.sharding > 1")
    elif stage in (2, 3) and pp is not None and pp > 1:
        report.add(
            ("Distributed", "sharding_stage"),
            f"stage {stage} would move its parts with every micro-batch of a pipeline; take stage 1 with pp = {pp}",
        )


def _check_tensor_parallel(value: Any, report: Report) -> None:
    mp, sequence_parallel = value("Distributed.mp"), value("Distributed.sequence_parallel")
    if mp is None:
        return
    if sequence_parallel and mp == 1:
        report.add(("Distributed", "sequence_parallel"), "needs Distributed.mp > 1, whose ranks share the sequence")
    sizes = {
        f"Arch.{key}": value(f"Arch.{key}")
        for key in ("num_attention_heads", "num_key_value_heads", "intermediate_size", "vocab_size")
    }
    if sequence_parallel:
        sizes["Data.max_length"] = value("Data.max_length")
    uneven = [f"{key} = {size}" for key, size in sizes.items() if isinstance(size, int) and size % mp]
    if uneven:
        report.add(("Distributed", "mp"), f"{mp} does not divide {', '.join(uneven)}; choose another mp")


def _check_pipeline(value: Any, report: Report) -> None:
    pp, virtual, schedule = (value(f"Distributed.{key}") for key in ("pp", "virtual_stages", "schedule"))
    if pp is None or virtual is None or schedule is None:
        return
    if (virtual > 1) != (schedule == "interleaved"):
        report.add(("Distributed", "schedule"), "interleaved goes with Distributed.virtual_stages > 1, and 1f1b with 1")
    elif virtual > 1 and pp <= 2:
        report.add(
            ("Distributed", "virtual_stages"), f"{virtual} virtual stages need Distributed.pp > 2; fleet says so"
        )
    layers, batches = value("Arch.num_hidden_layers"), value("Train.accumulate_steps")
    if pp > 1 and isinstance(layers, int) and layers < pp * virtual:
        product = f"{pp} x {virtual}" if virtual > 1 else f"{pp}"
        report.add(("Distributed", "pp"), f"{product} stages are more than Arch.num_hidden_layers = {layers}")
    if virtual > 1 and isinstance(batches, int) and batches % pp:
        report.add(
            ("Distributed", "schedule"), f"interleaved needs a Train.accumulate_steps that is a multiple of pp = {pp}"
        )
    if virtual > 1 and value("Train.progressive.accumulate_steps"):
        report.add(
            ("Train", "progressive", "accumulate_steps"), "interleaved needs as many batches in every step; take 1f1b"
        )


def _check_tuning(value: Any, report: Report) -> None:
    lora, prefix = value("Tuning.lora"), value("Tuning.prefix")
    if lora is None and prefix is None:
        if value("Tuning.save") == "adapters":
            report.add(("Tuning", "save"), "there are no adapters; set Tuning.lora or Tuning.prefix, or leave save out")
        return
    adapters = "prefix" if lora is None else "lora"
    if lora is not None and prefix is not None:
        report.add(("Tuning", "prefix"), "goes without Tuning.lora; leave one of them out")
    if value("Global.pretrained_model") is None:
        report.add(("Tuning", adapters), "needs a network to adapt; set Global.pretrained_model")
    mp = value("Distributed.mp")
    if mp is not None and mp > 1 and value("Tuning.lora.dropout"):
        report.add(
            ("Tuning", "lora", "dropout"), f"the {mp} ranks of Distributed.mp would drop other inputs each; set 0"
        )


def _check_distillation(value: Any, report: Report) -> None:
    if value("Slim.distillation") is None:
        if value("Task.name") == "distillation":
            report.add(("Task", "name"), "learns from a teacher alone; set Slim.distillation")
        return
    for degree in ("mp", "pp"):
        if (value(f"Distributed.{degree}") or 1) > 1:
            report.add(("Distributed", degree), f"Slim.distillation reads whole layers; leave {degree} at 1")
    if value("Distributed.sharding_stage") in (2, 3):
        report.add(("Distributed", "sharding_stage"), "Slim.distillation reads whole layers; take stage 1")
    if value("Distributed.recompute") in ("full", "selective"):
        report.add(("Distributed", "recompute"), "Slim.distillation keeps what layers compute; leave it at none")
    for adapters in ("lora", "prefix"):
        if value(f"Tuning.{adapters}") is not None:
            report.add(("Tuning", adapters), "goes without Slim.distillation; leave one of them out")


def _check_sparsity(value: Any, report: Report) -> None:
    if value("Train.sparsity") is None:
        return
    if value("Distributed.sharding_stage") in (2, 3):
        report.add(("Distributed", "sharding_stage"), "Train.sparsity needs whole weights; take stage 1")
    for adapters in ("lora", "prefix"):
        if value(f"Tuning.{adapters}") is not None:
            report.add(("Tuning", adapters), "leaves the weights as they are; goes without Train.sparsity")


def _check_recipe(value: Any, report: Report) -> None:
    if value("Slim.weight_only") is not None and value("Slim.export"):
        report.add(("Slim", "export"), "no static graph keeps the weights of Slim.weight_only; leave one of them out")
