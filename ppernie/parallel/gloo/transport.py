"""Messages between the processes of a job: a socket between any two of them, and a mailbox in each."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from typing import Any, Literal

Channel = tuple[Literal["collective", "direct"], int]

# Group, kind of message, length.
_HEADER = struct.Struct("!qBq")
_RANK = struct.Struct("!q")
_KINDS: tuple[Literal["collective", "direct"], ...] = ("collective", "direct")

# Ranks come late when one of them evaluates or saves; one that has died is noticed at once.
_PATIENCE_S = 1800.0


class Transport:
    """Bytes from rank to rank.

    Messages of one sender on one channel arrive in their order. Sending never waits for the receiver to ask, so any
    order of sends and receives is free of deadlock. The end of a process shows as the end of its socket.

    Args:
        rank, size: of this process, among all.
        store: Paddle's TCP store, in which the ranks find each other's addresses.
    """

    def __init__(self, rank: int, size: int, store: Any) -> None:
        self.rank = rank
        self._peers: dict[int, socket.socket] = {}
        self._sending: dict[int, threading.Lock] = {}
        self._mail: dict[tuple[int, Channel], deque[bytearray]] = defaultdict(deque)
        self._ended: set[int] = set()
        self._news = threading.Condition()
        self._connect(size, store)

    def send(self, receiver: int, channel: Channel, data: memoryview) -> None:
        """Hands a message to the system.

        Raises:
            ConnectionError: the receiver has ended.
        """
        kind, group = channel
        try:
            with self._sending[receiver]:
                self._peers[receiver].sendall(_HEADER.pack(group, _KINDS.index(kind), data.nbytes))
                self._peers[receiver].sendall(data)
        except OSError as error:
            raise _ended(receiver) from error

    def receive(self, sender: int, channel: Channel) -> bytearray:
        """Waits for the next message.

        Raises:
            ConnectionError: the sender has ended.
            TimeoutError: nothing came for half an hour.
        """
        deadline = time.monotonic() + _PATIENCE_S
        with self._news:
            mail = self._mail[sender, channel]
            while not mail:
                if sender in self._ended:
                    raise _ended(sender)
                if not self._news.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    raise TimeoutError(f"rank {self.rank} had no message from rank {sender} for {_PATIENCE_S:.0f} s")
            return mail.popleft()

    def _connect(self, size: int, store: Any) -> None:
        """Calls the ranks below this one and is called by those above."""
        host = os.environ["PADDLE_CURRENT_ENDPOINT"].rpartition(":")[0]
        with socket.create_server((host, 0), backlog=size) as server:
            store.set(f"ppernie/{self.rank}", f"{host}:{server.getsockname()[1]}")
            for peer in range(self.rank):
                peer_host, _, port = store.get(f"ppernie/{peer}").decode().rpartition(":")
                connection = socket.create_connection((peer_host, int(port)))
                connection.sendall(_RANK.pack(self.rank))
                self._add(peer, connection)
            for _ in range(self.rank + 1, size):
                connection, _ = server.accept()
                (peer,) = _RANK.unpack(_read(connection, _RANK.size))
                self._add(peer, connection)

    def _add(self, peer: int, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(None)
        self._peers[peer] = connection
        self._sending[peer] = threading.Lock()
        threading.Thread(target=self._listen, args=(peer, connection), daemon=True, name=f"rank {peer}").start()

    def _listen(self, peer: int, connection: socket.socket) -> None:
        try:
            while True:
                group, kind, length = _HEADER.unpack(_read(connection, _HEADER.size))
                message = _read(connection, length)
                with self._news:
                    self._mail[peer, (_KINDS[kind], group)].append(message)
                    self._news.notify_all()
        except OSError:
            with self._news:
                self._ended.add(peer)
                self._news.notify_all()


def _read(connection: socket.socket, length: int) -> bytearray:
    message = bytearray(length)
    rest = memoryview(message)
    while rest:
        count = connection.recv_into(rest)
        if not count:
            raise ConnectionError("the other side has closed")
        rest = rest[count:]
    return message


def _ended(rank: int) -> ConnectionError:
    return ConnectionError(f"rank {rank} has ended; its own log says why")
