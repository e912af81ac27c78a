"""Which devices have an agent that lives: the last sign of life of each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from ...luts import utc_now
from ...luts.dialects import insert_into
from .. import schema

if TYPE_CHECKING:
    from ...luts import Store


@dataclass(frozen=True, kw_only=True)
class Sign:
    """A sign of life of a device's agent.

    Attributes:
        seen_at: when it came, ISO 8601 in UTC.
        agent: what the agent is called; None where it does not say.
        state: what it told of itself, plain JSON data.
    """

    seen_at: str
    agent: str | None
    state: Mapping[str, Any]


class Presence:
    """Signs of life, in the service's tables of a store.

    Args:
        store: open for writing, with the service's tables.
    """

    def __init__(self, store: "Store") -> None:
        self._database = store.database

    def note(self, digest: str, agent: str | None, state: dict[str, Any]) -> dict[str, Any]:
        """Keep a sign of life in place of the one before; returns it."""
        row = {"device": digest, "seen_at": utc_now(), "agent": agent, "state": json.dumps(state, allow_nan=False)}
        with self._database.write() as connection:
            connection.execute(insert_into(connection, schema.presence, row, ("device",), replace=True), [row])
        return {"digest": digest, "seen_at": row["seen_at"], "agent": agent, "state": state}

    def last_seen(self) -> dict[str, Sign]:
        """The last sign of life of each device, by digest."""
        with self._database.read() as connection:
            rows = connection.execute(select(schema.presence))
            return {row.device: Sign(seen_at=row.seen_at, agent=row.agent, state=json.loads(row.state)) for row in rows}
