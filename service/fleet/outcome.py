"""`Outcome`: what became of one device of a fleet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...networks.errors import LutraError


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one device.

    Attributes:
        device: what the fleet calls it.
        node: the machine that measured it last; "" where none did.
        digest: of its fingerprint; "" where it is not known.
        document: what ``lutra profile --json`` gives, over all attempts; empty where it broke off.
        shown: networks predicted and measured, as text; None where there is nothing to compare.
        committed: rows that went into the store.
        losses: how often its node was lost.
        error: why it broke off; None where it did not.
    """

    device: str
    node: str = ""
    digest: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)
    shown: str | None = None
    committed: int = 0
    losses: int = 0
    error: LutraError | None = None

    @property
    def interrupted(self) -> bool:
        """Whether it was cancelled before all was measured."""
        return bool(self.document.get("interrupted"))

    @property
    def complete(self) -> bool:
        """Whether all was measured that could be, and nothing failed."""
        return self.error is None and not self.interrupted and not self.document.get("failed")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        told = {"node": self.node, "digest": self.digest, "committed": self.committed, "node_losses": self.losses}
        if self.error is not None:
            told["error"] = self.error.to_dict()
        return {**self.document, **told}
