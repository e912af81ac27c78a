"""Two tables side by side: every kernel that both have, and what differs by more than both are unsure of."""

from typing import TYPE_CHECKING, Final

from ....luts.diff import compare
from ....predictors.prediction import significant
from ...drawing.points import Point, Points, Series, points_svg
from ..page import Links, Page
from .table import describe

if TYPE_CHECKING:
    from ....luts import Store

_BAND: Final = 0.10
_DRAWN: Final = 3000
_LISTED: Final = 200


def compare_page(store: "Store", left: str, right: str, links: Links) -> Page:
    """The rows of two devices beside each other.

    Raises:
        UnknownNameError: one of them is not in the store.
    """
    first, second = store.device(left), store.device(right)
    found = compare(store.numbers(first), store.numbers(second))
    changes = [change for change in found.changes if change.left_ns > 0 and change.right_ns > 0]
    every = max(1, len(changes) // _DRAWN)
    kinds = {"differ by more than both are unsure of": [c for c in changes if c.beyond],
             "do not": [c for c in changes if not c.beyond]}  # fmt: skip
    series = [
        Series(
            name,
            [
                Point(
                    change.left_ns / 1e3,
                    change.right_ns / 1e3,
                    f"{change.label}: {significant(change.left_ns / 1e3)} and {significant(change.right_ns / 1e3)} us",
                    links.row(second.digest, change.subject_kind, change.subject_key),
                )
                for change in those[::every]
            ],
        )
        for name, those in kinds.items()
    ]
    picture = Points(f"{first.name} ({first.digest[:6]}), us", f"{second.name} ({second.digest[:6]}), us", series,
                     log=True, band=_BAND, described=f"{len(changes)} rows of two tables")  # fmt: skip
    plain = found.to_dict()
    quantiles = {f"p{round(100 * q)}": found.ratio(q) for q in (0.1, 0.5, 0.9)}
    return Page(
        template="compare.html",
        title=f"{first.name} and {second.name}",
        place="compare",
        data={
            "left": describe(first),
            "right": describe(second),
            "differences": list(first.fingerprint.differences(second.fingerprint)),
            "devices": [describe(record) for record in store.devices()],
            "ratio": quantiles,
            "only_left": plain["only_left"][:_LISTED],
            "only_right": plain["only_right"][:_LISTED],
            "failed": plain["failed"][:_LISTED],
            "rows_in_both": len(found.changes),
            "beyond": [
                {"label": c.label, "left_us": c.left_ns / 1e3, "right_us": c.right_ns / 1e3, "ratio": c.ratio}
                for c in found.beyond[:_LISTED]
                if c.left_ns
            ],
        },
        charts={"points": points_svg(picture)} if changes else {},
    )
