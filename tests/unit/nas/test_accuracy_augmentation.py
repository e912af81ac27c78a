"""Augmentation: what each does to pixels and targets, and that an epoch follows its seed and number."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lutra.nas.accuracy.data import ImageSet, digits  # noqa: E402
from lutra.nas.accuracy.data_augmentation import (  # noqa: E402
    Augmentation,
    Batches,
    cut_out,
    mix_up,
    random_crop,
    random_flip,
)
from lutra.networks.errors import UsageError  # noqa: E402


def generator(seed: int = 0) -> "torch.Generator":
    return torch.Generator().manual_seed(seed)


def test_a_crop_is_a_window_of_the_padded_image():
    images = torch.arange(1, 61, dtype=torch.uint8).reshape(1, 1, 6, 10).repeat(500, 3, 1, 1)
    cropped = random_crop(images, 2, generator())
    assert cropped.shape == images.shape
    padded = torch.nn.functional.pad(images[0], (2, 2, 2, 2))
    windows = {(top, left): padded[:, top : top + 6, left : left + 10] for top in range(5) for left in range(5)}
    seen = set()
    for image in cropped:
        (at,) = [place for place, window in windows.items() if (window == image).all()]
        seen.add(at)
    assert seen == set(windows)


def test_half_of_the_images_are_mirrored():
    images = torch.rand(1000, 1, 3, 4)
    flipped = random_flip(images, generator())
    same = (flipped == images).flatten(1).all(dim=1)
    mirrored = (flipped == images.flip(3)).flatten(1).all(dim=1)
    assert (same ^ mirrored).all()
    assert 400 < int(same.sum()) < 600


def test_a_square_is_cut_out_and_at_edges_less():
    cut = cut_out(torch.ones(2000, 2, 8, 8), 4, generator())
    assert (cut[:, 0] == cut[:, 1]).all()
    sizes = (cut[:, 0] == 0).flatten(1).sum(dim=1)
    assert int(sizes.max()) == 16
    assert 0 < int(sizes.min()) < 16
    assert (cut[:, 0] == 0).any(dim=0).all()  # every pixel has its turn


def test_mixing_keeps_the_sum_of_targets_and_is_the_same_for_both():
    images, targets = torch.eye(6).reshape(6, 1, 2, 3), torch.eye(6)
    mixed, mixed_targets = mix_up(images, targets, 0.5, generator(1))
    assert torch.allclose(mixed.reshape(6, 6), mixed_targets)
    assert torch.allclose(mixed_targets.sum(dim=1), torch.ones(6))
    assert not torch.equal(mixed_targets, targets)


@pytest.mark.parametrize(
    "augmentation", [Augmentation(), Augmentation(padding=1, flip=True, cutout=3, mixup=0.2)], ids=["plain", "all"]
)
def test_epochs_follow_seed_and_number(augmentation):
    batches = Batches(digits(), 64, augmentation=augmentation, seed=5)
    first = list(batches.epoch(3))
    assert len(first) == len(batches) == 1797 // 64
    again = list(Batches(digits(), 64, augmentation=augmentation, seed=5).epoch(3))
    assert all((a == b).all() and (t == u).all() for (a, t), (b, u) in zip(first, again, strict=True))
    other, seeded = next(batches.epoch(4)), next(Batches(digits(), 64, augmentation=augmentation, seed=6).epoch(3))
    assert not (first[0][0] == other[0]).all()
    assert not (first[0][0] == seeded[0]).all()
    assert first[0][0].dtype == torch.float32
    assert torch.allclose(first[0][1].sum(dim=1), torch.ones(64))


def test_batches_hold_every_image_once_and_are_normalised():
    images = digits(channels=1)
    batches = Batches(images, 100)
    inputs, labels = (torch.cat(parts) for parts in zip(*batches.in_order(), strict=True))
    assert (labels.numpy() == images.labels).all()
    assert float(inputs.mean()) == pytest.approx(0, abs=1e-4)
    assert float(inputs.std()) == pytest.approx(1, abs=1e-3)
    epoch = torch.cat([batch for batch, _ in batches.epoch(0)])
    rows = {row.numpy().tobytes() for row in inputs.flatten(1)}
    assert len(epoch) == 1700
    assert {row.numpy().tobytes() for row in epoch.flatten(1)} <= rows
    other = ImageSet("white", np.full((2, 1, 8, 8), 255, np.uint8), np.zeros(2, np.int64), images.classes)
    mean, deviation = images.channel_statistics()
    white, _ = next(Batches(other, 2, statistics=(mean, deviation)).in_order())
    assert float(white[0, 0, 0, 0]) == pytest.approx(float((1 - mean[0]) / deviation[0]), rel=1e-5)


def test_a_batch_is_never_larger_than_the_set():
    few = digits().subset(range(10))
    batches = Batches(few, 64)
    assert (len(batches), [len(images) for images, _ in batches.epoch(0)]) == (1, [10])


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UsageError, match="size of a batch"):
        Batches(digits(), 0)
    for bad in ({"padding": -1}, {"cutout": -2}, {"mixup": -0.1}, {"mixup": float("inf")}):
        with pytest.raises(UsageError, match="makes no sense"):
            Augmentation(**bad)
