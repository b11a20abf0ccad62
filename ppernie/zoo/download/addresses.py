"""Where a file is asked for: its address, its mirrors, and the endpoint of the environment."""

from __future__ import annotations

import hashlib
import os
import re
from urllib.parse import unquote, urlsplit

from ppernie.errors import UserError
from ppernie.zoo.manifest import PADDLENLP_HOSTS, File

_LONGEST_NAME = 96


def addresses_of(file: File) -> tuple[str, ...]:
    """All addresses of a file of the manifest, in the order in which they are tried.

    ``PPERNIE_ENDPOINT=https://host/prefix`` is a mirror that comes first. PaddleNLP's tree lies directly below the
    prefix: ``https://bj.bcebos.com/paddlenlp/models/x`` and ``https://paddlenlp.bj.bcebos.com/models/x`` become
    ``https://host/prefix/models/x``. Of any other address the whole path does.

    Raises:
        UserError: one of them is no http or https address.
    """
    endpoint = os.environ.get("PPERNIE_ENDPOINT", "").rstrip("/")
    first = (f"{endpoint}/{_below_endpoint(file.address)}",) if endpoint else ()
    addresses = tuple(dict.fromkeys((*first, file.address, *file.mirrors)))
    for address in addresses:
        check_address(address)
    return addresses


def _below_endpoint(address: str) -> str:
    for prefix in PADDLENLP_HOSTS:
        if address.startswith(prefix):
            return address.removeprefix(prefix)
    parts = urlsplit(address)
    return parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")


def check_address(address: str) -> None:
    """Raises UserError unless the address is one that can be asked, and holds no password.

    Addresses are printed and stored; a password would be too.
    """
    try:
        parts = urlsplit(address)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise UserError(f"{address}: not an address: {error}") from error
    if parts.scheme not in ("http", "https") or not host or re.search(r"\s", address):
        raise UserError(f"{address}: not an address that can be downloaded; give one that starts with https://")
    if parts.username or parts.password:
        raise UserError(f"an address at {host} holds a user name or password; download it by hand and give the file")


def folder_of(address: str) -> str:
    """Name of the folder in which the file of an address is kept, such as "host-0123456789ab"."""
    host = re.sub(r"[^a-z0-9.-]", "_", urlsplit(address).hostname or "")
    return f"{host[:_LONGEST_NAME]}-{hashlib.sha256(address.encode()).hexdigest()[:12]}"


def name_of(address: str) -> str:
    """File name at the end of an address, made safe; "file" where there is none."""
    last = unquote(urlsplit(address).path).rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]", "_", last)[-_LONGEST_NAME:].lstrip(".-") or "file"
