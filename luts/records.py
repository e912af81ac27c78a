"""The devices that a store knows, and how a caller names one."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, RowMapping, Select, String, bindparam, select

from ..networks.errors import LutraError, StoreCorruptError, UnknownNameError
from . import schema
from .fingerprint import Fingerprint

_DIGEST_PREFIX: Final = 6  # fewest digits that name a device by its digest


@dataclass(frozen=True, kw_only=True)
class DeviceRecord:
    """A device that the store knows.

    Attributes:
        name: what people call it; several devices may share a name, then the one used last is meant.
        fingerprint: what it is.
        created_at: when it was first registered, ISO 8601 in UTC.
        used_at: when it was last registered.
    """

    name: str
    fingerprint: Fingerprint
    created_at: str
    used_at: str

    @property
    def digest(self) -> str:
        """The fingerprint's digest."""
        return self.fingerprint.digest


DeviceLike: TypeAlias = str | Fingerprint | DeviceRecord
"""A fingerprint, a record, or text: a digest, the first six or more digits of one, or a name."""


def all_devices() -> Select[Any]:
    """Return the query of all devices, the one used last first."""
    return select(schema.device).order_by(schema.device.c.used_at.desc(), schema.device.c.id.desc())


def find_device(connection: Connection, device: DeviceLike) -> RowMapping:
    """Return a device's columns.

    Raises:
        UnknownNameError: no such device; lists the names of those there are.
    """
    text = device if isinstance(device, str) else device.digest
    is_prefix = len(text) >= _DIGEST_PREFIX and not text.strip("0123456789abcdef")
    # A name is not looked for where a fingerprint was given: it is text of another kind.
    name = text if isinstance(device, str) else None
    values = {"digest": text, "name": name, "prefix": f"{text}%" if name and is_prefix else None}
    found = connection.execute(_named_device(), values).mappings().first()
    if found is None:
        known = connection.execute(select(schema.device.c.name).distinct()).scalars()
        raise UnknownNameError("device", text, known)
    return found


@cache
def _named_device() -> Select[Any]:
    """The query of `find_device`, made once: making it takes longer than running it. A null parameter finds nothing."""
    columns = schema.device.c
    by_digest = (columns.digest == bindparam("digest")) | columns.digest.like(bindparam("prefix", type_=String))
    return all_devices().where(by_digest | (columns.name == bindparam("name", type_=String)))


def device_record(columns: Any, location: str) -> DeviceRecord:
    """Read a device from its columns, a mapping by name.

    Args:
        columns: the columns.
        location: names the store in an error.

    Raises:
        StoreCorruptError: the fingerprint is damaged.
    """
    where = f"the device {columns['name']} ({str(columns['digest'])[:12]}) in {location}"
    try:
        fingerprint = Fingerprint.from_json(str(columns["fingerprint"]))  # a damaged column may be of any type
    except LutraError as error:
        raise StoreCorruptError(
            f"the fingerprint of {where} is damaged: {error.message}", hint="restore the store from a backup"
        ) from error
    if fingerprint.digest != columns["digest"]:
        raise StoreCorruptError(
            f"the fingerprint of {where} does not match its digest", hint="restore the store from a backup"
        )
    return DeviceRecord(
        name=columns["name"],
        fingerprint=fingerprint,
        created_at=columns["created_at"],
        used_at=columns["used_at"],
    )
