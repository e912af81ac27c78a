"""A network: latency with its interval on each device, where the time goes, and what it looks like."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ....predictors.prediction import significant
from ...drawing.architecture import architecture_svg
from ...drawing.bars import Bar, bars_svg
from ..page import Page

if TYPE_CHECKING:
    from ....networks import Network
    from ....predictors import Prediction


def network_page(
    network: "Network",
    predictions: Sequence["Prediction"],
    *,
    anchor: str = "kernel",
    doubts: Sequence[str] = (),
    **state: Any,
) -> Page:
    """A network and what was predicted of it.

    Args:
        network: what it is.
        predictions: one a device; the split of the first is drawn.
        anchor: what the lines of kernels are called within the page, to which their bars lead.
        doubts: why there is no prediction, a sentence each.
        state: what else the page is asked by, for its form (devices there are, the name that was asked).
    """
    split = predictions[0].to_dict() if predictions else None
    charts = {"architecture": architecture_svg(network)}
    if predictions and predictions[0].parts:
        charts["kernels"] = _kernels(predictions[0], anchor)
    totals = {
        "macs": network.macs,
        "params": network.params,
        "bytes_moved": network.bytes_moved,
        "peak_activation_bytes": network.peak_activation_bytes(),
    }
    inputs = [{"name": name, "shape": list(type_.shape), "dtype": type_.dtype} for name, type_ in network.inputs]
    return Page(
        template="network.html",
        title=network.name,
        place="networks",
        data={
            "network": {"name": network.name, "fingerprint": network.fingerprint, "inputs": inputs, **totals},
            "ops": network.op_counts(),
            "predictions": [prediction.to_dict() for prediction in predictions],
            "split": split,
            "anchor": anchor,
            "doubts": list(doubts),
            **state,
        },
        charts=charts,
    )


def no_network_page(**state: Any) -> Page:
    """The form alone, where nothing has been asked yet."""
    return Page(template="network.html", title="Networks", place="networks", data={"network": None, **state})


def _kernels(prediction: "Prediction", anchor: str) -> str:
    """A bar for each kernel in the order of first use, and one for what an inference costs beside them."""
    bars = [
        Bar(
            label=part.label,
            value=part.latency_us * part.count,
            text=f"{100 * part.share:.1f} %",
            name=f"{part.label}\n{part.count} x {significant(part.latency_us)} us, {part.source}",
            kind=part.source,
            href=f"#{anchor}-{number}",
        )
        for number, part in enumerate(prediction.parts)
    ]
    share = prediction.overhead_us / 1e3 / prediction.latency_ms if prediction.latency_ms else 0.0
    told = f"constant of each inference: {significant(prediction.overhead_us)} us"
    bars.append(Bar("(constant of each inference)", prediction.overhead_us, f"{100 * share:.1f} %", told, "overhead"))
    return bars_svg(bars, f"where the {significant(prediction.latency_ms)} ms of {prediction.network} go")
