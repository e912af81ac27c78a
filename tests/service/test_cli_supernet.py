"""``lutra supernet`` and ``lutra search --supernet``: a supernet trained, kept, found again, and what is refused."""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from lutra.luts import Store
from lutra.nas import spaces
from lutra.nas.accuracy import load_images
from lutra.nas.accuracy.data_sources import write_npz
from lutra.nas.accuracy.once_for_all import Calibration, ElasticSupernet, OnceForAll, load_supernet, save_supernet
from lutra.profiler import make_space_plan, resolve_device, run_campaign
from lutra.service.supernets import FILE

SPACE = ("--space", "ofa-small@8")
TRAIN = ("supernet", *SPACE, "--data", "few.npz", "--epochs", 6, "--batch", 48)
FEW = load_images("digits").subset(range(120))


@pytest.fixture(scope="module")
def profiled(tmp_path_factory) -> Path:
    """A store with the null device's table of the space."""
    path = tmp_path_factory.mktemp("store") / "rows.db"
    plan = make_space_plan(resolve_device("null"), spaces.build("ofa-small@8").chains(), check=False)
    with Store.open(path, create=True, read_only=False) as store:
        run_campaign(plan, store)
    return path


@pytest.fixture(autouse=True)
def files(tmp_path: Path, profiled: Path) -> None:
    """That store; digits of 8 x 8 pixels; and a supernet's weights before any training, with some of these to judge by
    and without.
    """
    shutil.copy(profiled, tmp_path / "rows.db")
    write_npz(FEW, tmp_path / "few.npz")
    net = ElasticSupernet(spaces.build("ofa-small@8"))
    calibration = Calibration(FEW.subset(range(60)), FEW.channel_statistics())
    save_supernet(net, calibration, tmp_path / "net.npz", held_out=FEW.subset(range(60, 120)))
    save_supernet(net, calibration, tmp_path / "unjudged.npz")


def search(*more: object) -> tuple[object, ...]:
    return ("search", *SPACE, "-d", "null", "--max-ms", 9, "-s", "random", "-n", 3, "--out", "run", *more)


def test_a_trained_supernet_is_searched(lutra, tmp_path):
    done = lutra(*TRAIN, "--out", "net", "--json")
    assert done.code == 0, done.err
    assert done.document["held_out"] == 25
    assert done.document["path"] == str(Path("net") / FILE)
    assert "epoch 6/6: loss" in done.err
    found = lutra(*search("--supernet", Path("net") / FILE, "--json"))
    assert found.code == 0, found.err
    assert found.document["accuracy"]["label"] == "accuracy with shared weights (once-for-all, %)"
    net = ElasticSupernet(spaces.build("ofa-small@8"))
    kept = load_supernet(net, tmp_path / "net" / FILE)
    estimator = OnceForAll(net, kept.calibration, kept.held_out)
    for row in found.document["front"]:
        (accuracy,) = estimator.measured_pct([row["code"]])
        assert row["accuracy"] == accuracy
    again = lutra("search", "--resume", "run", "-n", 4, "--json")
    assert again.code == 0, again.err


def test_the_same_command_trains_nothing_twice(lutra, tmp_path):
    first = lutra(*TRAIN, "--out", "net")
    assert first.code == 0, first.err
    assert "lutra search --space ofa-small@8 --supernet" in first.out
    before = (tmp_path / "net" / FILE).read_bytes()
    second = lutra(*TRAIN, "--out", "net")
    assert second.out == first.out
    assert "epoch" not in second.err
    assert len((tmp_path / "net" / FILE).read_bytes()) == len(before)


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("stop_after", [1, 3])
def test_an_interrupted_training_goes_on_bit_for_bit(lutra, tmp_path, monkeypatch, stop_after):
    from lutra.service import render

    assert lutra(*TRAIN, "--out", "whole").code == 0
    lines = render._epoch_lines

    def interrupting(total):
        show = lines(total)

        def told(number: int, text: str) -> None:
            show(number, text)
            if number == stop_after:
                os.kill(os.getpid(), signal.SIGINT)

        return told

    monkeypatch.setattr(render, "_epoch_lines", interrupting)
    stopped = lutra(*TRAIN, "--out", "net")
    assert stopped.code == 5
    assert "go on with: lutra supernet" in stopped.err
    assert not (tmp_path / "net" / FILE).exists()
    monkeypatch.setattr(render, "_epoch_lines", lines)
    done = lutra(*TRAIN, "--out", "net")
    assert done.code == 0
    assert f"epoch {stop_after + 1}/6" in done.err
    assert f"epoch {stop_after}/6" not in done.err
    with np.load(tmp_path / "whole" / FILE) as one, np.load(tmp_path / "net" / FILE) as other:
        weights = [name for name in one.files if "weights/" in name]
        assert weights
        assert all(np.array_equal(one[name], other[name]) for name in weights)


