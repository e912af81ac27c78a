"""Networks taken out of the supernets of gradient searches: the same outputs, weights of their own, own statistics."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from lutra.nas.gradient import DartsCells, Proxyless, Training, extract
from lutra.nas.gradient.mixing import one_path
from lutra.nas.gradient.supernet import statistics_kept
from lutra.nas.gradient.testing import toy_images, toy_space
from lutra.nas.spaces.darts import DartsSpace
from lutra.networks.errors import NotSupportedError, UsageError

SPACE = toy_space()
IMAGES = toy_images(48, 0)


@pytest.fixture
def search() -> Proxyless:
    """Weights that are no beginning's: where a batch norm begins with a scale of 0, every candidate does nothing."""
    made = Proxyless(SPACE, training=Training(epochs=1, batch=16))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in made.net.parameters():
            weight.copy_(torch.rand(weight.shape, generator=generator) - 0.5)
    return made


def test_what_is_taken_out_computes_what_the_path_does(search: Proxyless) -> None:
    inputs = torch.randn(6, *IMAGES.shape, generator=torch.Generator().manual_seed(0))
    for code in SPACE.sample(4, np.random.default_rng(0)):
        module = search.net.extract(SPACE.decode(code), search.path(code))
        assert module.network.fingerprint == SPACE.decode(code).fingerprint
        with torch.no_grad(), statistics_kept(module), statistics_kept(search.net):
            torch.testing.assert_close(module(inputs), search.net(inputs, one_path(search.path(code))))


def test_weights_are_copies(search: Proxyless) -> None:
    code = SPACE.sample(1, np.random.default_rng(0))[0]
    before = [weight.clone() for weight in search.net.parameters()]
    module = extract(search, code, IMAGES)
    with torch.no_grad():
        for weight in module.parameters():
            weight.zero_()
    assert all(torch.equal(weight, old) for weight, old in zip(search.net.parameters(), before, strict=True))


def test_statistics_are_those_of_the_images(search: Proxyless) -> None:
    """Behind the first convolution: the mean of all batches' means."""
    code = SPACE.sample(1, np.random.default_rng(0))[0]
    module = extract(search, code, IMAGES)
    assert not module.training
    (first,) = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)][:1]
    (layer,) = [m for m in module.modules() if isinstance(m, torch.nn.Conv2d)][:1]
    batches = search.batches(IMAGES, IMAGES, search.training.augmentation)
    with torch.no_grad():
        means = [layer(pixels).mean(dim=(0, 2, 3)) for pixels, _ in batches.in_order()]
    torch.testing.assert_close(first.running_mean, torch.stack(means).mean(dim=0))


def test_what_cannot_be_taken_out_is_refused(search: Proxyless) -> None:
    with pytest.raises(UsageError):
        extract(search, [99] * len(SPACE.decisions), IMAGES)
    cells = DartsCells(DartsSpace(8, channels=4, cells=3))
    code = cells.space.sample(1, np.random.default_rng(0))[0]
    with pytest.raises(NotSupportedError, match="no network is taken out of a supernet of"):
        extract(cells, code, IMAGES)
