"""Fusion rules by timing, and kept in the store."""

from pathlib import Path

from lutra.luts import Store
from lutra.luts.table import FUSION_DOCUMENT
from lutra.networks.lowering import probes
from lutra.profiler import resolve_device
from lutra.profiler.fusion import fusion_rules, measured_rules, stored_rules


def test_timing_finds_the_rules_that_the_null_runtime_follows() -> None:
    """Its latencies follow from its lowering, so that what is timed and what is read must agree."""
    device = resolve_device("null")
    chosen = tuple(probe for probe in probes() if "linear" in probe.ops)
    timed = {rule.ops: rule for rule in measured_rules(device, chosen)}
    read = {rule.ops: rule.fused for rule in fusion_rules(device).rules}
    assert {ops: rule.fused for ops, rule in timed.items()} == {ops: read[ops] for ops in timed}
    assert {rule.known for rule in timed.values()} == {"measured"}


def test_rules_are_kept_with_the_device(tmp_path: Path) -> None:
    device = resolve_device("null")
    rules = fusion_rules(device)
    with Store.open(tmp_path / "rows.db") as store:
        store.register_device(device.fingerprint, "null")
        assert stored_rules(store, "null") is None
        for _ in range(2):
            store.set_document("null", FUSION_DOCUMENT, rules.to_json())
    with Store.open(tmp_path / "rows.db", read_only=True) as store:
        assert stored_rules(store, "null") == rules
    with Store.open(tmp_path / "rows.db") as store:
        store.delete_device("null")
        store.register_device(device.fingerprint, "null")
        assert stored_rules(store, "null") is None
