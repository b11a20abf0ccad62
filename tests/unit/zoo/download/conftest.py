"""A local server that misbehaves as a script says, and a cache of its own for each test."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ppernie.zoo.download import Policy
from ppernie.zoo.manifest import File

SIZE = 64_000
CONTENT = random.Random(0).randbytes(SIZE)
OTHER = random.Random(1).randbytes(SIZE)


@dataclass
class Request:
    """One request, as the server saw it."""

    path: str
    range: str | None
    fault: str


@dataclass
class Server:
    """Serves ``content``; the faults of a path's script befall its requests, one each, in this order."""

    address: str = ""
    content: dict[str, bytes] = field(default_factory=dict)
    script: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    requests: list[Request] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    tags: bool = True
    closed: threading.Event = field(default_factory=threading.Event)

    def file(self, name: str = "weights.bin", *faults: str, content: bytes = CONTENT, **known: object) -> File:
        """Serves content under a name; its entry in a manifest."""
        self.content[f"/{name}"] = content
        self.script[f"/{name}"] = list(faults)
        return File(name=name, address=f"{self.address}/{name}", **known)  # type: ignore[arg-type]

    def ranges(self, name: str = "weights.bin") -> list[str | None]:
        """The header Range of every request of a file."""
        return [request.range for request in self.requests if request.path == f"/{name}"]


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    scripted: Server


class _Handler(BaseHTTPRequestHandler):
    server: _Http

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        scripted = self.server.scripted
        script = scripted.script.get(self.path)
        fault = script.pop(0) if script else "none"
        scripted.requests.append(Request(self.path, self.headers["Range"], fault))
        name, _, detail = fault.partition(" ")
        with contextlib.suppress(OSError):
            if name.isdecimal():
                self._send(int(name), {"Content-Length": "0", **({"Retry-After": detail} if detail else {})})
            else:
                getattr(self, f"_{name}")(*self._answer())

    def _answer(self) -> tuple[int, dict[str, str], bytes]:
        """What an honest server says: the whole file, or the rest that is asked for."""
        scripted = self.server.scripted
        content = scripted.content.get(self.path.removeprefix("/there"))
        if content is None:
            return 404, {"Content-Length": "0"}, b""
        tag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
        headers = {**scripted.headers, **({"ETag": tag} if scripted.tags else {})}
        start = int(self.headers["Range"][6:-1]) if self.headers["Range"] else 0
        if self.headers["If-Range"] not in (None, headers.get("ETag"), headers.get("Last-Modified")):
            start = 0
        if start >= len(content) > 0:
            return 416, {**headers, "Content-Range": f"bytes */{len(content)}", "Content-Length": "0"}, b""
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        headers["Content-Length"] = str(len(content) - start)
        return 206 if start else 200, headers, content[start:]

    def _send(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _none(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._send(status, headers, body)

    def _truncate(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._send(status, headers, body[: len(body) // 2])

    def _drop(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._send(status, headers, body[: len(body) // 2])
        # Makes close() reset the connection.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _unframed(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Half of the body, and neither its length nor a sign of its end."""
        del headers["Content-Length"]
        self._send(status, headers, body[: len(body) // 2])

    def _chunked(self, status: int, headers: dict[str, str], body: bytes) -> None:
        del headers["Content-Length"]
        self.protocol_version = "HTTP/1.1"
        self._send(status, {**headers, "Transfer-Encoding": "chunked", "Connection": "close"})
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    def _corrupt(self, status: int, headers: dict[str, str], body: bytes) -> None:
        middle = len(body) // 2
        self._send(status, headers, body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :])

    def _longer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Announces more than there is."""
        self._send(status, {**headers, "Content-Length": str(len(body) + 100)}, body)

    def _shorter(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Announces less than there is."""
        self._send(status, {**headers, "Content-Length": str(len(body) - 100)}, body)

    def _encoded(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._send(status, {**headers, "Content-Encoding": "gzip"}, body)

    def _whole(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Ignores the header Range."""
        del self.headers["Range"]
        self._send(*self._answer())

    def _elsewhere(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Continues one byte too early, and says so."""
        if status == 206:
            start, rest = headers["Content-Range"].removeprefix("bytes ").split("-")
            headers["Content-Range"] = f"bytes {int(start) - 1}-{rest}"
        self._send(status, headers, body)

    def _resized(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Continues a file of another size."""
        if status == 206:
            headers["Content-Range"] = f"{headers['Content-Range']}0"
        self._send(status, headers, body)

    def _swap(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Another file from now on."""
        self.server.scripted.content[self.path] = OTHER
        self._send(*self._answer())

    def _mix(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Another file from now on, and its end for whoever has the beginning of the first."""
        self.server.scripted.content[self.path] = OTHER
        del self.headers["If-Range"]
        self._send(*self._answer())

    def _redirect(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._send(302, {"Location": f"/there{self.path}", "Content-Length": "0"})

    def _loop(self, status: int, headers: dict[str, str], body: bytes) -> None:
        scripted = self.server.scripted
        scripted.script[self.path].insert(0, "loop")
        self._send(302, {"Location": self.path, "Content-Length": "0"})

    def _foreign(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._send(302, {"Location": "file:///etc/passwd", "Content-Length": "0"})

    def _drip(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._send(status, headers)
        for byte in body:
            if self.server.scripted.closed.wait(0.02):
                return
            self.wfile.write(bytes([byte]))

    def _hang(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Half of the body, and nothing more for long."""
        self._send(status, headers, body[: len(body) // 2])
        self.server.scripted.closed.wait(30)

    def _drip_header(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not self.server.scripted.closed.wait(0.02):
            self.wfile.write(b"x")

    def _silent(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.connection.settimeout(2)
        self.connection.recv(1)

    def _close(self, status: int, headers: dict[str, str], body: bytes) -> None:
        pass

    def _garbage(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.wfile.write(b"\x00\xff" * 100)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``PPERNIE_HOME`` of the test; no other variable of the machine has a say."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("PPERNIE_ENDPOINT", "PPERNIE_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("PPERNIE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PPNLP_HOME", str(tmp_path / "paddlenlp"))
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on a free port of this machine."""
    http = _Http(("127.0.0.1", 0), _Handler)
    http.scripted = Server(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield http.scripted
    http.scripted.closed.set()
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def policy() -> Policy:
    """Quick to try again, but patient with a busy machine."""
    return Policy(attempts=8, fruitless=4, backoff=0.001, longest_pause=0.01)


@pytest.fixture
def hasty() -> Policy:
    """Gives a server fractions of a second."""
    return Policy(
        attempts=8,
        fruitless=3,
        connect_timeout=2,
        read_timeout=0.2,
        header_timeout=0.3,
        stall_window=0.2,
        least_rate=10_000,
        backoff=0.001,
        longest_pause=0.01,
    )


@pytest.fixture
def content() -> bytes:
    """Of the server's files, unless said otherwise."""
    return CONTENT


@pytest.fixture
def other() -> bytes:
    """Other content of the same size, which the fault "swap" brings."""
    return OTHER


@pytest.fixture
def sha256() -> str:
    """Of ``content``."""
    return hashlib.sha256(CONTENT).hexdigest()
