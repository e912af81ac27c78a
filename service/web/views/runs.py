"""Two searches side by side: their fronts in one picture, what each chose, and what differs in how they were asked."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ....predictors.prediction import significant
from ...drawing.points import Point, Points, Series, points_svg
from ..page import Page

_SHOWN: Final = 8  # digits of an id


def runs_page(
    left: Mapping[str, Any] | None, right: Mapping[str, Any] | None, jobs: Sequence[Mapping[str, Any]]
) -> Page:
    """Two finished searches beside each other; where there are not two, the form that asks for them alone.

    Args:
        left: ``id``, ``request`` and ``result`` (`SearchReport.to_dict`) of a search job.
        right: the same of another one.
        jobs: finished search jobs to choose from, each as its ``to_dict`` gives it.
    """
    data: dict[str, Any] = {"jobs": [_named(job) for job in jobs], "left": None, "right": None}
    if left is None or right is None:
        return Page(template="runs.html", title="Two searches", place="compare", data=data)
    sides = [left, right]
    labels = [str(side["result"]["accuracy"]["label"]) for side in sides]
    data |= {
        "left": _side(left),
        "right": _side(right),
        "differences": _differences(left["request"], right["request"]),
        "comparable": labels[0] == labels[1] and left["result"]["device"] == right["result"]["device"],
    }
    picture = Points(
        "latency, ms",
        labels[0] if labels[0] == labels[1] else "accuracy, as each search calls it",
        [Series(_title(side), _front(side)) for side in sides],
        described="the fronts of two searches",
    )
    return Page(
        template="runs.html",
        title=" and ".join(_title(side) for side in sides),
        place="compare",
        data=data,
        charts={"fronts": points_svg(picture)},
    )


def _named(job: Mapping[str, Any]) -> dict[str, str]:
    request = job["request"]
    return {"id": job["id"], "name": f"{_title(job)}: {request['strategy']} on {request['device']}"}


def _title(job: Mapping[str, Any]) -> str:
    return f"{job['request']['space']} ({job['id'][:_SHOWN]})"


def _front(side: Mapping[str, Any]) -> list[Point]:
    return [
        Point(
            row["latency_ms"],
            row["accuracy"],
            f"{row['name']}: {row['accuracy']:.6g}, {significant(row['latency_ms'])} ms",
            f"/searches/{side['id']}",
        )
        for row in side["result"]["front"]
    ]


def _side(side: Mapping[str, Any]) -> dict[str, Any]:
    result = side["result"]
    front = result["front"]
    chosen = next((row for row in front if row["chosen"]), None)
    told = {"id": side["id"], "name": _title(side), "accuracy": result["accuracy"]["label"], "device": result["device"]}
    return told | {"evaluated": result["evaluated"], "bounds": result["bounds"], "front": len(front), "chosen": chosen}


def _differences(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the two were asked that is not the same."""
    names = [name for name in {**left, **right} if left.get(name) != right.get(name)]
    return [{"name": name, "left": left.get(name), "right": right.get(name)} for name in names]
