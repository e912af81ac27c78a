"""Two network namespaces and a wire between them that loses and delays packets.

Each end is a TUN device in a namespace of its own; this process carries packets from one to the other. So loss and
delay need no module of the kernel but the one for tunnels, and are the same wherever the test runs.
"""

import fcntl
import os
import random
import selectors
import shutil
import struct
import subprocess
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

ENDS: Final = ("10.213.77.1", "10.213.77.2")
"""Addresses of the two ends."""

_TUNSETIFF: Final = 0x400454CA
_IFF_TUN_NO_PI: Final = 0x1001
_LARGEST: Final = 1 << 16
_LOOK_S: Final = 0.002


def wire_is_missing() -> str | None:
    """Why there can be no wire here; None where there can."""
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    if shutil.which("ip") is None:
        return "there is no command ip"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    name = f"lutra-try-{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        _ip("netns", "del", name)
    return tried.stderr.strip() or None


class Wire:
    """A wire between two namespaces, as a context manager.

    Attributes:
        loss: share of packets that are lost.
        delay_s: how long a packet takes.
        carried: packets that came through.
        lost: packets that did not.
    """

    def __init__(self, *, loss: float, delay_s: float, seed: int) -> None:
        self.loss, self.delay_s = loss, delay_s
        self.carried = self.lost = 0
        self._random = random.Random(seed)
        self._names = [f"lutra{os.getpid() % 10_000_000}{end}" for end in "ab"]
        self._files: list[int] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> "Wire":
        try:
            for name, address, other in zip(self._names, ENDS, ENDS[::-1], strict=True):
                self._files.append(_tunnel(name))
                _ip("netns", "add", name)
                _ip("link", "set", name, "netns", name)
                inside = ("netns", "exec", name, "ip")
                _ip(*inside, "link", "set", "lo", "up")
                _ip(*inside, "addr", "add", address, "peer", other, "dev", name)
                _ip(*inside, "link", "set", name, "up")
        except BaseException:
            self._take_down()
            raise
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._take_down()

    def at(self, end: int) -> list[str]:
        """What a command begins with that is to run at an end, 0 or 1."""
        return ["ip", "netns", "exec", self._names[end]]

    def _take_down(self) -> None:
        for file in self._files:
            os.close(file)
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def _carry(self) -> None:
        under_way: deque[tuple[float, int, bytes]] = deque()  # the delay is the same for all, so they stay in order
        with selectors.DefaultSelector() as selector:
            for here, there in (self._files, self._files[::-1]):
                os.set_blocking(here, False)
                selector.register(here, selectors.EVENT_READ, there)
            while not self._ended.is_set():
                for key, _ in selector.select(_LOOK_S):
                    with suppress(BlockingIOError):
                        packet = os.read(key.fd, _LARGEST)
                        if self._random.random() < self.loss:
                            self.lost += 1
                        else:
                            under_way.append((time.monotonic() + self.delay_s, key.data, packet))
                while under_way and under_way[0][0] <= time.monotonic():
                    _, there, packet = under_way.popleft()
                    with suppress(OSError):  # the end is down
                        os.write(there, packet)
                        self.carried += 1


def _tunnel(name: str) -> int:
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN_NO_PI))
    return file


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
