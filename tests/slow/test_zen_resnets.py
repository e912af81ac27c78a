"""Zen-scores of residual networks, shallow and deep (arXiv:2102.01063): a minute of arithmetic."""

import pytest

from lutra.networks import zoo

pytest.importorskip("torch")

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "published", "with_shortcuts"),
    [
        ("resnet18", 59.55, 70.16),
        ("resnet34", 112.35, 129.6),
        ("resnet50", 140.33, 161.3),
        ("resnet101", 285.4, 330.0),
        ("resnet152", 433.4, 497.5),
    ],
)
def test_zen_is_the_published_one(name: str, published: float, with_shortcuts: float) -> None:
    """Exact variances, eight images; the paper's own running averages give 287.87 for ResNet-101."""
    from lutra.nas.accuracy.zero_shot import Zen

    network = zoo.build(name)
    for shortcuts, expected in ((False, published), (True, with_shortcuts)):
        scores = Zen(shortcuts=shortcuts).estimate([network])
        assert scores.values[0] == pytest.approx(expected, rel=0.01)
