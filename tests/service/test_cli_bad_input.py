"""Bad input: one clear error that names the fix, the right exit code, nothing half-written, and no traceback."""

import os
import resource
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lutra.luts import Fingerprint, Store
from lutra.luts.host import host_fingerprint
from lutra.luts.schema import REVISION_TABLE

BLOCK = "expanded_conv-input:8x8x16-output:8x8x16-expand:3-kernel:3-stride:1-idskip:1-se:0-hs:0"
OLDEST = Path(__file__).parents[1] / "unit" / "luts" / "data" / "store-0001.sql"
RUN = [sys.executable, "-c", "from lutra.service.cli import main; main()"]


def model(*nodes, dtype=TensorProto.FLOAT, shape=(1, 3, 8, 8), initializers=()) -> bytes:
    """An ONNX model from x to y of the same type."""
    x, y = (helper.make_tensor_value_info(name, dtype, shape) for name in "xy")
    nodes = nodes or (helper.make_node("Relu", ["x"], ["y"]),)
    graph = helper.make_graph(list(nodes), "graph", [x], [y], initializer=list(initializers))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 9
    return made.SerializeToString()


def weights(*, elsewhere: bool = False) -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.ones((3, 3, 3, 3), "float32"), "w")
    if elsewhere:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


CONV = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
UNKNOWN = (
    helper.make_node("Frobnicate", ["x"], ["a"], domain="my"),
    helper.make_node("Frobnicate", ["a"], ["b"], domain="my"),
    helper.make_node("Det", ["b"], ["y"]),
)
GOOD = model(CONV, initializers=[weights()])

MODELS = {
    "corrupt": (b"this is no model" * 20, 2, "LUTRA-E301", "not an ONNX model", "check what wrote it"),
    "empty": (b"", 2, "LUTRA-E301", "empty", "export it again"),
    "truncated": (GOOD[:-200], 2, "LUTRA-E301", "truncated", "copy, download or export it again"),
    "cut to a stub": (GOOD[:9], 2, "LUTRA-E301", "", "export it again"),
    "external data": (
        model(CONV, initializers=[weights(elsewhere=True)]),
        *(2, "LUTRA-E303", "tensor 'w' lies in another file", "save the model as one file"),
    ),
    "zero dimension": (model(shape=(0, 3, 8, 8)), 2, "LUTRA-E302", "dimension 0", "--input-shape x=1x3x8x8"),
    "dynamic dimension": (model(shape=("N", 3, 8, 8)), 2, "LUTRA-E302", "(N)", "--input-shape x=1x3x8x8"),
    "complex": (model(dtype=TensorProto.COMPLEX64), 3, "LUTRA-E202", "complex64", "float32"),
    "text": (model(dtype=TensorProto.STRING), 3, "LUTRA-E202", "string", "float32"),
    "unknown ops": (model(*UNKNOWN), 3, "LUTRA-E201", "Det x1, my.Frobnicate x2", "lutra ops"),
}

