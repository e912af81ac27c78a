"""A client that asks over kept-alive connections as fast as it is answered, and notes how long each answer took.

``python -m benchmarks.service._load`` runs it as a process of its own: one JSON document in, one out.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import cycle
from typing import Any, cast


class _Connection(asyncio.Protocol):
    """One connection: sends the next request when the last one is answered, until told to stop."""

    def __init__(self, requests: Iterator[bytes], done: asyncio.Future[None], record: "Record") -> None:
        self._requests, self._done, self._record = requests, done, record
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not derived from it
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._buffer = b""
        self._record.answered(head[9:12], time.perf_counter() - self._sent)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # as asyncio calls it
        if not self._done.done():
            if not self._record.over:
                self._record.errors += 1
            self._done.set_result(None)

    def _next(self) -> None:
        if self._record.over:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(next(self._requests))


class Record:
    """What came of the requests.

    Attributes:
        seconds: how long each answer took.
        errors: answers other than 200, and connections that were lost.
        over: no more requests are sent.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.errors = 0
        self.over = False

    def answered(self, status: bytes, seconds: float) -> None:
        """Note one answer."""
        self.seconds.append(seconds)
        self.errors += status != b"200"


async def load(
    host: str, port: int, requests: list[bytes], *, connections: int, seconds: float, warm_up_s: float
) -> dict[str, Any]:
    """Ask for ``seconds`` after a warm-up; the requests are sent round and round by all connections together."""
    loop = asyncio.get_running_loop()
    record, source = Record(), cycle(requests)
    ends = [loop.create_future() for _ in range(connections)]
    for done in ends:
        await loop.create_connection(partial(_Connection, source, done, record), host, port)
    await asyncio.sleep(warm_up_s)
    record.seconds.clear()
    begun = time.perf_counter()
    await asyncio.sleep(seconds)
    elapsed, taken = time.perf_counter() - begun, sorted(record.seconds)
    record.over = True
    await asyncio.wait_for(asyncio.gather(*ends), 30)
    return {
        "answers": len(taken),
        "per_s": len(taken) / elapsed,
        "errors": record.errors,
        "p50_ms": 1e3 * taken[len(taken) // 2] if taken else None,
        "p99_ms": 1e3 * taken[int(0.99 * (len(taken) - 1))] if taken else None,
        "most_ms": 1e3 * taken[-1] if taken else None,
    }


def request(path: str, token: str, document: Any) -> bytes:
    """One request with a JSON body, as it goes over the wire."""
    body = json.dumps(document).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> int:
    """Reads what to do from standard input."""
    wanted = json.load(sys.stdin)
    requests = [request(wanted["path"], wanted["token"], document) for document in wanted["documents"]]
    settings = {name: wanted[name] for name in ("connections", "seconds", "warm_up_s")}
    with suppress(ImportError):  # the client must not be what is measured
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    json.dump(asyncio.run(load(wanted["host"], wanted["port"], requests, **settings)), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
