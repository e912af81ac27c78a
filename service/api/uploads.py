"""Files that users hand in: kept under the hash of their content, read in a process with limits, deleted in time."""

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from starlette.concurrency import run_in_threadpool

from ...networks import Network
from ...networks.errors import CorruptModelError, LutraError, RequestTooLargeError, UnknownNameError, UsageError
from .settings import Settings

_ID: Final = re.compile(r"[0-9a-f]{64}")
_MODEL, _NETWORK, _CARD = "model.onnx", "network.json", "upload.json"
_DAY_S: Final = 86_400.0
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A network that was handed in.

    Attributes:
        id: SHA-256 of the file's content.
        kind: ``"onnx"`` or ``"network"`` (Lutra's JSON form).
        bytes: size of the file.
        name: of the network in it.
        nodes: of the network.
        macs: of the network.
        params: of the network.
        uploaded_at_s: when, in seconds since the epoch.
    """

    id: str
    kind: str
    bytes: int
    name: str
    nodes: int
    macs: int
    params: int
    uploaded_at_s: float


class Uploads:
    """A folder of uploads, each in a folder of its own that is named by its hash. Names never come from users.

    Args:
        folder: made when the first one comes.
        settings: limits.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self._settings = settings
        self._lock = Lock()
        self._networks: dict[str, Network] = {}

    async def receive(self, stream: AsyncIterator[bytes]) -> Path:
        """Write a stream to a new file in the folder, as it comes; returns the file, which the caller moves or deletes.

        Raises:
            RequestTooLargeError: it has more bytes than one upload may have.
        """
        part = await run_in_threadpool(self._new_part)
        size, most = 0, self._settings.max_upload_bytes
        try:
            with part.open("wb") as file:
                async for chunk in stream:
                    size += len(chunk)
                    if size > most:
                        raise RequestTooLargeError(most)
                    await run_in_threadpool(file.write, chunk) if len(chunk) > _BLOCK else file.write(chunk)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return part

    def take(self, part: Path, name: str | None = None) -> Upload:
        """Read a received file as a network, and keep it.

        What kind it is, its content says. ONNX is parsed in a child process with limits on memory, time and files.

        Raises:
            UsageError: no room for it.
            ModelFileError: it is no network, too large, or refers to other files.
            NotSupportedError: ops or types that are not supported.
        """
        try:
            identity, size = _hashed(part), part.stat().st_size
            with suppress(UnknownNameError):
                return self.get(identity)
            if size == 0:
                raise CorruptModelError("the file is empty", hint="send an ONNX file, or a network as JSON")
            self._require_room(size)
            kind, network = self._read(part, name)
            upload = Upload(
                id=identity,
                kind=kind,
                bytes=size,
                name=network.name,
                nodes=len(network.nodes),
                macs=network.macs,
                params=network.params,
                uploaded_at_s=time.time(),
            )
            self._keep(part, upload, network)
            return upload
        finally:
            part.unlink(missing_ok=True)

    def read_once(self, part: Path) -> Network:
        """Read a received file as a network, and delete it; the errors of `take`."""
        try:
            return self._read(part, None)[1]
        finally:
            part.unlink(missing_ok=True)

    def list(self) -> list[Upload]:
        """All uploads, the newest first."""
        found = []
        for folder in self.folder.glob("*") if self.folder.is_dir() else ():
            if _ID.fullmatch(folder.name):
                with suppress(UnknownNameError):
                    found.append(self.get(folder.name))
        return sorted(found, key=lambda upload: -upload.uploaded_at_s)

    def get(self, identity: str) -> Upload:
        """What is known of an upload.

        Raises:
            UnknownNameError: there is none.
        """
        try:
            return Upload(**json.loads((self._place(identity) / _CARD).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            raise UnknownNameError("upload", identity, ()) from None

    def network(self, identity: str) -> Network:
        """The network of an upload.

        Raises:
            UnknownNameError: there is none.
        """
        if (found := self._networks.get(identity)) is not None:
            return found
        try:
            text = (self._place(identity) / _NETWORK).read_text(encoding="utf-8")
        except OSError:
            raise UnknownNameError("upload", identity, ()) from None
        network = Network.from_json(json.loads(text))
        with self._lock:
            if len(self._networks) > 64:
                self._networks.clear()
            self._networks[identity] = network
        return network

    def path(self, identity: str) -> Path:
        """The file of an upload: the ONNX file, or the network's JSON.

        Raises:
            UnknownNameError: there is none.
        """
        upload = self.get(identity)
        return self._place(identity) / (_MODEL if upload.kind == "onnx" else _NETWORK)

    def delete(self, identity: str) -> None:
        """Forget an upload.

        Raises:
            UnknownNameError: there is none.
        """
        self.get(identity)
        place = self._place(identity)
        for name in (_CARD, _NETWORK, _MODEL):  # the card first: without it there is no upload
            (place / name).unlink(missing_ok=True)
        with suppress(OSError):
            place.rmdir()
        self._networks.pop(identity, None)

    def expire(self) -> int:
        """Delete the uploads that are too old, and what broken connections have left; returns how many uploads."""
        old = [u for u in self.list() if time.time() - u.uploaded_at_s > _DAY_S * self._settings.upload_days]
        for upload in old:
            with suppress(UnknownNameError):
                self.delete(upload.id)
        for part in self.folder.glob("*.part") if self.folder.is_dir() else ():
            with suppress(OSError):
                if time.time() - part.stat().st_mtime > _DAY_S:
                    part.unlink()
        return len(old)

    def _read(self, part: Path, name: str | None) -> tuple[str, Network]:
        with part.open("rb") as file:
            begins = file.read(64).lstrip()
        if begins.startswith(b"{"):
            if part.stat().st_size > self._settings.max_body_bytes:
                raise RequestTooLargeError(self._settings.max_body_bytes)
            return "network", Network.load(part)
        from ...networks.importers import from_onnx

        try:
            # As bytes, so that no message tells where on the server it lies.
            return "onnx", from_onnx(part.read_bytes(), name=name).network
        except LutraError as error:
            if error.hint and "trusted=True" in error.hint:
                error.hint = "check the file"
            raise

    def _keep(self, part: Path, upload: Upload, network: Network) -> None:
        place = self._place(upload.id)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if upload.kind == "onnx":
            part.replace(place / _MODEL)
        (place / _NETWORK).write_text(json.dumps(network.to_json()), encoding="utf-8")
        card = place / f"{_CARD}.{secrets.token_hex(4)}"
        card.write_text(json.dumps(asdict(upload)), encoding="utf-8")
        card.replace(place / _CARD)  # last: what has a card is whole

    def _require_room(self, size: int) -> None:
        held = sum(upload.bytes for upload in self.list())
        if held + size > self._settings.max_uploads_bytes:
            raise UsageError(
                f"the uploads take {held:,} bytes, and may take {self._settings.max_uploads_bytes:,}",
                hint="delete some: DELETE /v1/uploads/{id}",
            )

    def _new_part(self) -> Path:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{secrets.token_hex(16)}.part"
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return path

    def _place(self, identity: str) -> Path:
        """The folder of an upload: only ever directly below ours."""
        if not _ID.fullmatch(identity):
            raise UnknownNameError("upload", identity[:80], ())
        return self.folder / identity


def _hashed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
