"""Batch norms' statistics measured anew."""

import pytest

torch = pytest.importorskip("torch")

from lutra.nas.accuracy import Augmentation, Recipe  # noqa: E402
from lutra.nas.accuracy.data import digits  # noqa: E402
from lutra.nas.accuracy.data_augmentation import Batches  # noqa: E402
from lutra.nas.accuracy.lessons import evaluate  # noqa: E402
from lutra.nas.accuracy.recalibration import recalibrate  # noqa: E402
from lutra.nas.accuracy.training import train  # noqa: E402
from lutra.nas.testing import small_classifier  # noqa: E402
from lutra.networks.errors import UsageError  # noqa: E402
from lutra.networks.exporters import to_torch  # noqa: E402

NET = small_classifier(8, 2)


def norms_of(module):
    return [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def spoilt(module):
    """Its statistics are those of another network."""
    for norm in norms_of(module):
        norm.running_mean.fill_(3.0)
        norm.running_var.fill_(0.01)
    return module


def test_statistics_are_the_means_over_batches():
    module = spoilt(to_torch(NET))
    batches = [torch.randn(7, 3, 16, 16) for _ in range(3)]
    weights = [p.detach().clone() for p in module.parameters()]
    with torch.no_grad():
        stems = [module.get_submodule("blocks.0.conv2d")(module.get_submodule("stem")(batch)) for batch in batches]
    recalibrate(module, batches)
    first = norms_of(module)[0]
    assert torch.allclose(
        first.running_mean, torch.stack([s.mean(dim=(0, 2, 3)) for s in stems]).mean(dim=0), atol=1e-6
    )
    assert torch.allclose(first.running_var, torch.stack([s.var(dim=(0, 2, 3)) for s in stems]).mean(dim=0), atol=1e-5)
    assert all(torch.equal(p, before) for p, before in zip(module.parameters(), weights, strict=True))
    assert all(norm.momentum == 0.1 for norm in norms_of(module))
    assert not any(m.training for m in module.modules())


def test_accuracy_comes_back():
    images, held_out = digits(16).split(0.25)
    recipe = Recipe(epochs=4, batch=64, augmentation=Augmentation(padding=1, flip=False))
    trained = train(small_classifier(16, 2), images, held_out, recipe)
    judged = Batches(held_out, 200, statistics=trained.statistics)
    assert evaluate(spoilt(trained.module), judged) < 40
    recalibrate(trained.module, (inputs for inputs, _ in Batches(images, 64, statistics=trained.statistics).epoch(0)))
    assert evaluate(trained.module, judged) > 80


def test_without_a_batch_nothing_changes():
    module = spoilt(to_torch(NET))
    with pytest.raises(UsageError, match="no batch to measure statistics on"):
        recalibrate(module, [])
    assert all(bool((norm.running_mean == 3).all()) and norm.momentum == 0.1 for norm in norms_of(module))


def test_a_failure_leaves_momenta_as_they_were():
    module = to_torch(NET)
    with pytest.raises(RuntimeError):
        recalibrate(module, [torch.randn(2, 5, 16, 16)])
    assert all(norm.momentum == 0.1 for norm in norms_of(module))
