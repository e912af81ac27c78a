"""Images: forms that are read, what is refused and why, splits, digits."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lutra.nas.accuracy import data_decoding
from lutra.nas.accuracy.data import ImageSet, as_labels, digits
from lutra.nas.accuracy.data_sources import load_images, write_npz
from lutra.networks.errors import ImageDataError, MissingDependencyError, UsageError

Image = pytest.importorskip("PIL.Image")


def picture(value: int = 0, size: tuple[int, int] = (4, 6), form: str = "PNG", mode: str = "RGB") -> bytes:
    """An encoded picture of ``size`` (height, width), its left half of ``value`` red, black elsewhere."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[:, : size[1] // 2, 0] = value
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, form)
    return stream.getvalue()


def write_parquet(path: Path, pictures: list[bytes | None], labels: list[int | None], **metadata: str) -> Path:
    table = pa.table({"image": pa.array(pictures, pa.binary()), "label": pa.array(labels, pa.int8())})
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


# -- forms ------------------------------------------------------------------------------------------------


def test_parquet_of_bytes_and_labels(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", [picture(10), picture(200)], [1, 0], classes="cat,dog")
    images = load_images(path)
    assert (images.name, images.classes, images.shape) == ("a.parquet", ("cat", "dog"), (3, 4, 6))
    assert images.labels.tolist() == [1, 0]
    assert images.images[:, 0, 0, 0].tolist() == [10, 200]
    assert images.images[:, 0, 0, -1].tolist() == [0, 0]
    assert not images.images[:, 1:].any()


def test_parquet_as_hugging_face_writes_it(tmp_path):
    struct = pa.array([{"bytes": picture(7), "path": "x.png"}, {"bytes": picture(9), "path": None}])
    about = {"info": {"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}
    table = pa.table({"img": struct, "label": pa.array([0, 1])})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(about)}), tmp_path / "a.parquet")
    images = load_images(tmp_path / "a.parquet")
    assert images.classes == ("no", "yes")
    assert images.images[:, 0, 0, 0].tolist() == [7, 9]


