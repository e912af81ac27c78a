"""A TCP proxy between an agent and its server, whose cable can be cut."""

import socket
import threading
from contextlib import suppress
from typing import Final

_LOOK_S: Final = 0.05
_AT_ONCE: Final = 1 << 16


class Cable:
    """Listens on a port of its own and passes on what comes, both ways, until it is cut.

    Cut, it swallows what is sent and says nothing: as a network that loses every packet does.

    Args:
        port: of the server, on this machine.

    Attributes:
        url: what to ask instead of the server.
        passed: bytes towards the server so far.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(_LOOK_S)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.passed = 0
        self._whole, self._ended = threading.Event(), threading.Event()
        self._whole.set()
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> "Cable":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._listening.close()
        self.hang_up()

    def cut(self) -> None:
        """Lose everything from now on."""
        self._whole.clear()

    def mend(self) -> None:
        """Pass on again what is sent from now on; connections from before are broken."""
        self.hang_up()
        self._whole.set()

    def hang_up(self) -> None:
        """Break all connections, in the middle of whatever is sent."""
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open = []

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                near, _ = self._listening.accept()
            except TimeoutError:
                continue
            self._open.append(near)
            try:
                far = socket.create_connection(("127.0.0.1", self._to), timeout=5)
            except OSError:
                near.close()
                continue
            self._open.append(far)
            for here, there in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(here, there, there is far), daemon=True).start()

    def _pass(self, here: socket.socket, there: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while data := here.recv(_AT_ONCE):
                if not self._whole.is_set():
                    continue  # lost
                there.sendall(data)
                self.passed += len(data) * counts
        if self._whole.is_set():  # else nobody is told
            with suppress(OSError):
                there.shutdown(socket.SHUT_WR)
