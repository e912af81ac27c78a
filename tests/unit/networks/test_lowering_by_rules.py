"""Networks lowered by stored rules, and the runtime's own kernels found again by them."""

from functools import partial

import pytest

from lutra.networks import zoo
from lutra.networks.errors import CorruptModelError
from lutra.networks.lowering import Aliases, FusionRules, lower, lower_by_rules, rules_by_lowering

pytest.importorskip("onnxruntime")

NAMES = ("mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5", "vit_tiny", "densenet121", "efficientnet_b0")


def build(name: str):
    return zoo.build(name) if name == "vit_tiny" else zoo.build(name, resolution=64)


@pytest.fixture(scope="module", params=["float32", "int8"])
def precision(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def rules(precision: str) -> FusionRules:
    return rules_by_lowering("onnxruntime", partial(lower, runtime="onnxruntime", precision=precision), "dumped")


def test_the_runtimes_kernels_are_found_again(rules: FusionRules, precision: str) -> None:
    aliases = Aliases()
    for name in NAMES:
        network = build(name)
        by_rules, real = lower_by_rules(network, rules), lower(network, "onnxruntime", precision=precision)
        assert by_rules.macs == network.macs
        aliases.learn(by_rules, real)
        kept = Aliases.from_json(aliases.to_json())
        assert kept.resolve(by_rules) == ([kernel.key for kernel in real.kernels], [])


def test_a_network_of_known_blocks_is_found_though_it_was_never_seen(rules: FusionRules, precision: str) -> None:
    aliases = Aliases()
    seen, unseen = build("resnet18"), build("resnet34")
    aliases.learn(lower_by_rules(seen, rules), lower(seen, "onnxruntime", precision=precision))
    real = lower(unseen, "onnxruntime", precision=precision)
    assert aliases.resolve(lower_by_rules(unseen, rules)) == ([kernel.key for kernel in real.kernels], [])


def test_what_is_not_known_is_named(rules: FusionRules) -> None:
    by_rules = lower_by_rules(build("resnet18"), rules)
    keys, missing = Aliases().resolve(by_rules)
    assert (keys, missing) == ([], list(by_rules.kernels))


@pytest.mark.parametrize("document", [{}, {"units": []}, {"units": {"a": 1}}])
def test_damaged_aliases_are_refused(document: dict[str, object]) -> None:
    with pytest.raises(CorruptModelError, match="aliases"):
        Aliases.from_json(document)
