"""``ppernie plan``: which topologies of a number of GPUs fit, and which is the quickest."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ppernie.errors import UserError

if TYPE_CHECKING:
    from ppernie.parallel.sizing import Estimate, Hardware, Network, Work

HELP = "estimate memory, communication and step time of a network on many GPUs"

_ASSUMPTIONS = """
Figures are of the GPU that has most. Memory counts parameters, gradients, AdamW's state and what backward keeps
(measured on small encoders on a CPU: within 1% of what Paddle keeps, and 0 to 30% above the peak of a step); a share
of each GPU stays reserved for the rest. Times follow from the hardware's figures, which are assumptions until you set
your own: DGX nodes of A100 40 GB by default. Communication is not taken to overlap with computing. 1 GB is 1e9 bytes.
An example counts as one input; one of multiple choice or of a dual encoder is several.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import count

    parser.epilog = _ASSUMPTIONS
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("-c", "--config", metavar="FILE", help="config file (YAML)")
    network.add_argument("--variant", metavar="NAME", help="a released size, such as glm-130b, in place of a config")
    parser.add_argument(
        "-o", "--override", action="extend", nargs="+", default=[], metavar="KEY=VALUE", help="set a key of the config"
    )
    parser.add_argument("--gpus", type=count, required=True, metavar="N", help="GPUs in all")
    parser.add_argument("--memory", type=float, required=True, metavar="GB", help="memory of each GPU")
    parser.add_argument("--length", type=count, metavar="N", help="tokens of an input; Data.max_length or the longest")
    parser.add_argument(
        "--global-batch",
        type=count,
        metavar="N",
        help="inputs of a step on all GPUs together; Train.batch_size x accumulate_steps x GPUs by default",
    )
    parser.add_argument(
        "--micro-batch",
        type=count,
        nargs="+",
        metavar="N",
        help="inputs that pass through the network at once, or several to try; Train.batch_size, or 1",
    )
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), help="AMP.dtype by default; bfloat16 for a variant"
    )
    parser.add_argument(
        "--plain-attention", action="store_true", help="keep attention's scores, as without a fused kernel"
    )
    parser.add_argument(
        "--fix",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="only topologies with these degrees, such as mp=2,4 recompute=full",
    )
    parser.add_argument(
        "--hardware",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="figures of the machines; the output names those that it went by",
    )
    parser.add_argument("--top", type=count, default=20, metavar="K", help="show the K quickest (20)")
    parser.add_argument("--json", action="store_true", help="print all figures, in bytes and seconds, as JSON")


def run(args: argparse.Namespace) -> int:
    from ppernie.parallel.sizing import rank

    if not 0 < args.memory < math.inf:
        raise UserError(f"--memory is {args.memory:g}; give the GB of a GPU")
    hardware = _hardware(args.hardware)
    network, work = _from_variant(args) if args.config is None else _from_config(args)
    found = rank(network, work, args.gpus, args.memory * 1e9, hardware, _wanted(args.fix))
    shown = found[: args.top]
    if args.json:
        print(json.dumps([dataclasses.asdict(estimate) for estimate in shown], indent=2))
        return 0
    from ppernie.table import render

    print(
        f"{network.parameters:,} parameters in {work.dtype}, {work.global_batch} inputs of {network.length} tokens a "
        f"step; {len(found)} topologies fit{f', the {len(shown)} quickest' if len(shown) < len(found) else ''}"
    )
    print("hardware: " + ", ".join(f"{name} {value:g}" for name, value in hardware.model_dump().items()))
    print(render([_row(estimate) for estimate in shown]))
    return 0


def _from_config(args: argparse.Namespace) -> tuple[Network, Work]:
    from ppernie.config import load_config
    from ppernie.parallel.sizing import Work, describe

    config = load_config(args.config, args.override)
    train = config.Train
    network = describe(
        config.Arch.model,
        args.length or config.Data.max_length,
        fused_attention=not args.plain_attention,
        predicted=getattr(config.Task.options, "mask_rate", None),
    )
    return network, Work(
        global_batch=args.global_batch or train.batch_size * train.accumulate_steps * args.gpus,
        micro_batches=tuple(args.micro_batch or [train.batch_size]),
        dtype=args.dtype or config.AMP.dtype,
    )


def _from_variant(args: argparse.Namespace) -> tuple[Network, Work]:
    from ppernie import registry
    from ppernie.parallel.sizing import Work, describe, longest_input
    from ppernie.zoo.manifest import find

    if args.override:
        raise UserError("-o changes a config, and --variant names none")
    if args.global_batch is None:
        raise UserError("--global-batch is missing: give the inputs of a step on all GPUs together")
    variant = find(args.variant)
    config = None if variant.network is None else registry.family_config(variant.network)
    if config is None:
        raise UserError(f"nothing is known of the network of {variant.name}, so it has no sizes")
    arch = config.model_validate(variant.architecture)
    length = args.length or longest_input(arch)
    network = describe(arch, length, fused_attention=not args.plain_attention, predicted=None)
    return network, Work(args.global_batch, tuple(args.micro_batch or [1]), args.dtype or "bfloat16")


def _row(estimate: Estimate) -> dict[str, object]:
    degrees, memory, traffic = estimate.degrees, estimate.memory, estimate.traffic
    return {
        "topology": str(degrees),
        "recompute": degrees.recompute,
        "batches": f"{degrees.accumulate_steps} x {degrees.micro_batch}",
        "GB parameters": _gigabytes(memory.parameters),
        "gradients": _gigabytes(memory.gradients),
        "optimizer": _gigabytes(memory.optimizer),
        "activations": _gigabytes(memory.activations),
        "working": _gigabytes(memory.working),
        "in all": _gigabytes(memory.total),
        "GB sent: mp": _gigabytes(traffic.mp),
        "pp": _gigabytes(traffic.pp),
        "data": _gigabytes(traffic.data),
        "% bubble": f"{100 * estimate.bubble:.1f}",
        "s/step": f"{estimate.seconds.total:.4g}",
        "TFLOP/s": f"{estimate.tflops:.1f}",
    }


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.2f}"


def _hardware(texts: Sequence[str]) -> Hardware:
    from pydantic import ValidationError

    from ppernie.config.messages import plain_problems
    from ppernie.parallel.sizing import Hardware

    values = _pairs("--hardware", texts, list(Hardware.model_fields))
    try:
        return Hardware.model_validate(values)
    except ValidationError as error:
        path, problem = plain_problems(error, values)[0]
        raise UserError(f"--hardware: {path[0]}: {problem}") from error


def _wanted(texts: Sequence[str]) -> dict[str, list[str]]:
    from ppernie.parallel.sizing import Degrees

    known = [field.name for field in dataclasses.fields(Degrees)]
    return {key: value.lower().split(",") for key, value in _pairs("--fix", texts, known).items()}


def _pairs(option: str, texts: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    from ppernie.config.keys import closest

    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"{option}: '{text}' is no KEY=VALUE")
        if key not in known:
            near = closest(key, known)
            hint = f"did you mean '{near}'?" if near else f"known: {', '.join(known)}"
            raise UserError(f"{option}: unknown key '{key}'; {hint}")
        pairs[key] = value
    return pairs
