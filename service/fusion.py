"""Fusion rules for the command line: of a device that is here, or as kept with the rows of another."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..networks.lowering import FusionRules
    from ..profiler import Device


def rules_of(
    device: str, runtime: str | None, threads: int, precision: str, *, measure: bool, store: str | None
) -> "FusionRules":
    """The rules of a device's runtime.

    Of a device that is here they are read from the runtime's graphs, or timed; what was timed is kept in the store,
    and shown from then on. Of another device they are what the store has.

    Raises:
        NotCoveredError: the device is not here, and nothing is kept of it.
        UnknownNameError: no such device or runtime.
    """
    from ..networks.errors import NotCoveredError, UsageError
    from ..profiler import is_simulated, resolve_device
    from ..profiler.fusion import fusion_rules, stored_rules
    from .stores import open_store, require_store

    if device not in ("host", "null") and is_simulated(device):
        if measure:
            raise UsageError(f"{device} is simulated: nothing can be timed on it", hint="leave --measure out")
        return fusion_rules(resolve_device(device, runtime=runtime, threads=threads, precision=precision))
    if device in ("host", "null"):
        target = resolve_device(device, runtime=runtime, threads=threads, precision=precision)
        return _measured(target, store) if measure else _kept(target, store) or fusion_rules(target)
    with open_store(store) as opened:
        record = require_store(opened).device(device)
        rules = stored_rules(require_store(opened), record)
    if rules is None:
        raise NotCoveredError(
            f"the store has no fusion rules of {device}", (), hint="run lutra ops --fusion --measure on that device"
        )
    return rules


def _kept(target: "Device", store: str | None) -> "FusionRules | None":
    from ..profiler.fusion import stored_rules
    from .stores import open_store

    with open_store(store) as opened:
        known = {record.digest for record in opened.devices()} if opened else set()
        if opened is None or target.fingerprint.digest not in known:
            return None
        return stored_rules(opened, target.fingerprint)


def _measured(target: "Device", store: str | None) -> "FusionRules":
    from ..luts.table import MEASURED_FUSION_DOCUMENT
    from ..profiler.fusion import fusion_rules
    from .stores import open_store, require_store

    rules = fusion_rules(target, measure=True, progress=_tell)
    with open_store(store, read_only=False, create=True) as opened:
        record = require_store(opened).register_device(target.fingerprint, target.name)
        require_store(opened).set_document(record, MEASURED_FUSION_DOCUMENT, rules.to_json())
    return rules


def _tell(chain: str) -> None:
    sys.stderr.write(f"timing {chain} ...\n")
