"""``ppernie bench``: measurements, both sides in one run, interleaved, as ratios."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

HELP = "measure training, inference, compression, loading, checkpoints, data, shards or many ranks"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ppernie.cli.arguments import add_config, at_least, count

    benches = parser.add_subparsers(dest="bench", required=True, metavar="WHAT")

    train = benches.add_parser("train", help="a training step beside PaddleNLP's and Hugging Face's")
    train.add_argument("--sizes", nargs="+", default=["4x312", "12x768"], metavar="LAYERSxHIDDEN")
    train.add_argument("--rounds", type=count, default=10, metavar="N", help="counted steps of each side")
    train.add_argument("--threads", type=count, default=2, metavar="N")

    pretrain = benches.add_parser("pretrain", help="masked-language-model training beside PaddleNLP's, on real text")
    pretrain.add_argument("--vocab", required=True, metavar="FILE", help="vocab.txt")
    pretrain.add_argument("--text", required=True, metavar="FILE", help="running text")
    pretrain.add_argument("--sizes", nargs="+", default=["4x312", "12x768"], metavar="LAYERSxHIDDEN")
    pretrain.add_argument("--rounds", type=count, default=10, metavar="N", help="counted steps of each side")
    pretrain.add_argument("--threads", type=count, default=2, metavar="N")

    infer = benches.add_parser("infer", help="an exported model beside PaddleNLP eager and ONNX Runtime")
    infer.add_argument("--sizes", nargs="+", default=["4x312", "12x768"], metavar="LAYERSxHIDDEN")
    infer.add_argument("--batches", nargs="+", type=count, default=[1, 8], metavar="N")
    infer.add_argument("--rounds", type=count, default=20, metavar="N")
    infer.add_argument("--threads", type=count, default=2, metavar="N")

    int8 = benches.add_parser("int8", help="INT8 beside float32 and bfloat16 of the same graph, in every engine")
    int8.add_argument("--sizes", nargs="+", default=["4x312", "12x768"], metavar="LAYERSxHIDDEN")
    int8.add_argument("--batches", nargs="+", type=count, default=[1, 8], metavar="N")
    int8.add_argument("--rounds", type=count, default=20, metavar="N", help="turns of each side")
    int8.add_argument("--threads", type=count, default=2, metavar="N")

    width = benches.add_parser("width", help="latency of an encoder's widths beside the operations that are left")
    width.add_argument("--layers", type=int, default=12, metavar="N")
    width.add_argument("--hidden", type=int, default=768, metavar="N", help="hidden size")
    width.add_argument("--heads", type=int, default=12, metavar="N")
    width.add_argument("--widths", nargs="+", type=float, default=[0.75, 0.5], metavar="SHARE", help="beside 1.0")
    width.add_argument("--batch", type=int, default=8, metavar="N", help="texts in a batch")
    width.add_argument("--length", type=int, default=128, metavar="N", help="tokens of each")
    width.add_argument("--rounds", type=int, default=20, metavar="N", help="turns of each width")
    width.add_argument("--threads", type=int, default=2, metavar="N")

    generate = benches.add_parser("generate", help="tokens a second beside PaddleNLP's GLM and Hugging Face's Llama")
    generate.add_argument("--sizes", nargs="+", default=["4x256"], metavar="LAYERSxHIDDEN")
    generate.add_argument("--rounds", type=count, default=10, metavar="N", help="generations of each side")
    generate.add_argument("--threads", type=count, default=1, metavar="N")

    load = benches.add_parser("load", help="loading weights beside PaddleNLP's and Hugging Face's from_pretrained")
    load.add_argument("--sizes", nargs="+", default=["12x768"], metavar="LAYERSxHIDDEN")
    load.add_argument("--rounds", type=count, default=5, metavar="N", help="loads of each side")
    load.add_argument("--threads", type=count, default=2, metavar="N")

    tokenize = benches.add_parser("tokenize", help="the tokenizer beside PaddleNLP's")
    tokenize.add_argument("--vocab", required=True, metavar="FILE", help="vocab.txt")
    tokenize.add_argument("--text", required=True, metavar="FILE", help="one sentence a line")
    tokenize.add_argument("--rounds", type=count, default=5, metavar="N")

    preprocess = benches.add_parser("preprocess", help="making a corpus beside PaddleNLP's ingredients, and its memory")
    add_config(preprocess)

    checkpoint = benches.add_parser("checkpoint", help="saving and loading beside the disk's speed and Paddle's own")
    checkpoint.add_argument("--size-mb", type=count, default=2048, metavar="N")
    checkpoint.add_argument("--rounds", type=count, default=3, metavar="N", help="saves and loads of each side")
    checkpoint.add_argument("--folder", metavar="DIR", help="on the disk to measure; the system's temporary folder")

    shards = benches.add_parser("shards", help="converting published shards of GLM-130B's width, and its memory")
    _add_wide_network(shards, layers=1)
    shards.add_argument("--ranks", type=count, default=8, metavar="N", help="tensor-parallel ranks, a file each")

    batches = benches.add_parser("batches", help="building a config's batches beside one process that trains on them")
    add_config(batches)
    batches.add_argument("--workers", type=count, default=2, metavar="N", help="processes that build, beside none")
    batches.add_argument("--batches", type=count, default=50, metavar="N", help="built in each turn")
    batches.add_argument("--steps", type=count, default=5, metavar="N", help="of training in each turn")
    batches.add_argument("--rounds", type=count, default=3, metavar="N", help="counted turns of each side")
    batches.add_argument("--threads", type=count, default=2, metavar="N", help="of the training process")

    linear = benches.add_parser("linear", help="a linear layer over weights of 8 or 4 bits beside Paddle's own")
    linear.add_argument("--inputs", type=count, default=4096, metavar="N")
    linear.add_argument("--outputs", type=count, default=16_384, metavar="N")
    linear.add_argument("--rows", nargs="+", type=count, default=[1, 4, 8, 64, 256], metavar="N")
    linear.add_argument("--rounds", type=count, default=10, metavar="N")
    linear.add_argument("--threads", type=count, default=2, metavar="N")

    weight_only = benches.add_parser("weight_only", help="the loss of models with weights of 8 and 4 bits")
    add_config(weight_only)
    weight_only.add_argument("--model", required=True, nargs="+", type=Path, metavar="DIR", help="model folders")
    weight_only.add_argument(
        "--group-size", type=at_least(2), default=32, metavar="N", help="inputs that share a scale"
    )

    streaming = benches.add_parser("streaming", help="running a network of GLM-130B's width from the disk")
    _add_wide_network(streaming, layers=2)
    streaming.add_argument("--tokens", type=count, default=64, metavar="N", help="tokens read at once, beside one")
    streaming.add_argument("--rounds", type=count, default=3, metavar="N")
    streaming.add_argument("--threads", type=count, default=2, metavar="N")

    distributed = benches.add_parser("distributed", help="one rank with Distributed, without it, and a bare loop")
    distributed.add_argument("--sizes", nargs="+", default=["4x312"], metavar="LAYERSxHIDDEN")
    distributed.add_argument("--steps", type=count, default=24, metavar="N", help="steps of each process")
    distributed.add_argument("--rounds", type=count, default=5, metavar="N", help="processes of each side")
    distributed.add_argument("--threads", type=count, default=2, metavar="N")


def _add_wide_network(parser: argparse.ArgumentParser, layers: int) -> None:
    """Sizes of a network of GLM-130B's width, and where it is written."""
    from ppernie.cli.arguments import count

    parser.add_argument("--layers", type=count, default=layers, metavar="N")
    parser.add_argument("--hidden", type=count, default=12_288, metavar="N", help="hidden size")
    parser.add_argument("--heads", type=count, default=96, metavar="N")
    parser.add_argument(
        "--inner", type=count, default=32_768, metavar="N", help="width inside the feed-forward network"
    )
    parser.add_argument("--vocab", type=count, default=150_528, metavar="N", help="rows of the word table")
    parser.add_argument("--bits", type=int, default=4, choices=(4, 8, 16), help="of the stored weights")
    parser.add_argument("--folder", metavar="DIR", help="on the disk to measure; the system's temporary folder")


