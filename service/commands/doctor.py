"""``lutra doctor``: what is here, what will make numbers noisy, and how to cure it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from ..options import JsonOption, StoreOption, echo_json

if TYPE_CHECKING:
    from ...profiler import Finding, RuntimeInfo

_SIGNS = {"ok": "[green]ok[/]  ", "warn": "[yellow]warn[/]", "bad": "[red]bad[/] "}
NOTHING_TO_PROFILE = 3


def doctor(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Look at this machine: what can be profiled, what would make measurements noisy, and the cure.

    A report, not a verdict: the exit code is 0 whatever is found, unless there is no runtime to profile with (3).
    """
    from ...luts.host import default_runtime, host_fingerprint
    from ...luts.location import locate
    from ...profiler import examine_machine, runtimes
    from ..stores import examine_store

    location = locate(store)
    hardware = dict(host_fingerprint(default_runtime()).hardware)
    findings, known = [examine_store(location), *examine_machine()], runtimes()
    if as_json:
        echo_json(
            {
                "hardware": {k: list(v) if isinstance(v, tuple) else v for k, v in hardware.items()},
                "store": str(location),
                "runtimes": [vars(runtime) for runtime in known],
                "findings": [vars(finding) for finding in findings],
            }
        )
    else:
        _show(hardware, str(location), known, findings)
    if not any(runtime.available and runtime.kind == "real" for runtime in known):
        raise typer.Exit(NOTHING_TO_PROFILE)


def _show(
    hardware: Mapping[str, Any], location: str, known: "Sequence[RuntimeInfo]", findings: "Sequence[Finding]"
) -> None:
    from ..render import console, escape

    out = console()
    cores, memory = hardware["logical_cores"], hardware["memory_gib"]
    out.print(
        f"[bold]{escape(str(hardware['model']))}[/], {hardware['architecture']}, {cores} cores, {memory} GiB of memory"
    )
    if isa := hardware.get("isa"):
        out.print(f"  {' '.join(isa)}")
    out.print(f"store: {escape(location)}")
    out.print("\n[bold]runtimes[/]")
    for runtime in known:
        sign = _SIGNS["ok" if runtime.available else "warn"]
        out.print(f"  {sign} {f'{runtime.name} {runtime.version}'.rstrip()}: {escape(runtime.note)}")
    out.print("\n[bold]measuring conditions[/]")
    for finding in findings:
        out.print(f"  {_SIGNS[finding.severity]} {finding.topic}: {escape(finding.observation)}")
        if finding.cure:
            out.print(f"       -> {escape(finding.cure)}")
