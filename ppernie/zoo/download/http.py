"""One request for a file, or for what is missing of it, and every doubt about the answer."""

from __future__ import annotations

import base64
import binascii
import email.utils
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from ppernie.errors import UserError
from ppernie.zoo.download.part import Origin, Part
from ppernie.zoo.download.pins import Known
from ppernie.zoo.download.policy import Policy
from ppernie.zoo.download.progress import Progress

_BUSY = (408, 425, 429)


class Again(Exception):
    """It may work next time.

    Args:
        reason: for the user.
        wait: seconds that the server asked to wait.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Corrupt(Exception):
    """The content is not what it must be."""


class GiveUp(Exception):
    """This address does not have the file."""


class Client:
    """Asks for files. Proxies and certificates are those of the environment."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        with _environment():
            self._certificates = httpx.create_ssl_context()

    def fetch(self, address: str, part: Part, known: Known, progress: Progress) -> None:
        """Continues the part to its end, or starts it anew where it cannot be continued.

        Raises:
            Again, Corrupt, GiveUp: the part is not whole.
            UserError: the disk is full or not writable.
        """
        if part.size and part.size == _total(part, known):
            return
        with self._answer(address, _range(address, part, known)) as answer:
            if answer.status_code == 416 and _is_whole(address, answer, part):
                return
            _begin(address, answer, part, known)
            total = _total(part, known)
            if total is not None:
                part.reserve(total)
            self._read(answer, part, total, progress)
        if total is not None and part.size < total:
            raise Again(f"ended after {part.size} of {total} bytes")

    @contextmanager
    def _answer(self, address: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        policy = self._policy
        with _environment():
            client = httpx.Client(
                verify=self._certificates,
                timeout=httpx.Timeout(policy.read_timeout, connect=policy.connect_timeout),
                follow_redirects=True,
                max_redirects=policy.redirects,
            )
        # The read time-out starts anew with each byte, so a header could drip for hours.
        deadline = threading.Timer(policy.header_timeout, client.close)
        deadline.daemon = True
        deadline.start()
        try:
            with (
                client,
                client.stream("GET", address, headers={"Accept-Encoding": "identity", **headers}) as answer,
            ):
                deadline.cancel()
                yield answer
        except httpx.TimeoutException as error:
            raise Again(f"timed out ({type(error).__name__})") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
            raise GiveUp(str(error)) from error
        except httpx.RequestError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise GiveUp(str(error)) from error
            raise Again(str(error) or type(error).__name__) from error
        finally:
            deadline.cancel()

    def _read(self, answer: httpx.Response, part: Part, total: int | None, progress: Progress) -> None:
        window, before = time.monotonic(), part.size
        for content in answer.iter_raw():
            if total is not None and part.size + len(content) > total:
                part.restart(None)
                raise Again(f"sent more than {total} bytes")
            part.append(content)
            progress.show(part.size, total)
            elapsed = time.monotonic() - window
            if elapsed >= self._policy.stall_window:
                if part.size - before < self._policy.least_rate * elapsed:
                    raise Again(f"stalled: {part.size - before} bytes in {elapsed:.0f} s")
                window, before = time.monotonic(), part.size


@contextmanager
def _environment() -> Iterator[None]:
    try:
        yield
    except (ImportError, ValueError, OSError, ssl.SSLError, httpx.InvalidURL) as error:
        raise UserError(
            f"the settings for connections in the environment do not work: {error}; "
            "see HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE"
        ) from error


def _total(part: Part, known: Known) -> int | None:
    return known.size or (part.origin.total if part.origin else None)


def _range(address: str, part: Part, known: Known) -> dict[str, str]:
    """Headers that ask for the rest, where it is certain to belong to the same content or a checksum will tell."""
    if not part.size or part.origin is None:
        return {}
    rest = {"Range": f"bytes={part.size}-"}
    if part.origin.address == address and part.origin.validator:
        return {**rest, "If-Range": part.origin.validator}
    return rest if known.checksum else {}


def _is_whole(address: str, answer: httpx.Response, part: Part) -> bool:
    """Whether there is nothing to continue because nothing is missing."""
    return answer.headers.get("Content-Range") == f"bytes */{part.size}" and not _changed(address, answer, part.origin)


def _changed(address: str, answer: httpx.Response, origin: Origin | None) -> bool:
    """Whether the address has another version now, by its tag."""
    return origin is None or origin.address == address and answer.headers.get("ETag", origin.etag) != origin.etag


def _begin(address: str, answer: httpx.Response, part: Part, known: Known) -> None:
    """Checks the header, and makes the part ready for the body."""
    status = answer.status_code
    if address.startswith("https:") and answer.url.scheme != "https":
        raise GiveUp("leads from https to http")
    if status == 416:
        part.restart(None)
        raise Again("refused to continue (status 416)")
    if status in _BUSY or status >= 500:
        raise Again(f"status {status}", _retry_after(answer))
    if status not in (200, 206):
        raise GiveUp(f"status {status}")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise GiveUp(f"sends the file encoded ({answer.headers['Content-Encoding']})")
    if status == 206:
        _check_continuation(address, answer, part)
        return
    length = answer.headers.get("Content-Length")
    total = int(length) if length is not None else None
    if total is None and "Transfer-Encoding" not in answer.headers and not (known.size or known.checksum):
        raise GiveUp("does not tell the file's size")
    if total is not None and (problem := known.wrong_size(total)):
        raise Corrupt(problem)
    etag, modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
    part.restart(
        Origin(address=address, etag=etag, last_modified=modified, total=total, md5=_content_md5(answer)),
    )


def _check_continuation(address: str, answer: httpx.Response, part: Part) -> None:
    origin = part.origin
    text = answer.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", text)
    if found is None or origin is None or int(found[1]) != part.size:
        part.restart(None)
        raise Again(f"continued elsewhere than asked (Content-Range: {text or 'none'})")
    other_size = found[3] not in ("*", str(origin.total)) and origin.total is not None
    if other_size or _changed(address, answer, origin):
        part.restart(None)
        raise Again("the file changed on the server meanwhile")


def _content_md5(answer: httpx.Response) -> str | None:
    try:
        digest = base64.b64decode(answer.headers.get("Content-MD5", ""), validate=True)
    except binascii.Error:
        return None
    return digest.hex() if len(digest) == 16 else None


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
