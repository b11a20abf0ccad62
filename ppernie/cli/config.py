"""``ppernie config``: the schema of configs, a resolved config, a check of many."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ppernie.errors import UserError

HELP = "show, check or describe configs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command for each thing that can be done with a config."""
    from ppernie.cli.arguments import add_config

    commands = parser.add_subparsers(dest="config_command", required=True, metavar="COMMAND")

    schema = commands.add_parser("schema", help="write the JSON Schema of config files, for editors")
    schema.add_argument("--out", type=Path, metavar="FILE", help="write to FILE in place of standard output")

    show = commands.add_parser("show", help="print a config with its bases, overrides and defaults resolved")
    add_config(show)

    check = commands.add_parser("check", help="report all problems of each config")
    check.add_argument("files", nargs="+", metavar="FILE", help="config file")


def run(args: argparse.Namespace) -> int:
    """Exit status: 0, or 2 when a checked config has problems."""
    if args.config_command == "schema":
        return _schema(args.out)
    if args.config_command == "show":
        return _show(args.config, args.override)
    return _check(args.files)


def _schema(out: Path | None) -> int:
    from ppernie.config import config_schema

    text = json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        sys.stdout.write(text)
        return 0
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write the schema to {out}: {error.strerror}") from error
    return 0


def _show(path: str, overrides: list[str]) -> int:
    from ppernie.config import dump_config, load_config

    sys.stdout.write(dump_config(load_config(path, overrides)))
    return 0


def _check(paths: list[str]) -> int:
    from ppernie.config import load_config

    status = 0
    for path in paths:
        try:
            load_config(path)
        except UserError as error:
            print(error, file=sys.stderr)
            status = 2
        else:
            print(f"{path}: ok")
    return status
