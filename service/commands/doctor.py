"""``lutra doctor``: what is here, what will make numbers noisy, and how to cure it."""

import typer

from ..options import JsonOption, StoreOption, echo_json

_SIGNS = {"ok": "[green]ok[/]  ", "warn": "[yellow]warn[/]", "bad": "[red]bad[/] "}


def doctor(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Look at this machine: what can be profiled, what would make measurements noisy, and the cure."""
    from ...luts.host import default_runtime, host_fingerprint
    from ...luts.location import locate
    from ...profiler import examine_machine, runtimes

    location = locate(store)
    hardware = dict(host_fingerprint(default_runtime()).hardware)
    findings, known = examine_machine(), runtimes()
    if as_json:
        echo_json(
            {
                "hardware": {k: list(v) if isinstance(v, tuple) else v for k, v in hardware.items()},
                "store": str(location),
                "runtimes": [vars(runtime) for runtime in known],
                "findings": [vars(finding) for finding in findings],
            }
        )
        return
    from ..render import console, escape

    out = console()
    isa = hardware.get("isa", ())
    out.print(
        f"[bold]{escape(str(hardware['model']))}[/], {hardware['logical_cores']} cores, {hardware['architecture']}"
    )
    out.print(f"  {' '.join(isa) if isinstance(isa, tuple) else ''}")
    out.print(f"store: {escape(str(location))}")
    out.print("\n[bold]runtimes[/]")
    for runtime in known:
        sign = _SIGNS["ok" if runtime.available else "warn"]
        out.print(f"  {sign} {runtime.name} {runtime.version}: {escape(runtime.note)}")
    out.print("\n[bold]measuring conditions[/]")
    for finding in findings:
        out.print(f"  {_SIGNS[finding.severity]} {finding.topic}: {escape(finding.observation)}")
        if finding.cure:
            out.print(f"       -> {escape(finding.cure)}")
    if any(finding.severity == "bad" for finding in findings):
        raise typer.Exit(4)