WORDS = {
    "nothing to profile": (("profile", "-d", "null"), 2, "is named, nor a space", "lutra profile mobilenet_v2"),
    "no network": (("validate",), 2, "no network is named", "--networks zoo"),
    "an empty name": (("validate", "-n", "resnet18,,vgg16"), 2, "an empty name", "single commas"),
    "threads that are none": (("validate", "resnet18", "-t", "1,two"), 2, "'1,two' is not a list", "--threads 1,2"),
    "too many threads to validate": (("validate", "resnet18", "-t", "1,4096"), 2, "4096 threads", "--threads between"),
    "unknown device": (("profile", "resnet18", "-d", "pixle3"), 2, "unknown device 'pixle3'", "known: a100_pcie_40gb"),
    "unknown device to predict": (
        ("predict", "resnet18", "-d", "pixle3"),
        2,
        "unknown device 'pixle3'",
        "known: a100_pcie_40gb",
    ),
    "unknown op": (("ops", "convv2d"), 2, "unknown op 'convv2d'", "did you mean: conv2d"),
    "op and networks": (("ops", "conv2d", "--networks"), 2, "--networks", "leave one of the two out"),
    "unknown network": (("profile", "mobilenet_v22", "-d", "null"), 2, "unknown network", "mobilenet_v2"),
    "unknown pattern": (("profile", "zz*", "-d", "null"), 2, "no network of the zoo matches", "lutra ops --networks"),
    "unknown runtime": (("profile", "resnet18", "-r", "tensorfloo"), 2, "unknown runtime", "known: cuda, native"),
    "runtime of another device": (("profile", "resnet18", "-d", "null", "-r", "native"), 2, "no runtime", "--runtime"),
    "a precision nobody runs in": (
        ("profile", "resnet18", "-p", "int3"),
        2,
        "does not run in 'int3'",
        "it runs in float32",
    ),
    "no threads": (("profile", "resnet18", "-t", "0"), 2, "0 threads", "--threads between 1 and"),
    "too many threads": (("profile", "resnet18", "-t", "10000"), 2, "10000 threads", "--threads between 1 and"),
    "too many threads to predict": (("predict", "resnet18", "-t", "10000"), 2, "10000 threads", "between 1 and"),
    "no batch": (("profile", "resnet18", "--batch", "0"), 2, "batch must be", "1 or more"),
    "huge image": (("profile", "resnet18", "--resolution", "99999999"), 2, "elements", "smaller sizes"),
    "batch of a file": (("profile", "good.onnx", "--batch", "2"), 2, "do not apply to the file", "--input-shape"),
    "shape of a zoo network": (("profile", "resnet18", "--input-shape", "x=1x2"), 2, "does not apply", "--resolution"),
    "malformed shape": (("profile", "good.onnx", "--input-shape", "x=1xx"), 2, "malformed", "--input-shape input="),
    "two shapes of an input": (
        ("profile", "good.onnx", "--input-shape", "x=1x3x8x8", "--input-shape", "x=2x3x8x8"),
        *(2, "two shapes", "once for each input"),
    ),
    "shape of no input": (("profile", "good.onnx", "--input-shape", "z=1x2"), 2, "no input 'z'", "its inputs: x"),
    "shape that does not fit": (("profile", "good.onnx", "--input-shape", "x=1x2"), 2, "'x'", ""),
    "missing file": (("profile", "absent.onnx"), 2, "absent.onnx cannot be read: No such file", "check the path"),
    "folder as file": (("profile", "folder.onnx"), 2, "folder.onnx cannot be read: Is a directory", "check the path"),
    "missing network file": (("predict", "absent.json"), 2, "absent.json cannot be read: No such", "check the path"),
    "network file that is none": (("profile", "bad.json"), 2, "not a network in Lutra's JSON form", "Network.save"),
    "network file of another format": (("profile", "resnet.pt"), 2, "resnet.pt does not exist", "give an .onnx file"),
    "nothing profiled": (("predict", "resnet18", "-r", "native"), 3, "not been profiled", "lutra profile resnet18 -"),
    "null not profiled": (("predict", "resnet18", "-d", "null"), 3, "not been profiled", "lutra profile resnet18 -"),
    "no saved predictor": (("predict", "resnet18", "-d", "./nothing"), 1, "no saved predictor", "save() makes one"),
    "no store to show": (("table", "show", "null"), 3, "no store yet", "lutra profile"),
    "no store to check": (("table", "check"), 3, "no store yet", "lutra profile"),
    "no store to delete from": (("table", "delete", "null", "--yes"), 3, "no store yet", "lutra profile"),
    "no store to export": (("table", "export", "null", "t.csv"), 3, "no store yet", "lutra profile"),
    "export of no known format": (("table", "export", "null", "t.xlsx"), 2, "unknown format '.xlsx'", ".csv or .json"),
    "export over a file": (("table", "export", "null", "bad.json"), 2, "bad.json exists already", "--force"),
    "import of no file": (("table", "import", "absent.csv"), 2, "absent.csv: cannot be read: No", "check the path"),
    "import of a folder": (("table", "import", "folder.onnx", "--format", "csv"), 2, "is not a file", "path of the"),
    "import of another file": (("table", "import", "bad.json"), 2, "this JSON is not a Lutra table", "export"),
    "import of no known format": (("table", "import", "bad.json", "--format", "xls"), 2, "unknown format", "parquet"),
    "import in no unit": (("table", "import", "bad.json", "--format", "tf-nas", "--unit", "h"), 2, "unknown unit", ""),
    "store in memory": (("table", "list", "--store", ":memory:"), 2, "keeps nothing", "path of a file"),
    "store of another kind": (("table", "list", "--store", "mysql://host/x"), 3, "mysql", "SQLite"),
    "store with too long a name": (("devices", "--store", "a" * 300 + ".db"), 1, "name too long", "LUTRA_STORE"),
}  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """What the commands below name."""
    (tmp_path / "good.onnx").write_bytes(GOOD)
    (tmp_path / "bad.json").write_text('{"format": "another"}')
    (tmp_path / "folder.onnx").mkdir()
    return tmp_path


