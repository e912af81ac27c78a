"""A fleet: machines in one Ray cluster, each of which says what devices it has."""

from .cluster import Fleet, FleetNode
from .order import Order
from .outcome import Outcome

__all__ = ["Fleet", "FleetNode", "Order", "Outcome"]
