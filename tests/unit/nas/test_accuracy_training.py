"""Training: it learns, goes on after a stop bit for bit, and says why it cannot."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from lutra.nas.accuracy import estimator_class  # noqa: E402
from lutra.nas.accuracy.augmentation import NO_AUGMENTATION, Augmentation  # noqa: E402
from lutra.nas.accuracy.data import digits  # noqa: E402
from lutra.nas.accuracy.recipe import Recipe  # noqa: E402
from lutra.nas.accuracy.training import Progress, memory_explained, train  # noqa: E402
from lutra.nas.checkpoint import differences  # noqa: E402
from lutra.nas.testing import small_classifier  # noqa: E402
from lutra.networks import zoo  # noqa: E402
from lutra.networks.errors import (  # noqa: E402
    CheckpointError,
    DivergedError,
    FormatVersionError,
    NotSupportedError,
    TrainingError,
    UsageError,
)
from lutra.networks.exporters import to_torch  # noqa: E402

NET = small_classifier(8, 2)
LEARNED, JUDGED = digits(16).split(0.25)
FEW = LEARNED.subset(range(300))
QUICK = Recipe(epochs=3, batch=50, averaging=0.9, augmentation=Augmentation(padding=1, flip=False, cutout=2, mixup=0.2))


def weights_of(module) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in module.state_dict().items()}


def assert_equal_weights(one, other) -> None:
    first, second = weights_of(one), weights_of(other)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


# -- it learns --------------------------------------------------------------------------------------------


def test_digits_are_learned():
    recipe = Recipe(epochs=6, batch=64, averaging=0.99, augmentation=Augmentation(padding=1, flip=False))
    trained = train(small_classifier(16, 2), LEARNED, JUDGED, recipe)
    losses = [epoch.loss for epoch in trained.epochs]
    assert losses[-1] < losses[0] / 2
    assert trained.accuracy_pct > 90
    assert not trained.module.training
    assert not trained.stopped_early
    assert trained.seconds > 0
    assert trained.cpu_seconds is not None
    assert trained.cpu_seconds > 0


def test_the_same_seed_gives_the_same_weights_and_another_gives_others():
    recipe = Recipe(epochs=1, batch=50)
    first = train(NET, FEW, JUDGED, recipe)
    assert_equal_weights(first.module, train(NET, FEW, JUDGED, recipe).module)
    other = train(NET, FEW, JUDGED, Recipe(epochs=1, batch=50, seed=1))
    assert not np.array_equal(weights_of(first.module)["stem.weight"], weights_of(other.module)["stem.weight"])


def test_training_begins_from_given_weights():
    module = to_torch(NET)
    before = weights_of(module)["stem.weight"]
    trained = train(NET, FEW, JUDGED, Recipe(epochs=1, learning_rate=1e-9, weight_decay=0), module=module)
    assert np.allclose(weights_of(trained.module)["stem.weight"], before, atol=1e-6)


def test_averaged_weights_are_the_result():
    last = train(NET, FEW, JUDGED, Recipe(epochs=1, batch=50, augmentation=NO_AUGMENTATION))
    averaged = train(NET, FEW, JUDGED, Recipe(epochs=1, batch=50, averaging=0.99, augmentation=NO_AUGMENTATION))
    one, other = weights_of(last.module), weights_of(averaged.module)
    assert not np.allclose(one["stem.weight"], other["stem.weight"])
    assert last.epochs[0].loss == averaged.epochs[0].loss  # the steps themselves are the same


def test_progress_is_told_after_each_step_and_epoch():
    told: list[Progress] = []
    train(NET, FEW, JUDGED, QUICK, on_progress=told.append)
    steps = [progress.step for progress in told]
    assert steps == [*range(1, 7), 6, *range(7, 13), 12, *range(13, 19), 18]
    assert all(progress.steps == 18 for progress in told)
    assert [len(progress.epochs) for progress in told[::7]] == [0, 1, 2]
    assert len(told[-1].epochs) == 3


def test_patience_runs_out():
    recipe = Recipe(epochs=50, batch=300, learning_rate=1e-9, patience=3, augmentation=NO_AUGMENTATION, momentum=0)
    module = to_torch(NET)
    with torch.no_grad():
        module.get_submodule("linear").weight.zero_()
        module.get_submodule("linear").bias.copy_(torch.arange(10.0))  # one class, whatever the image
    trained = train(NET, FEW, JUDGED, recipe, module=module)
    assert trained.stopped_early
    assert len(trained.epochs) == 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_on_a_gpu():
    trained = train(small_classifier(16, 2), LEARNED, JUDGED, Recipe(epochs=6, batch=64), device="cuda")
    assert trained.accuracy_pct > 90


# -- it goes on -------------------------------------------------------------------------------------------


class _StopError(Exception):
    pass


@pytest.mark.parametrize("stop_at", [3, 6, 10, 17])
def test_a_stopped_training_goes_on_bit_for_bit(tmp_path, stop_at):
    whole = train(NET, FEW, JUDGED, QUICK)
    path = tmp_path / "folder" / "training.npz"

    def stop(progress: Progress) -> None:
        if progress.step == stop_at:
            raise _StopError

    with pytest.raises(_StopError):
        train(NET, FEW, JUDGED, QUICK, checkpoint=path, on_progress=stop)
    assert path.exists() == (stop_at > 6)
    resumed = train(NET, FEW, JUDGED, QUICK, checkpoint=path)
    assert_equal_weights(whole.module, resumed.module)
    assert [(e.loss, e.accuracy_pct) for e in whole.epochs] == [(e.loss, e.accuracy_pct) for e in resumed.epochs]
    again = train(NET, FEW, JUDGED, QUICK, checkpoint=path)  # nothing left to do
    assert again.epochs == resumed.epochs
    assert_equal_weights(again.module, resumed.module)
    assert again.cpu_seconds == resumed.cpu_seconds
    assert [file.name for file in path.parent.iterdir()] == ["training.npz"]


def test_a_checkpoint_that_did_not_count_processor_time_is_taken(tmp_path):
    path = tmp_path / "training.npz"
    train(NET, FEW, JUDGED, QUICK, checkpoint=path)
    with np.load(path) as loaded:
        arrays = dict(loaded)
    card = json.loads(str(arrays["card"]))
    del card["progress"]["epochs"][0]["cpu_seconds"]
    np.savez(path, **arrays | {"card": np.array(json.dumps(card))})
    found = train(NET, FEW, JUDGED, QUICK, checkpoint=path)
    assert len(found.epochs) == QUICK.epochs
    assert found.seconds > 0
    assert found.cpu_seconds is None


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    path = tmp_path / "training.npz"
    recipe = Recipe(epochs=1, batch=100)
    train(NET, FEW, JUDGED, recipe, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"another training: recipe\.learning_rate was 0\.1, is 0\.2"):
        train(NET, FEW, JUDGED, Recipe(epochs=1, batch=100, learning_rate=0.2), checkpoint=path)
    with pytest.raises(CheckpointError, match="another training: network was"):
        train(small_classifier(8, 3), FEW, JUDGED, recipe, checkpoint=path)
    with pytest.raises(CheckpointError, match="another training: images was"):
        train(NET, FEW.subset(range(299)), JUDGED, recipe, checkpoint=path)
    with pytest.raises(CheckpointError, match="another training: initial was"):
        train(NET, FEW, JUDGED, recipe, checkpoint=path, module=to_torch(NET))
    assert path.read_bytes() == before


def test_damaged_checkpoints_are_refused(tmp_path):
    path = tmp_path / "training.npz"
    recipe = Recipe(epochs=1, batch=100)
    train(NET, FEW, JUDGED, recipe, checkpoint=path)
    good = path.read_bytes()
    for bad in (b"", b"nothing", good[: len(good) // 2]):
        path.write_bytes(bad)
        with pytest.raises(CheckpointError, match="no checkpoint, or damaged"):
            train(NET, FEW, JUDGED, recipe, checkpoint=path)
    path.write_bytes(good)
    with np.load(path, allow_pickle=False) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    card = json.loads(str(arrays["card"]))
    np.savez(path, **arrays | {"card": np.array(json.dumps(card | {"version": 99}))})
    with pytest.raises(FormatVersionError, match="format version 99"):
        train(NET, FEW, JUDGED, recipe, checkpoint=path)
    np.savez(path, **{name: array for name, array in arrays.items() if not name.endswith("stem.weight")})
    with pytest.raises(CheckpointError, match=r"is damaged.*stem\.weight"):
        train(NET, FEW, JUDGED, recipe, checkpoint=path)
    np.savez(path, card=np.array({"a": 1}, dtype=object))
    with pytest.raises(CheckpointError, match="no checkpoint, or damaged"):
        train(NET, FEW, JUDGED, recipe, checkpoint=path)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot be written"):
        train(NET, FEW, JUDGED, Recipe(epochs=1, batch=300), checkpoint=tmp_path / "file" / "training.npz")


# -- it cannot --------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_stops_with_step_and_rate():
    with pytest.raises(DivergedError, match=r"no number any more at step \d+, at a learning rate of") as caught:
        train(NET, FEW, JUDGED, Recipe(epochs=2, batch=50, learning_rate=1e30, warm_up=0))
    assert caught.value.step < 12
    assert caught.value.learning_rate > 1e28


def test_the_last_good_checkpoint_stays(tmp_path):
    path, module = tmp_path / "training.npz", to_torch(NET)

    def poison(progress: Progress) -> None:
        if progress.step == 8:
            with torch.no_grad():
                module.get_submodule("stem").weight.fill_(math.nan)

    with pytest.raises(DivergedError, match=r"at step 8.*\n.*the checkpoint after epoch 1 is kept"):
        train(NET, FEW, JUDGED, QUICK, module=module, checkpoint=path, on_progress=poison)
    with np.load(path, allow_pickle=False) as loaded:
        assert all(np.isfinite(loaded[name]).all() for name in loaded.files if name != "card")
        assert len(json.loads(str(loaded["card"]))["progress"]["epochs"]) == 1


def test_out_of_memory_says_what_to_lower():
    module = to_torch(NET)

    def fail(*_: object) -> None:
        if module.training:
            raise torch.OutOfMemoryError("CUDA out of memory")

    module.register_forward_pre_hook(fail)
    with pytest.raises(TrainingError, match=r"does not fit into memory at a batch of 50\n.*lower the batch"):
        train(NET, FEW, JUDGED, QUICK, module=module)
    with pytest.raises(TrainingError, match="lower the batch"), memory_explained("a net", 8):
        torch.empty(2**60)  # what a processor's allocator says by itself
    with pytest.raises(TrainingError, match="lower the batch"), memory_explained("a net", 8):
        np.empty(2**58)
    module = to_torch(NET)
    module.register_forward_pre_hook(lambda m, _: (_ for _ in ()).throw(RuntimeError("bug")) if m.training else None)
    with pytest.raises(RuntimeError, match="bug"):
        train(NET, FEW, JUDGED, QUICK, module=module)


def test_networks_that_do_not_fit_the_images():
    with pytest.raises(UsageError, match=r"reads \(3, 16, 16\).*images of 'digits' are \(3, 8, 8\)"):
        train(NET, digits(8), JUDGED, QUICK)
    with pytest.raises(NotSupportedError, match="does not turn a batch of any size"):
        train(zoo.build("vit_b_16", resolution=16, num_classes=10), FEW, JUDGED, QUICK)


# -- recipes ----------------------------------------------------------------------------------------------


@given(steps=st.integers(2, 500), warm_up=st.sampled_from([0.0, 0.05, 0.5]))
def test_the_rate_rises_and_falls(steps, warm_up):
    recipe = Recipe(warm_up=warm_up)
    rates = [recipe.learning_rate_at(step, steps) for step in range(steps)]
    top = int(np.argmax(rates))
    assert all(a < b for a, b in pairwise(rates[: top + 1]))
    assert all(a > b for a, b in pairwise(rates[top:]))
    assert 0 < rates[-1] <= rates[top] <= recipe.learning_rate
    assert top <= math.ceil(warm_up * steps)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch": 1.5},
        {"patience": 0},
        {"learning_rate": 0},
        {"learning_rate": math.nan},
        {"weight_decay": -1},
        {"warm_up": 1},
        {"momentum": 1.0},
        {"label_smoothing": -0.1},
        {"averaging": math.nan},
    ],
)
def test_recipes_that_make_no_sense(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Recipe(**wrong)


def test_differences_are_told_with_their_place():
    assert differences({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "e": 5}) == [
        "a.c was 2, is 4",
        "d was 3, is None",
        "e was None, is 5",
    ]


# -- as an estimator --------------------------------------------------------------------------------------


def test_from_scratch_goes_on_from_its_folder(tmp_path: Path):
    recipe = Recipe(epochs=1, batch=50)
    estimator = estimator_class("from-scratch")(images=FEW, held_out=JUDGED, recipe=recipe, folder=tmp_path)
    first = estimator.estimate([NET, small_classifier(8, 3)])
    assert first.meaning == "accuracy_pct"
    assert len(list(tmp_path.iterdir())) == 2
    again = estimator.estimate([NET, small_classifier(8, 3)])
    assert (again.values == first.values).all()
    assert again.seconds.sum() < first.seconds.sum()


def test_from_scratch_without_images_learns_digits():
    from_scratch = estimator_class("from-scratch")
    images, held_out = from_scratch(seed=1)._data(small_classifier(4, 1))
    assert (images.name, images.shape, len(images) + len(held_out)) == ("digits", (3, 16, 16), 1797)
    diverging = from_scratch(images=FEW, recipe=Recipe(epochs=1, batch=20, learning_rate=1e30, warm_up=0))
    scores = diverging.estimate([NET])
    assert "no number any more" in scores.failures[0]
    with pytest.raises(UsageError, match="nothing to learn from"):
        from_scratch(held_out=FEW)