def snapshot(folder: Path) -> dict[str, bytes]:
    """Files and their contents, without those that SQLite keeps beside a store while it reads."""
    files = (path for path in folder.iterdir() if path.is_file() and not path.name.endswith(("-shm", "-wal")))
    return {path.name: path.read_bytes() for path in files}


def assert_one_error(outcome, code: int, message: str, fix: str) -> None:
    assert (outcome.code, outcome.out) == (code, "")
    lines = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, outcome.err
    assert message.lower() in lines[0].lower()
    assert fix in outcome.err.partition("\n  fix: ")[2]
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("command", ["profile", "predict"])
@pytest.mark.parametrize("case", MODELS)
def test_bad_models(lutra, tmp_path, command, case):
    content, exit_code, code, message, fix = MODELS[case]
    (tmp_path / "model.onnx").write_bytes(content)
    if command == "predict":
        lutra("profile", "mcunet_in0", "-d", "null")
    before = snapshot(tmp_path)
    outcome = lutra(command, "model.onnx", "-d", "null")
    assert_one_error(outcome, exit_code, message, fix)
    assert f"[{code}]" in outcome.err
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("case", WORDS)
def test_bad_words(lutra, files, case):
    words, code, message, fix = WORDS[case]
    before = snapshot(files)
    assert_one_error(lutra(*words), code, message, fix)
    assert snapshot(files) == before


@pytest.mark.parametrize(
    "words", [("frob",), ("predict",), ("profile", "x", "--frob"), ("profile", "x", "--threads", "two"), ("table", "x")]
)
def test_bad_syntax(lutra, words):
    outcome = lutra(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("Usage: lutra ")
    assert "Error: " in outcome.err


def test_pinning_a_dynamic_shape_mends_it(lutra, tmp_path):
    (tmp_path / "model.onnx").write_bytes(model(shape=("N", 3, 8, 8)))
    pinned = ("model.onnx", "-d", "null", "--input-shape", "x=2x3x8x8")
    assert lutra("profile", *pinned).code == 0
    (prediction,) = lutra("predict", *pinned, "--json").document
    assert prediction["network"] == "model"


def test_the_fix_for_what_is_not_covered_works(lutra):
    """The command in the hint is the one that helps: with the options that matter, and only those."""
    words = ("shufflenet_v2_x0_5", "-d", "null", "--resolution", "64")
    outcome = lutra("predict", *words, "--coverage", "0.8", "--json")
    assert outcome.code == 3
    command = shlex.split(outcome.err.partition("profile it first: ")[2])
    assert command[0] == "lutra"
    assert lutra(*command[1:]).code == 0
    assert lutra("predict", *words).code == 0


def test_a_wrong_coverage(lutra):
    lutra("profile", "mcunet_in0", "-d", "null")
    outcome = lutra("predict", "mcunet_in0", "-d", "null", "--coverage", "2")
    assert_one_error(outcome, 2, "coverage is 2.0", "between 0 and 1")


def test_a_table_of_another_machine(lutra, tmp_path):
    here = host_fingerprint("native")
    there = Fingerprint.of(
        here.kind,
        hardware=dict(here.hardware) | {"model": "Another CPU"},
        runtime=dict(here.runtime),
        settings={"precision": here.precision, "threads": here.threads},
        code=dict(here.code),
    )
    with Store.open(tmp_path / "rows.db") as store:
        store.register_device(there, "host")
    before = (tmp_path / "rows.db").read_bytes()
    outcome = lutra("predict", "mcunet_in0", "-r", "native")
    assert_one_error(outcome, 1, "Another CPU", "lutra profile mobilenet_v2 --runtime native --new-table")
    assert "[LUTRA-E401]" in outcome.err
    assert (tmp_path / "rows.db").read_bytes() == before


def test_a_runtime_that_is_not_installed(lutra, monkeypatch):
    from lutra.profiler.runtimes import onnxruntime

    monkeypatch.setattr(onnxruntime, "runtime_version", lambda _: "")
    assert_one_error(lutra("profile", "resnet18", "-r", "onnxruntime"), 3, "needs onnxruntime", "pip install")


# -- stores -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["file/rows.db", "folder"])
def test_a_place_that_cannot_hold_a_store(lutra, tmp_path, place):
    (tmp_path / "file").write_text("a file")
    (tmp_path / "folder").mkdir()
    before = snapshot(tmp_path)
    outcome = lutra("profile", "mcunet_in0", "-d", "null", "--store", tmp_path / place)
    assert_one_error(outcome, 1, str(tmp_path / place), "LUTRA_STORE")
    assert snapshot(tmp_path) == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="the system has no /proc")
