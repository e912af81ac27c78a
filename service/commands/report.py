"""``lutra report``: a device's table and the latency of networks on it, as one HTML file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import (
    AnyPrecisionOption,
    BatchOption,
    DeviceOption,
    InputShapesOption,
    OptionalNetworksArgument,
    ResolutionOption,
    RuntimeOption,
    StoreOption,
    sources_of,
)

if TYPE_CHECKING:
    from ..web.page import Page


def report(
    networks: OptionalNetworksArgument = None,
    device: DeviceOption = "host",
    runtime: RuntimeOption = None,
    threads: Annotated[
        int | None, typer.Option("--threads", "-t", metavar="N", help="Threads of the device's table; if omitted any.")
    ] = None,
    precision: AnyPrecisionOption = None,
    batch: BatchOption = None,
    resolution: ResolutionOption = None,
    input_shape: InputShapesOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write.")] = Path(
        "lutra-report.html"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    store: StoreOption = None,
) -> None:
    """Write what `lutra serve` shows into one HTML file: networks, the table, predicted beside measured.

    The file fetches nothing and runs no script, so that it can be sent and kept.
    """
    from ...networks import load_network
    from ...networks.errors import UsageError
    from ...predictors import TablePredictor, load_predictor
    from ..stores import open_store, require_store
    from ..web.page import FileLinks
    from ..web.rendering import to_file
    from ..web.views.devices import device_page
    from ..web.views.measured import measured_page, work_page
    from ..web.views.network import network_page
    from ..web.views.table import table_page

    if out.exists() and not force:
        raise UsageError(f"{out} is there already", hint="name another file with --out, or replace it with --force")
    sources = (
        sources_of(networks or [], batch=batch, resolution=resolution, input_shapes=input_shape) if networks else []
    )
    pages: dict[str, Page] = {}
    links = FileLinks()
    with open_store(store) as opened:
        found = require_store(opened)
        predictor = load_predictor(device, store=store, runtime=runtime, threads=threads, precision=precision)
        if not isinstance(predictor, TablePredictor):
            raise UsageError(f"{device} is a saved predictor", hint="name a device of the store: lutra devices")
        digest = predictor.table.fingerprint.digest
        for number, source in enumerate(sources, 1):
            network = load_network(source) if isinstance(source, Path) else source
            anchor = f"network-{number}"
            pages[anchor] = network_page(network, [predictor.explain(source)], anchor=f"{anchor}-kernel")
        pages["measured"] = measured_page(found, digest, links)
        pages["work"] = work_page(found, links)
        pages["table"] = table_page(found, digest, links)
        pages["device"] = device_page(found, digest, links)
    lead = f"{predictor.table.fingerprint.runtime_name}, {digest[:12]}"
    out.write_text(to_file(pages, f"{predictor.table.name}: a report by Lutra", lead), encoding="utf-8")
    typer.echo(f"wrote {out}")
