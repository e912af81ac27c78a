"""Fusion rules of a device's runtime: read from its lowered graphs where they can be seen, else measured in pairs."""

from collections.abc import Callable
from functools import partial

import numpy as np

from ..luts import Store
from ..luts.store import DeviceLike
from ..luts.table import ALIASES_DOCUMENT, FUSION_DOCUMENT, MEASURED_FUSION_DOCUMENT
from ..networks.errors import MeasurementError
from ..networks.lowering import (
    Aliases,
    FusionRule,
    FusionRules,
    Probe,
    known_by_lowering,
    lower,
    lower_by_rules,
    probes,
    rules_by_lowering,
)
from .client import WorkerClient
from .devices import Device
from .plan import Plan
from .rows import metric_for

_GROUP = 12  # probes that are timed against each other; small networks, three each
_OPTIONS: dict[str, float | int] = {"min_rounds": 12, "max_rounds": 40, "samples_per_visit": 4}


def fusion_rules(
    device: Device, *, measure: bool = False, progress: Callable[[str], None] | None = None
) -> FusionRules:
    """The rules of a device's runtime.

    Args:
        device: whose.
        measure: time pairs of ops even where the runtime's graphs can be read.
        progress: gets a chain of ops before it is timed.

    Raises:
        MissingDependencyError: the runtime is not installed.
        MeasurementError: the runtime cannot be started.
    """
    by_lowering = rules_by_lowering(
        device.runtime,
        partial(lower, runtime=device.runtime, precision=device.precision),
        known_by_lowering(device.runtime),
    )
    if not measure:
        return by_lowering
    return FusionRules(device.runtime, measured_rules(device, probes(), progress), by_lowering.views)


def measured_rules(
    device: Device, chains: tuple[Probe, ...], progress: Callable[[str], None] | None = None
) -> tuple[FusionRule, ...]:
    """Rules by timing: each chain, the chain without its last op, and that op alone, in random order in one process.

    A chain that the runtime cannot run has no rule.
    """
    found: list[FusionRule] = []
    with WorkerClient(device.runtime, device.threads, device.precision) as worker:
        for start in range(0, len(chains), _GROUP):
            group = chains[start : start + _GROUP]
            if progress is not None:
                progress(" + ".join(group[0].ops))
            found += _measure_group(worker, group, metric_for(device.threads))
    return tuple(found)


def _measure_group(worker: WorkerClient, group: tuple[Probe, ...], metric: str) -> list[FusionRule]:
    ready = [probe for probe in group if _prepared(worker, probe)]
    names = [name for probe in ready for name in _names(probe)]
    if not names:
        return []
    empty = worker.prepare_overheads()
    constants = [f"constant {overhead['name']}" for overhead in empty if overhead["base"] is None]
    result = worker.measure([*names, *constants], _OPTIONS | {"metric": metric, "seed": 0}, lambda _: None)
    times = {
        name: float(np.quantile(entry.samples[f"{metric}_ns"], 0.25)) / entry.samples.batch
        for name, entry in result.entries.items()
    }
    # What a call of the runtime takes is in each of the three numbers once; one of them is too many in the sum.
    call_ns = min((times[name] for name in constants), default=0.0)
    worker.release([*names, *constants])
    return [
        FusionRule.measured(probe.ops, *(max(times[name] - call_ns, 0.0) for name in _names(probe))) for probe in ready
    ]


def _names(probe: Probe) -> tuple[str, str, str]:
    chain = " + ".join(probe.ops)
    return (f"host {chain}", f"last {chain}", f"whole {chain}")


def _prepared(worker: WorkerClient, probe: Probe) -> bool:
    """Make the three networks of a probe ready; whether the runtime takes them."""
    done: list[str] = []
    try:
        for name, network in zip(_names(probe), probe.apart, strict=True):
            worker.prepare_network(name, network, None, 0)
            done.append(name)
    except MeasurementError:
        worker.release(done)
        return False
    return True


def stored_rules(store: Store, device: DeviceLike) -> FusionRules | None:
    """The rules kept with a device's rows, those that were timed first; None where there are none."""
    for name in (MEASURED_FUSION_DOCUMENT, FUSION_DOCUMENT):
        document = store.document(device, name)
        if document is not None:
            return FusionRules.from_json(document)
    return None


def keep_rules(plan: Plan, store: Store) -> None:
    """Keep with the rows what a machine without the runtime needs to find them: fusion rules, and names by them.

    Files of the user's own are left out: what is written in them need not be what Lutra would write.
    """
    if known_by_lowering(plan.device.runtime) != "dumped":  # lowered everywhere, without the runtime
        return
    device = plan.device.fingerprint
    kept, known = (store.document(device, name) for name in (FUSION_DOCUMENT, ALIASES_DOCUMENT))
    rules = fusion_rules(plan.device) if kept is None else FusionRules.from_json(kept)
    aliases = Aliases() if known is None else Aliases.from_json(known)
    store.set_document(device, FUSION_DOCUMENT, rules.to_json())
    for subject in plan.subjects:
        if subject.model is None:
            aliases.learn(lower_by_rules(subject.network, rules), subject.lowered)
    store.set_document(device, ALIASES_DOCUMENT, aliases.to_json())