def test_folders_are_classes(tmp_path):
    for name, value, form in (("b/1.png", 50, "PNG"), ("a/deep/2.jpg", 255, "JPEG"), ("a/1.png", 60, "PNG")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(picture(value, form=form))
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    images = load_images(tmp_path)
    assert (images.classes, images.labels.tolist()) == (("a", "b"), [0, 0, 1])
    assert images.images[:2, 0, 0, 0].tolist() == [60, pytest.approx(255, abs=8)]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_other_modes_become_three_channels(tmp_path, mode):
    images = load_images(write_parquet(tmp_path / "a.parquet", [picture(255, mode=mode)], [0]))
    assert images.shape == (3, 4, 6)
    assert images.images[0, 0, 0, 0] > images.images[0, 0, 0, -1]


@settings(max_examples=20)
@given(
    shape=st.sampled_from([(5, 3, 4, 6), (5, 4, 6, 3), (5, 1, 4, 6), (5, 4, 6, 1), (5, 4, 6)]),
    seed=st.integers(0, 1000),
)
def test_npz_with_channels_first_last_or_none(tmp_path_factory, shape, seed):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    given_images = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    np.savez(path, images=given_images, labels=np.arange(5) % 3)
    images = load_images(path)
    assert images.images.shape[2:] == (4, 6)
    assert len(images.classes) == 3
    last = len(shape) == 4 and shape[-1] in (1, 3)
    assert (images.images == (given_images.transpose(0, 3, 1, 2) if last else given_images.reshape(5, -1, 4, 6))).all()
    write_npz(images, path)
    again = load_images(path)
    assert (again.images == images.images).all()
    assert (again.labels.tolist(), again.classes) == (images.labels.tolist(), images.classes)


def test_pictures_of_several_sizes_are_scaled_and_cut(tmp_path):
    tall, wide = picture(200, (12, 6)), picture(200, (6, 12))
    path = write_parquet(tmp_path / "a.parquet", [tall, wide], [0, 0])
    with pytest.raises(ImageDataError, match=r"image 1: it is 6 x 12 pixels, the first 12 x 6") as caught:
        load_images(path)
    assert caught.value.row == 1
    images = load_images(path, size=6)
    assert images.shape == (3, 6, 6)
    assert images.images[:, 0, 3, :3].min() > 150  # the middle was kept: red on the left
    assert images.images[:, 0, 3, 4:].max() < 60
    assert load_images(path, size=(3, 5)).shape == (3, 3, 5)


def test_digits_need_no_download():
    images = load_images("digits")
    assert (len(images), images.shape, len(images.classes)) == (1797, (3, 8, 8), 10)
    assert images.images.max() == 255
    assert (images.images[:, 0] == images.images[:, 2]).all()
    large = digits(16, channels=1)
    assert large.shape == (1, 16, 16)
    assert (large.images[:, 0, ::2, 1::2] == images.images[:, 0]).all()
    assert load_images("digits", size=24).shape == (3, 24, 24)
    for bad in ({"size": 12}, {"size": 0}, {"channels": 2}):
        with pytest.raises(UsageError, match="no digits of"):
            digits(**bad)


# -- what is refused --------------------------------------------------------------------------------------


def test_damaged_pictures_are_named_with_their_number(tmp_path):
    good, cut = picture(form="JPEG", size=(32, 32)), picture(form="JPEG", size=(32, 32))[:-200]
    path = write_parquet(tmp_path / "a.parquet", [good, cut, b"no picture", good], [0, 0, 0, 0])
    with pytest.raises(
        ImageDataError, match=r"a.parquet, image 1: it cannot be decoded.*2 images are wrong\)\n.*mend or"
    ) as caught:
        load_images(path)
    assert caught.value.row == 1
    path = write_parquet(tmp_path / "b.parquet", [b""], [0])
    with pytest.raises(ImageDataError, match="image 0: it is no picture of a form that is read"):
        load_images(path)
    folder = tmp_path / "folder" / "a"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(picture())
    (folder / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    with pytest.raises(ImageDataError, match=r"2\.png: it "):
        load_images(tmp_path / "folder")


def test_pictures_that_claim_to_be_huge_are_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(data_decoding, "_MOST_PIXELS", 20)
    path = write_parquet(tmp_path / "a.parquet", [picture()], [0])
    with pytest.raises(ImageDataError, match="claims to have 6 x 4 pixels"):
        load_images(path)


def test_more_than_memory_is_refused_before_anything_is_decoded(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", [picture()], [0])
    data_decoding.require_memory("few", 1, 100)
    with pytest.raises(ImageDataError, match=r"1000000000 images take .* GiB of memory.*\n.*a smaller size"):
        data_decoding.decode("many", 10**9, lambda _: picture(), size=(64, 64))
    assert len(load_images(path)) == 1


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (2, "image 1: label 2 is none of the 2 classes"),
        (-1, "image 1: label -1 is none"),
        (None, "image 1: column 'label' is empty"),
    ],
)
def test_labels_out_of_range(tmp_path, label, message):
    path = write_parquet(tmp_path / "a.parquet", [picture(), picture()], [0, label], classes="cat,dog")
    with pytest.raises(ImageDataError, match=message):
        load_images(path)


def test_missing_columns_name_those_there_are(tmp_path):
    pq.write_table(pa.table({"picture": [b"x"], "label": [1]}), tmp_path / "a.parquet")
    with pytest.raises(ImageDataError, match=r"no column 'image'; its columns: picture, label"):
        load_images(tmp_path / "a.parquet")
    pq.write_table(pa.table({"image": [b"x"], "class": [1]}), tmp_path / "b.parquet")
    with pytest.raises(ImageDataError, match=r"no column 'label'"):
        load_images(tmp_path / "b.parquet")
    pq.write_table(pa.table({"image": ["x"], "label": [1]}), tmp_path / "c.parquet")
    with pytest.raises(ImageDataError, match=r"column 'image' holds string"):
        load_images(tmp_path / "c.parquet")
    pq.write_table(pa.table({"image": [picture()], "label": ["cat"]}), tmp_path / "d.parquet")
    with pytest.raises(ImageDataError, match=r"labels are .*\n.*one whole number"):
        load_images(tmp_path / "d.parquet")


def test_empty_and_absent_sources(tmp_path):
    with pytest.raises(ImageDataError, match="no images in it"):
        load_images(write_parquet(tmp_path / "a.parquet", [], []))
    with pytest.raises(ImageDataError, match="no such file or folder"):
        load_images(tmp_path / "nowhere")
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    with pytest.raises(ImageDataError, match="cat: there are no pictures"):
        load_images(tmp_path / "empty")
    (tmp_path / "bare").mkdir()
    with pytest.raises(ImageDataError, match="no folder of pictures"):
        load_images(tmp_path / "bare")
    (tmp_path / "a.zip").write_bytes(b"x")
    with pytest.raises(ImageDataError, match=r"no form that is read here\n.*\.parquet or \.npz"):
        load_images(tmp_path / "a.zip")
    for name in ("b.parquet", "b.npz"):
        (tmp_path / name).write_bytes(b"not what its name says")
        with pytest.raises(ImageDataError, match="cannot be read"):
            load_images(tmp_path / name)


def test_objects_in_an_npz_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.array([{"a": 1}], dtype=object), labels=np.array([0]))
    with pytest.raises(ImageDataError, match="cannot be read"):
        load_images(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", images=np.zeros((1, 4, 4), np.uint8))
    with pytest.raises(ImageDataError, match="no array 'labels'"):
        load_images(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", images=np.zeros((1, 4, 4)), labels=[0])
    with pytest.raises(ImageDataError, match="images are float64"):
        load_images(tmp_path / "c.npz")
    with pytest.raises(UsageError, match="not scaled"):
        load_images(tmp_path / "c.npz", size=8)


@pytest.mark.parametrize("size", [0, -1, 5000, (3, 0), (1, 2, 3), True])
def test_sizes_that_make_no_sense(size):
    with pytest.raises(UsageError, match="no size of images"):
        load_images("digits", size=size)


def test_arrays_that_do_not_fit():
    images, labels = np.zeros((2, 3, 4, 4), np.uint8), np.zeros(2, np.int64)
    for bad, message in (
        ((images[0], labels), "shape"),
        ((images[:, :2], labels), "1 or 3 channels"),
        ((images, labels[:1]), "2 images, but labels"),
        ((images[:0], labels[:0]), "no images"),
    ):
        with pytest.raises(ImageDataError, match=message):
            ImageSet("x", *bad, ("a",))
    with pytest.raises(ImageDataError, match="image 1: label 70000 is no class"):
        as_labels("x", [0, 70_000])


def test_without_pillow_the_command_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match=r"decoding images needs Pillow\n.*lutra\[learn\]"):
        data_decoding.decode("x", 1, lambda _: b"")


# -- parts and statistics ---------------------------------------------------------------------------------


def test_a_split_keeps_the_classes_shares_and_follows_the_seed():
    images = digits()
    rest, part = images.split(0.25, seed=3)
    assert len(rest) + len(part) == len(images)
    for label in range(10):
        total = (images.labels == label).sum()
        assert (part.labels == label).sum() == round(0.25 * total)
    assert (part.images == images.split(0.25, seed=3)[1].images).all()
    assert not (part.labels == images.split(0.25, seed=4)[1].labels).all()
    for share in (0, 1, -0.5, 1e-9):
        with pytest.raises(UsageError):
            images.split(share)


def test_statistics_of_channels_are_those_of_all_pixels():
    images = digits(channels=1)
    mean, deviation = images.channel_statistics()
    assert mean == pytest.approx([(images.images / 255).mean()], rel=1e-5)
    assert deviation == pytest.approx([(images.images / 255).std()], rel=1e-5)
    black = ImageSet("black", np.zeros((1, 1, 2, 2), np.uint8), np.zeros(1, np.int64), ("a",))
    assert black.channel_statistics()[1] > 0


def test_cifar10_is_read(shared_data):
    images = load_images(shared_data / "images" / "cifar10-test.parquet")
    assert (len(images), images.shape) == (10_000, (3, 32, 32))
    assert images.classes[:3] == ("airplane", "automobile", "bird")
    assert np.bincount(images.labels).tolist() == [1000] * 10
    mean, deviation = images.channel_statistics()  # CIFAR-10's own, near those that are published for training images
    assert mean == pytest.approx([0.491, 0.482, 0.447], abs=0.01)
    assert deviation == pytest.approx([0.247, 0.243, 0.262], abs=0.01)
