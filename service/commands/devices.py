"""``lutra devices``: what can be profiled here, and what the store has rows of."""

from ..options import JsonOption, ServerOption, StoreOption, echo_json


def devices(store: StoreOption = None, server: ServerOption = None, as_json: JsonOption = False) -> None:
    """List the devices that can be profiled from here and those that the store, or a server, has tables of."""
    from ...profiler import devices as profilable
    from ..stores import open_source

    here = profilable()
    with open_source(store, server) as opened:
        summaries = opened.summaries() if opened else []
    records = [summary.device for summary in summaries]
    rows = {summary.device.digest: summary.counts.get("kernel", 0) for summary in summaries}
    if as_json:
        stored = [
            {
                "name": record.name,
                "digest": record.digest,
                "runtime": record.fingerprint.runtime_name,
                "threads": record.fingerprint.threads,
                "precision": record.fingerprint.precision,
                "kind": record.fingerprint.kind,
                "kernels": rows[record.digest],
                "used_at": record.used_at,
            }
            for record in records
        ]
        echo_json({"here": [vars(device) for device in here], "stored": stored})
        return
    from ..render import console, grid

    out = console()
    cells = [[d.name, d.runtime, d.kind, "yes" if d.available else "no", d.note] for d in here]
    out.print(grid(["device", "runtime", "kind", "usable", "note"], cells, left=5))
    out.print()
    if not records:
        out.print("no tables yet: lutra profile mobilenet_v2")
        return
    cells = [
        [r.name, r.fingerprint.runtime_name, str(r.fingerprint.threads), str(rows[r.digest]), r.digest[:12], r.used_at]
        for r in records
    ]
    out.print(grid(["table of", "runtime", "threads", "kernels", "digest", "last used"], cells, left=2))
