"""Lookup tables: rows of measured kernels under a device's fingerprint, and the store that keeps them."""

if __name__ != "lutra.luts":
    raise ImportError("import lutra.luts, not luts")

from importlib import import_module
from typing import TYPE_CHECKING

from .fingerprint import Fingerprint
from .interpolation import Interpolator
from .measurement import Measurement, utc_now
from .normalisation import Normalisation
from .quality import QualityFlag, cure
from .statistics import quartile_interval, relative_halfwidth
from .table import Answer, Coverage, Nearest, SelfCheck, Table, TableSummary

if TYPE_CHECKING:
    from .store import (
        CheckReport,
        Compaction,
        DeviceLike,
        DeviceRecord,
        DeviceSummary,
        Lease,
        RowNumbers,
        Store,
        default_store_path,
    )

__all__ = [
    "Answer",
    "CheckReport",
    "Compaction",
    "Coverage",
    "DeviceLike",
    "DeviceRecord",
    "DeviceSummary",
    "Fingerprint",
    "Interpolator",
    "Lease",
    "Measurement",
    "Nearest",
    "Normalisation",
    "QualityFlag",
    "RowNumbers",
    "SelfCheck",
    "Store",
    "Table",
    "TableSummary",
    "cure",
    "default_store_path",
    "quartile_interval",
    "relative_halfwidth",
    "utc_now",
]

# The store stands on a database library that takes longer to import than everything else here together.
_IN_STORE = frozenset(
    {
        "CheckReport",
        "Compaction",
        "DeviceLike",
        "DeviceRecord",
        "DeviceSummary",
        "Lease",
        "RowNumbers",
        "Store",
        "default_store_path",
    }
)


def __getattr__(name: str) -> object:
    if name in _IN_STORE:
        return getattr(import_module(".store", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
