"""Tokens: who may ask a server for what. A database holds their hashes only."""

import hashlib
import hmac
import re
import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, get_args

from sqlalchemy import RowMapping, delete, select, update

from ..luts import utc_now
from ..networks.errors import UnauthenticatedError, UnknownNameError, UsageError
from . import schema
from .scopes import Scope, includes

if TYPE_CHECKING:
    from ..luts import Store

LONGEST_DAYS: Final = 3650.0
_FORM: Final = re.compile(r"lutra_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NO_DIGEST: Final = "0" * 64  # of a token that does not exist: compared all the same, so that it takes as long


@dataclass(frozen=True, kw_only=True)
class TokenRecord:
    """A token, without its secret.

    Attributes:
        id: its public part.
        name: what it is for.
        scope: ``"read"``, ``"profile"`` or ``"admin"``; each includes those before it.
        created_at: ISO 8601 in UTC, as the others.
        expires_at: from when on it is not valid; None for never.
        revoked_at: since when it is not valid any more; None while it is.
    """

    id: str
    name: str
    scope: Scope
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    digest: str = field(repr=False)

    def valid_at(self, moment: str) -> bool:
        """Whether it could be used then."""
        return self.revoked_at is None and (self.expires_at is None or moment < self.expires_at)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, without the hash."""
        plain = asdict(self) | {"valid": self.valid_at(utc_now())}
        del plain["digest"]
        return plain


def new_secret() -> tuple[str, str, str]:
    """A fresh token: its public part, its whole text, and the hash of that."""
    identity = secrets.token_hex(6)
    text = f"lutra_{identity}_{secrets.token_urlsafe(32)}"
    return identity, text, digest_of(text)


def digest_of(text: str) -> str:
    """The hash under which a token is kept. Its 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(text.encode()).hexdigest()


class Tokens:
    """The tokens of a store.

    Args:
        store: open for writing, for all but `verify`; the service's tables are made where they are missing.
    """

    def __init__(self, store: "Store") -> None:
        schema.require_service_schema(store)
        self._database = store.database

    def create(self, name: str, scope: str = "read", *, days: float | None = 90.0) -> tuple[TokenRecord, str]:
        """Make a token.

        Args:
            name: what it is for, at most 100 characters.
            scope: what it allows.
            days: how long it is valid; None for ever.

        Returns:
            The record, and the token itself, which nobody can find out afterwards.

        Raises:
            UnknownNameError: no such scope.
            UsageError: no name, or a lifetime that is none.
        """
        known = next((kind for kind in get_args(Scope) if kind == scope), None)
        if known is None:
            raise UnknownNameError("scope", scope, get_args(Scope))
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise UsageError(f"a token called {name[:100]!r}", hint="say in a few words what it is for")
        if days is not None and not 0 < days <= LONGEST_DAYS:
            raise UsageError(f"a token valid for {days!r} days", hint=f"give at most {LONGEST_DAYS:g} days")
        identity, text, digest = new_secret()
        expires_at = None if days is None else _moment(timedelta(days=days))
        record = TokenRecord(
            id=identity,
            name=name,
            scope=known,
            created_at=utc_now(),
            expires_at=expires_at,
            revoked_at=None,
            digest=digest,
        )
        with self._database.write() as connection:
            connection.execute(schema.token.insert(), [asdict(record)])
        return record, text

    def list(self) -> list[TokenRecord]:
        """All tokens, the newest first; those that are not valid any more too."""
        with self._database.read() as connection:
            rows = connection.execute(select(schema.token).order_by(schema.token.c.created_at.desc()))
            return [_record(row) for row in rows.mappings()]

    def revoke(self, identity: str) -> TokenRecord:
        """End a token's validity.

        Raises:
            UnknownNameError: no such token.
        """
        mine = schema.token.c.id == identity
        with self._database.write() as connection:
            ended = update(schema.token).where(mine, schema.token.c.revoked_at.is_(None)).values(revoked_at=utc_now())
            connection.execute(ended)
            row = connection.execute(select(schema.token).where(mine)).mappings().one_or_none()
            if row is None:
                raise UnknownNameError("token", identity, connection.execute(select(schema.token.c.id)).scalars())
            return _record(row)

    def forget(self) -> int:
        """Remove tokens that ended; returns how many."""
        ended = schema.token.c.revoked_at.is_not(None) | (schema.token.c.expires_at < utc_now())
        with self._database.write() as connection:
            return connection.execute(delete(schema.token).where(ended)).rowcount

    def verify(self, text: str) -> TokenRecord:
        """The record of a token that is valid now.

        Raises:
            UnauthenticatedError: it is not; without saying whether it ever was.
        """
        match = _FORM.fullmatch(text)
        record = None if match is None else self.find(match[1])
        equal = hmac.compare_digest(digest_of(text), record.digest if record else _NO_DIGEST)
        if record is None or not equal or not record.valid_at(utc_now()):
            raise UnauthenticatedError(
                "the token is not known, or not valid any more", hint="make one with: lutra token create"
            )
        return record

    def find(self, identity: str) -> TokenRecord | None:
        """The record of a token by its public part; None where there is none."""
        with self._database.read() as connection:
            row = connection.execute(select(schema.token).where(schema.token.c.id == identity)).mappings()
            found = row.one_or_none()
        return None if found is None else _record(found)

    def any_valid(self) -> bool:
        """Whether somebody could use one."""
        now = utc_now()
        return any(record.valid_at(now) for record in self.list())


def _record(row: RowMapping) -> TokenRecord:
    scope = row["scope"]
    # What is no scope, in a database that was tampered with, must not allow anything.
    known: Scope = scope if includes("admin", scope) else "read"
    return TokenRecord(**{**row, "scope": known})


def _moment(from_now: timedelta) -> str:
    now = datetime.fromisoformat(utc_now()).astimezone(UTC)
    return (now + from_now).isoformat(timespec="milliseconds").replace("+00:00", "Z")
