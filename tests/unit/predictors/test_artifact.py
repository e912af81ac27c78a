"""The folder a predictor is saved in, beyond what the contract tests."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lutra.networks.errors import ArtifactError, CorruptArtifactError, UnknownNameError, UsageError
from lutra.predictors import Artifact, LatencyPredictor
from lutra.predictors._artifact import read_artifact, write_artifact

ARTIFACT = Artifact(
    kind="table",
    params={"name": None},
    state={"scale": 1.5},
    device={"name": "board"},
    arrays={"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "flags": np.array([True, False])},
    texts={"table.json": '{"ä": 1}'},
)


def rewrite(folder: Path, **changes: object) -> None:
    """Change the card and make its checksum right again, as a forger would."""
    path = folder / "predictor.json"
    card = json.loads(path.read_text())
    card.pop("checksum")
    card |= changes
    text = json.dumps(card, sort_keys=True, separators=(",", ":"))
    path.write_text(json.dumps(card | {"checksum": hashlib.sha256(text.encode()).hexdigest()}))


def replace_arrays(folder: Path, content: bytes) -> None:
    (folder / "arrays.npz").write_bytes(content)
    files = json.loads((folder / "predictor.json").read_text())["files"]
    rewrite(folder, files=files | {"arrays.npz": hashlib.sha256(content).hexdigest()})


def test_everything_comes_back(tmp_path: Path) -> None:
    read = read_artifact(write_artifact(ARTIFACT, tmp_path / "a" / "b"))
    assert (read.kind, read.params, read.state, read.device, read.texts) == (
        ARTIFACT.kind, ARTIFACT.params, ARTIFACT.state, ARTIFACT.device, ARTIFACT.texts,
    )  # fmt: skip
    for name, array in ARTIFACT.arrays.items():
        assert np.array_equal(read.arrays[name], array)
        assert read.arrays[name].dtype == array.dtype


def test_objects_are_refused_because_they_would_be_pickled(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="numbers only"):
        write_artifact(Artifact(kind="table", arrays={"bad": np.array([{}])}), tmp_path / "saved")
    assert not list(tmp_path.iterdir())


def test_a_pickled_array_is_never_loaded(tmp_path: Path) -> None:
    folder = write_artifact(ARTIFACT, tmp_path / "saved")
    packed = io.BytesIO()
    np.savez(packed, bad=np.array([{}]))
    replace_arrays(folder, packed.getvalue())
    with pytest.raises(CorruptArtifactError, match="arrays"):
        read_artifact(folder)


def test_arrays_that_unpack_to_more_than_allowed_are_refused(tmp_path: Path) -> None:
    folder = write_artifact(ARTIFACT, tmp_path / "saved")
    header = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
    described = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117) + b"\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("huge.npy", header + described)
    replace_arrays(folder, packed.getvalue())
    with pytest.raises(CorruptArtifactError, match="arrays"):
        read_artifact(folder)


def test_a_file_elsewhere_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    folder = write_artifact(ARTIFACT, tmp_path / "saved")
    files = json.loads((folder / "predictor.json").read_text())["files"]
    rewrite(folder, files=files | {"../secret": hashlib.sha256(b"x").hexdigest()})
    with pytest.raises(CorruptArtifactError, match="elsewhere"):
        read_artifact(folder)


@pytest.mark.parametrize("changes", [{"files": {}}, {"files": 3}, {"version": "1"}, {"version": True}, {"format": "x"}])
def test_a_card_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    folder = write_artifact(ARTIFACT, tmp_path / "saved")
    rewrite(folder, **changes)
    with pytest.raises(CorruptArtifactError):
        read_artifact(folder)


@pytest.mark.parametrize("text", ["[]", "", "null", "{"])
def test_a_card_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    folder = write_artifact(ARTIFACT, tmp_path / "saved")
    (folder / "predictor.json").write_text(text)
    with pytest.raises(CorruptArtifactError):
        read_artifact(folder)


def test_an_unknown_kind_lists_the_known_ones(tmp_path: Path) -> None:
    folder = write_artifact(ARTIFACT, tmp_path / "saved")
    rewrite(folder, kind="tabel")
    with pytest.raises(UnknownNameError, match="table"):
        LatencyPredictor.load(folder)


def test_what_the_kind_cannot_use_is_damaged(tmp_path: Path) -> None:
    folder = write_artifact(ARTIFACT, tmp_path / "saved")  # its table is not one
    with pytest.raises(CorruptArtifactError):
        LatencyPredictor.load(folder)


def test_other_files_and_folders_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("mine", "file"):
        with pytest.raises(UsageError, match="not a saved predictor"):
            write_artifact(ARTIFACT, tmp_path / name, overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def test_a_place_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_artifact(ARTIFACT, tmp_path / "file" / "saved")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def fail(self: Path, data: bytes) -> int:
        if self.name == "table.json":
            raise OSError(28, "No space left on device")
        return write(self, data)

    folder = write_artifact(ARTIFACT, tmp_path / "saved")
    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(ArtifactError, match="No space left"):
        write_artifact(ARTIFACT, tmp_path / "saved", overwrite=True)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    assert read_artifact(folder).state == ARTIFACT.state
