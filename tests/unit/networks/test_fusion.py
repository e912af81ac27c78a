"""Fusion rules: read from lowered graphs, told by times, kept as JSON."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.networks.errors import CorruptModelError
from lutra.networks.lowering import FusionRule, FusionRules, known_by_lowering, lower, probes, rules_by_lowering


def rules_of(runtime: str, precision: str = "float32") -> FusionRules:
    by = partial(lower, runtime=runtime, precision=precision)
    return rules_by_lowering(runtime, by, known_by_lowering(runtime))


def rule(rules: FusionRules, *ops: str) -> FusionRule:
    return next(rule for rule in rules.rules if rule.ops == ops)


def test_onnx_runtime_fuses_what_its_graphs_show() -> None:
    pytest.importorskip("onnxruntime")
    rules = rules_of("onnxruntime")
    assert {r.known for r in rules.rules} == {"dumped"}
    assert rule(rules, "conv2d", "relu").kernels == ("Conv(Relu)",)
    assert rule(rules, "conv2d", "add", "relu").kernels == ("Conv(Sum, Relu)",)
    assert rule(rules, "add", "layer_norm").kernels == ("SkipLayerNormalization",)
    for fused in (("conv2d", "batch_norm"), ("conv2d", "sigmoid"), ("linear flat", "relu"), ("conv2d", "add")):
        assert rules.fuses(*fused), fused
    for apart in (("conv2d", "hard_swish"), ("conv2d", "silu"), ("add", "relu"), ("linear", "gelu")):
        assert not rules.fuses(*apart), apart
    assert rules.views == ("reshape", "flatten")


def test_in_int8_range_limits_fuse_too() -> None:
    pytest.importorskip("onnxruntime")
    rules = rules_of("onnxruntime", "int8")
    assert rule(rules, "conv2d", "relu").kernels == ("QLinearConv",)
    assert not rules.fuses("conv2d", "sigmoid")
    assert not rules.fuses("conv2d", "add")


def test_our_own_rules_are_fixed() -> None:
    rules = rules_of("native")
    assert {r.known for r in rules.rules} == {"fixed"}
    assert rule(rules, "conv2d", "add", "relu").kernels == ("conv2d", "conv2d(Sum, relu)", "reorder")
    assert rules.fuses("linear", "hard_swish")
    assert not rules.fuses("conv2d", "leaky_relu")
    assert set(rules.views) >= {"reshape", "flatten", "cast"}


def test_every_chain_is_tried_once_and_only_its_last_op_differs() -> None:
    found = probes()
    assert len({probe.ops for probe in found}) == len(found)
    for probe in found:
        assert len(probe.whole) == len(probe.host) + 1
        first, last, both = probe.apart
        assert (len(first), len(last), len(both)) == (len(probe.ops) - 1, 1, len(probe.ops))


@pytest.mark.parametrize(
    ("times", "fused"),
    [((100, 10, 100), True), ((100, 10, 104), True), ((100, 10, 106), False), ((10, 100, 104), True)],
)
def test_times_tell_what_is_fused(times: tuple[float, float, float], fused: bool) -> None:
    verdict = FusionRule.measured(("a", "b"), *times)
    assert verdict.fused is fused
    assert verdict.known == "measured"
    assert dict(verdict.evidence)["saved_ns"] == times[0] + times[1] - times[2]


@given(st.lists(st.tuples(st.text(min_size=1), st.booleans(), st.floats(0, 1e9)), max_size=4))
def test_rules_survive_json(chosen: list[tuple[str, bool, float]]) -> None:
    rules = tuple(FusionRule((op, "relu"), fused, "dumped", (op,), (("nodes", n),)) for op, fused, n in chosen)
    kept = FusionRules("mine", rules, ("reshape",))
    assert FusionRules.from_json(kept.to_json()) == kept


@pytest.mark.parametrize("document", [{}, {"version": 2}, {"version": 1, "runtime": "x", "rules": [{}], "views": []}])
def test_damaged_rules_are_refused(document: dict[str, object]) -> None:
    with pytest.raises(CorruptModelError, match="fusion rules"):
        FusionRules.from_json(document)