def run(args: argparse.Namespace) -> int:
    print(_table(args))
    return 0


def _sizes(kind: type[T], args: argparse.Namespace) -> T:
    """A named tuple of the arguments that are called as its fields."""
    return kind(*(getattr(args, field) for field in kind.__annotations__))


def _table(args: argparse.Namespace) -> str:
    if args.bench == "train":
        from ppernie.bench.train import benchmark as benchmark_training

        return benchmark_training(args.sizes, args.rounds, args.threads)
    if args.bench == "pretrain":
        from ppernie.bench.pretrain import benchmark as benchmark_pretraining

        return benchmark_pretraining(args.sizes, args.text, args.vocab, args.rounds, args.threads)
    if args.bench == "infer":
        from ppernie.bench.infer import benchmark as benchmark_inference

        return benchmark_inference(args.sizes, args.batches, args.rounds, args.threads)
    if args.bench == "int8":
        from ppernie.bench.int8 import benchmark as benchmark_int8

        return benchmark_int8(args.sizes, args.batches, args.rounds, args.threads)
    if args.bench == "width":
        from ppernie.bench.width import Sizes as EncoderSizes
        from ppernie.bench.width import benchmark as benchmark_widths

        return benchmark_widths(_sizes(EncoderSizes, args), args.widths, args.rounds, args.threads)
    if args.bench == "generate":
        from ppernie.bench.generate import benchmark as benchmark_generation

        return benchmark_generation(args.sizes, args.rounds, args.threads)
    if args.bench == "load":
        from ppernie.bench.load import benchmark as benchmark_loading

        return benchmark_loading(args.sizes, args.rounds, args.threads)
    if args.bench == "preprocess":
        from ppernie.bench.preprocess import benchmark as benchmark_preprocessing
        from ppernie.data.corpus.settings import load_corpus_config

        return benchmark_preprocessing(load_corpus_config(args.config, args.override))
    if args.bench == "checkpoint":
        from ppernie.bench.checkpoint import benchmark as benchmark_checkpoint

        return benchmark_checkpoint(args.size_mb, args.rounds, args.folder)
    if args.bench == "shards":
        from ppernie.bench.shards import benchmark as benchmark_shards
        from ppernie.bench.wide import Sizes

        return benchmark_shards(_sizes(Sizes, args), args.ranks, args.folder)
    if args.bench == "batches":
        from ppernie.bench.batches import benchmark as benchmark_batches

        return benchmark_batches(
            args.config, args.override, args.workers, args.batches, args.steps, args.rounds, args.threads
        )
    if args.bench == "linear":
        from ppernie.bench.linear import benchmark as benchmark_linear

        return benchmark_linear(args.inputs, args.outputs, args.rows, args.rounds, args.threads)
    if args.bench == "weight_only":
        from ppernie.bench.weight_only import benchmark as benchmark_weights
        from ppernie.config import load_config
        from ppernie.device import use_device

        config = load_config(args.config, args.override)
        use_device(config.Global.device, config.Global.threads)
        return benchmark_weights(args.model, config, args.group_size)
    if args.bench == "streaming":
        from ppernie.bench.streaming import benchmark as benchmark_streaming
        from ppernie.bench.wide import Sizes
        from ppernie.engine.logs import log_to_console

        log_to_console()
        return benchmark_streaming(_sizes(Sizes, args), args.tokens, args.rounds, args.threads, args.folder)
    if args.bench == "distributed":
        from ppernie.bench.distributed import benchmark as benchmark_ranks

        return benchmark_ranks(args.sizes, args.steps, args.rounds, args.threads)
    from ppernie.bench import tokenize
    from ppernie.table import render

    return render(tokenize.run(args.vocab, args.text, rounds=args.rounds))
