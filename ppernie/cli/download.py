"""``ppernie download``: the released weights, what they are and where they lie."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ppernie.errors import UserError

if TYPE_CHECKING:
    from ppernie.zoo.download.places import Place
    from ppernie.zoo.manifest import Variant

HELP = "list, download and verify released weights"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="download_command", required=True, metavar="COMMAND")

    show_all = commands.add_parser("list", help="all released variants in a table")
    show_all.add_argument("family", nargs="?", metavar="FAMILY", help="only those of a family, such as ernie3")

    show = commands.add_parser("show", help="everything that is known of a variant")
    show.add_argument("name", metavar="NAME")

    get = commands.add_parser("get", help="download into PPERNIE_HOME (~/.ppernie by default)")
    get.add_argument("names", nargs="+", metavar="NAME|ADDRESS", help="a variant, or the address of a file")

    verify = commands.add_parser("verify", help="hash cached files anew; exit status 1 if one changed or is absent")
    verify.add_argument("names", nargs="*", metavar="NAME", help="all variants of which there is a file by default")

    cards = commands.add_parser("cards", help="bring the tables of the model cards in step with the manifest")
    cards.add_argument("--check", action="store_true", help="write nothing; exit status 1 if a card is behind")


def run(args: argparse.Namespace) -> int:
    """Exit status: 0, or 1 when ``verify`` or ``cards --check`` found something wrong."""
    if args.download_command == "list":
        return _list(args.family)
    if args.download_command == "show":
        return _show(args.name)
    if args.download_command == "get":
        return _get(args.names)
    if args.download_command == "verify":
        return _verify(args.names)
    return _cards(args.check)


def _list(family: str | None) -> int:
    from ppernie.table import render
    from ppernie.zoo.cards import summary
    from ppernie.zoo.download import cached
    from ppernie.zoo.manifest import variants

    def state(variant: Variant) -> str:
        return "yes" if cached(variant) else "no" if variant.files else "-"

    rows = [
        summary(variant) | {"cached": state(variant)}
        for variant in variants().values()
        if family in (None, variant.family)
    ]
    if not rows:
        families = sorted({variant.family for variant in variants().values()})
        raise UserError(f"there is no family '{family}'; known: {', '.join(families)}")
    print(render(rows))
    return 0


def _show(name: str) -> int:
    import yaml

    from ppernie.zoo.download.places import place_of_file
    from ppernie.zoo.manifest import find

    variant = find(name)
    entry = variant.model_dump(mode="json", exclude={"files"}, exclude_none=True)
    entry["files"] = [_file(place_of_file(file, variant.folder)) for file in variant.files]
    print(yaml.safe_dump(entry, allow_unicode=True, sort_keys=False, width=120), end="")
    return 0


def _file(place: Place) -> dict[str, object]:
    from ppernie.zoo.download.pins import Known

    file, pin = place.file, Known.of(place).pin
    checksums = [f"{kind}:{value}" for kind in ("md5", "sha256") if (value := getattr(file, kind))]
    return {
        "name": file.name,
        "addresses": list(place.addresses),
        "size": file.size or "unknown",
        "checksum": " ".join(checksums) or "unknown",
        "pinned": f"sha256:{pin.sha256}" if pin else "not yet",
        "place": str(place.find() or f"{place.path} (absent)"),
    }


def _get(names: Iterable[str]) -> int:
    from ppernie.engine.logs import log_to_console
    from ppernie.zoo.download import get_address, get_variant
    from ppernie.zoo.manifest import find

    log_to_console()
    for name in names:
        path = get_address(name) if "://" in name else get_variant(find(name))
        print(f"{name}: {path}")
    return 0


def _verify(names: list[str]) -> int:
    from ppernie.table import render
    from ppernie.zoo.download import verify
    from ppernie.zoo.manifest import find, variants

    chosen = [find(name) for name in names] or list(variants().values())
    # Other names of a variant share its folder.
    checks = {variant.folder: verify(variant) for variant in chosen}
    if not names:
        checks = {folder: found for folder, found in checks.items() if any(check.state != "absent" for check in found)}
    rows = [check for found in checks.values() for check in found]
    print(render([{"file": row.name, "state": row.state, "at": row.path} for row in rows]) or "nothing is cached")
    for row in rows:
        if row.problem:
            print(f"{row.path}: {row.problem}")
    return int(any(row.wrong for row in rows))


def _cards(check: bool) -> int:
    from ppernie.zoo.cards import write_cards

    behind = write_cards(check)
    for path in behind:
        print(f"{path}: {'is behind the manifest; run `ppernie download cards`' if check else 'written'}")
    return int(check and bool(behind))