def test_a_folder_that_cannot_be_written(lutra):
    outcome = lutra("profile", "mcunet_in0", "-d", "null", "--store", "/proc/lutra/rows.db")
    assert_one_error(outcome, 1, "/proc/lutra/rows.db", "LUTRA_STORE")


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anything")
def test_a_store_that_may_only_be_read(lutra, tmp_path):
    lutra("profile", "mcunet_in0", "-d", "null")
    (tmp_path / "rows.db").chmod(0o444)
    outcome = lutra("profile", "resnet18", "-d", "null")
    assert_one_error(outcome, 1, "cannot be written", "make it writable")
    assert lutra("predict", "mcunet_in0", "-d", "null").code == 0


@pytest.mark.parametrize("words", [("profile", "resnet18"), ("predict", "resnet18"), ("table", "show", "null")])
@pytest.mark.parametrize("damage", ["garbage", "cut", "newer", "of another program"])
def test_stores_that_cannot_be_used(lutra, tmp_path, words, damage):
    path = tmp_path / "rows.db"
    device = () if words[0] == "table" else ("-d", "null")
    message, fix = {
        "garbage": ("damaged, or not a Lutra store", "restore it from a backup"),
        "cut": ("damaged, or not a Lutra store", "restore it from a backup"),
        "newer": ("has schema '9999'", "pip install -U lutra"),
        "of another program": ("database of another program", "LUTRA_STORE"),
    }[damage]
    if damage in ("cut", "newer"):
        lutra("profile", "mcunet_in0", "-d", "null")
    if damage == "garbage":
        path.write_bytes(b"garbage " * 1000)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:300])
    else:
        with sqlite3.connect(path) as connection:
            newer = f"UPDATE {REVISION_TABLE} SET version_num = '9999'"
            connection.execute(newer if damage == "newer" else "CREATE TABLE songs (name TEXT)")
        connection.close()
    before = path.read_bytes()
    assert_one_error(lutra(*words, *device), 1, message, fix)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "words", [("predict", "resnet18", "-d", "null"), ("table", "list"), ("table", "check"), ("devices",)]
)
def test_a_store_of_an_earlier_version(lutra, tmp_path, monkeypatch, words):
    """What only reads names the command that upgrades the store, and that command does."""
    path = tmp_path / "a store.db"
    monkeypatch.setenv("LUTRA_STORE", str(path))
    with sqlite3.connect(path) as connection:
        connection.executescript(OLDEST.read_text())
    connection.close()
    before = path.read_bytes()
    outcome = lutra(*words)
    assert_one_error(outcome, 1, "has the older schema 0001", "lutra table upgrade")
    assert path.read_bytes() == before
    command = shlex.split(outcome.err.partition("fix: ")[2])
    assert lutra(*command[1:]).code == 0
    assert len(lutra("table", "list", "--json").document) == 1
    assert lutra("table", "list", "--store", f"{path}.schema-0001.bak").code == 1


def test_imported_blocks_are_no_kernels_of_networks(lutra, tmp_path):
    (tmp_path / "phone.csv").write_text(f"key,mean_ms\n{BLOCK},1.5\n")
    assert lutra("table", "import", "phone.csv", "--format", "blocks-csv").code == 0
    assert_one_error(lutra("predict", "resnet18", "-d", "phone"), 3, "imported without their runtime", "profile the")
    heading, row = (line.split() for line in lutra("table", "list").out.splitlines())
    assert row[:4] == ["phone", "imported", "as", "imported"]
    assert row[heading.index("blocks") + 1] == "1"  # the setting is two words