@pytest.mark.parametrize(
    ("words", "code", "message", "fix"),
    [
        (("--supernet", "none.npz"), 1, "there is no supernet at", "lutra supernet --space ofa-small@8"),
        (("--supernet", "cut.npz"), 1, "or damaged", "lutra supernet --space ofa-small@8"),
        (("--supernet", "few.npz"), 1, "or damaged", "lutra supernet --space ofa-small@8"),
        (("--supernet", "other.npz"), 1, "space was 'ofa-small@16', is 'ofa-small@8'", "trained for ofa-small@8"),
        (("--supernet", "net.npz", "--data", "large.npz"), 2, r"images of 'large.npz' are (3, 16, 16)", "8 x 8 pixels"),
        (("--supernet", "net.npz", "--data", "none"), 2, "there is no such file or folder", "give a path"),
        (("--supernet", "unjudged.npz"), 2, "has no images to judge by", "--data"),
        (("--accuracy", "once-for-all"), 2, "needs a trained supernet", "lutra supernet --space ofa-small@8"),
        (("--accuracy", "macs", "--supernet", "net.npz"), 2, "macs asks no supernet", "--accuracy once-for-all"),
        (("--accuracy", "synflow", "--supernet", "net.npz"), 2, "synflow asks no supernet", "--accuracy once-for-all"),
    ],
)  # fmt: skip
def test_what_is_no_supernet_for_this_space_is_refused(lutra, tmp_path, words, code, message, fix):
    (tmp_path / "cut.npz").write_bytes((tmp_path / "net.npz").read_bytes()[:50_000])
    larger = load_images("digits", size=16).subset(range(40))
    write_npz(larger, tmp_path / "large.npz")
    calibration = Calibration(larger, larger.channel_statistics())
    save_supernet(ElasticSupernet(spaces.build("ofa-small@16")), calibration, tmp_path / "other.npz")
    done = lutra(*search(*words))
    assert (done.code, message in done.err, fix in done.err) == (code, True, True), done.err
    assert not (tmp_path / "run").exists()


def test_images_beside_the_file_are_judged_by(lutra):
    done = lutra(*search("--supernet", "unjudged.npz", "--data", "few.npz"))
    assert done.code == 0, done.err


def test_a_strategy_that_trains_a_supernet_of_its_own_takes_none(lutra):
    done = lutra("search", *SPACE, "-d", "null", "--max-ms", 9, "-s", "proxyless", "--supernet", "net.npz")
    assert (done.code, "proxyless and --supernet" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("supernet",), 2, "no space is named"),
        (("supernet", "--space", "proxyless@32"), 3, "no space of stages"),
        ((*TRAIN[:-4], "--epochs", 3), 2, "3 epochs for 4 phases"),
        ((*TRAIN, "--learning-rate", 0), 2, "learning_rate is 0"),
        ((*TRAIN, "--learning-rate", 1e12), 1, "the loss is no number any more at step"),
        (("supernet", *SPACE, "--data", "large.npz"), 2, "reads (3, 8, 8)"),
        (("supernet", *SPACE, "--data", "none.parquet"), 2, "there is no such file"),
    ],
)  # fmt: skip
def test_trainings_that_make_no_sense_are_refused(lutra, tmp_path, words, code, message):
    write_npz(load_images("digits", size=16).subset(range(40)), tmp_path / "large.npz")
    done = lutra(*words, "--out", "net")
    assert (done.code, message in done.err) == (code, True), done.err
    assert not (tmp_path / "net" / FILE).exists()


def test_a_folder_of_another_training_is_refused(lutra):
    assert lutra(*TRAIN, "--out", "net").code == 0
    done = lutra(*TRAIN, "--out", "net", "--seed", 3)
    assert (done.code, "recipe.seed was 0, is 3" in done.err, "another --out" in done.err) == (1, True, True)


def test_without_torch_the_extra_is_named(lutra, monkeypatch):
    from lutra.service.commands import supernet

    monkeypatch.setattr(supernet, "find_spec", {}.get)
    done = lutra(*TRAIN)
    assert (done.code, "training a supernet needs torch" in done.err) == (3, True)


def test_searches_of_before_there_were_supernets_go_on(lutra):
    assert lutra(*search()).code == 0
    document = json.loads(Path("run/search.json").read_text())
    del document["supernet"]
    Path("run/search.json").write_text(json.dumps(document))
    assert lutra("search", "--resume", "run", "-n", 4).code == 0