def test_nothing_but_negative_latencies(lutra, tmp_path):
    (tmp_path / "phone.csv").write_text(f"key,mean_ms\n{BLOCK},-1.5\n")
    words = ("table", "import", "phone.csv", "--format", "blocks-csv", "--drop-negative")
    assert_one_error(lutra(*words), 2, "no blocks but negative ones", "measure them again")
    assert not (tmp_path / "rows.db").exists()


def test_a_backup_for_which_there_is_no_room(lutra, tmp_path):
    lutra("profile", "mcunet_in0", "-d", "null")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (32 << 10, resource.RLIM_INFINITY))

    command = [*RUN, "table", "backup", "copy.db"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, preexec_fn=limit)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"no room to write to {tmp_path / 'copy.db'}" in done.stderr
    assert "fix: give the backup another place" in done.stderr
    assert not (tmp_path / "copy.db").exists()
    assert lutra("table", "check").code == 0


def test_the_fix_for_a_damaged_store_works(lutra, tmp_path):
    lutra("profile", "mcunet_in0", "-d", "null")
    path = tmp_path / "rows.db"
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 3000] = b"Z" * 3000
    path.write_bytes(content)
    checked = lutra("table", "check")
    assert checked.code == 1
    command = shlex.split(checked.out.partition("save them with: ")[2])
    assert shlex.join(command) in lutra("predict", "mcunet_in0", "-d", "null").err
    assert lutra(*command[1:]).code == 1  # something was lost, and is named
    standing = int(checked.out.splitlines()[-1].split()[0])
    assert lutra("table", "check", "--store", command[-1], "--json").document["rows"] == standing > 0


def test_a_full_disk_loses_no_committed_row(lutra, tmp_path):
    """The disk is full as soon as the store has grown by a few pages."""
    lutra("profile", "mcunet_in0", "-d", "null")
    kept = lutra("table", "check", "--json").document["rows"]
    size = (tmp_path / "rows.db").stat().st_size

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + (64 << 10), resource.RLIM_INFINITY))

    command = [*RUN, "profile", "resnet*", "mobilenet*", "vit*", "swin*", "-d", "null"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, preexec_fn=limit)
    assert (done.returncode, done.stdout) == (1, "")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "no room to write" in errors[0]
    assert "fix: free some space" in done.stderr
    assert "Traceback" not in done.stderr
    checked = lutra("table", "check", "--json")
    assert checked.code == 0
    assert checked.document["rows"] > kept
    assert lutra("predict", "mcunet_in0", "-d", "null").code == 0


def test_two_profiles_of_a_device_at_once(lutra, tmp_path):
    lutra("profile", "mcunet_in0", "-d", "null")
    with Store.open(tmp_path / "rows.db") as store, store.lease("null"):
        outcome = lutra("profile", "resnet18", "-d", "null")
        assert lutra("predict", "mcunet_in0", "-d", "null").code == 0
    assert_one_error(outcome, 1, f"being profiled by process {os.getpid()}", "lutra profile --wait")
    assert lutra("profile", "resnet18", "-d", "null").code == 0


def test_an_export_that_fails_leaves_nothing(lutra, tmp_path, monkeypatch):
    lutra("profile", "mcunet_in0", "-d", "null")
    outcome = lutra("table", "export", "null", "absent/t.json")
    assert_one_error(outcome, 2, "No such file or directory", "check the folder")
    (tmp_path / "t.json").write_text("the old one")
    before = snapshot(tmp_path)

    def full(path: Path, text: str, **_: object) -> int:
        path.write_bytes(text[:100].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    outcome = lutra("table", "export", "null", "t.json", "--force")
    assert_one_error(outcome, 2, "No space left on device", "free space")
    assert snapshot(tmp_path) == before


def test_the_worker_imports_nothing_from_the_current_folder(lutra, tmp_path):
    """A file of the user's own is not taken for a module of the same name."""
    for name in ("queue.py", "numpy.py", "lutra.py"):
        (tmp_path / name).write_text("raise RuntimeError('imported from the current folder')\n")
    assert lutra("profile", "mcunet_in0", "-d", "null").code == 0
