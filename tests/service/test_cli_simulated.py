"""The command line on simulated GPUs and CPUs, as a stranger uses it."""

import json

import pytest
import yaml

from lutra.profiler.cpu_sim.device import CPUS
from lutra.profiler.gpu_sim.device import GPUS

NETWORK = "mobilenet_v2"
CSV = "network,latency_ms\n"
MEASURED = {
    "mobilenet_v2": 120,
    "mobilenet_v3_small": 40,
    "mobilenet_v3_large": 100,
    "resnet18": 600,
    "shufflenet_v2_x1_0": 70,
}


@pytest.fixture(autouse=True)
def own_data(tmp_path, monkeypatch):
    """A data folder of its own: what is added does not stay."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("LUTRA_DEVICES", "LUTRA_BOARDS"):
        monkeypatch.delenv(name, raising=False)


def document(lutra, *arguments):
    done = lutra(*arguments, "--json")
    assert done.code == 0, done.err
    return done.document


def written(tmp_path, family, shipped, **changes):
    """A shipped device's file with another name and fields changed; ``...`` takes a field out."""
    content = yaml.safe_load((family.folder / f"{shipped}.yaml").read_text()) | {"name": "mine"} | changes
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not ...}))
    return path


@pytest.mark.parametrize(("name", "kind"), [("h100_sxm", "sim-gpu"), ("raspberry_pi_4", "sim-cpu")])
def test_a_simulated_device_needs_no_profile(lutra, name, kind):
    done = lutra("predict", NETWORK, "--device", name)
    assert done.code == 0, done.err
    assert "[SIMULATED]" in done.out
    assert "100 % simulated" in done.out
    assert "bound by" in done.out
    assert "measured" not in done.out
    (found,) = document(lutra, "predict", NETWORK, "--device", name)
    assert found["simulated"] is True
    assert found["device_kind"] == kind
    assert found["low_ms"] < found["latency_ms"] < found["high_ms"]
    assert sum(found["bounds"].values()) == pytest.approx(sum(part["share"] for part in found["parts"]))
    assert all(part["bound"] and part["rel_halfwidth"] > 0 for part in found["parts"])
    assert any("simulated" in note for note in found["notes"])


@pytest.mark.parametrize("name", ["t4", "raspberry_pi_5"])
def test_profile_keeps_rows_that_say_what_they_are(lutra, name, tmp_path):
    done = lutra("profile", NETWORK, "--device", name)
    assert done.code == 0, done.err
    assert "kernels simulated, 0 known before" in done.err
    assert "0 kernels simulated" in lutra("profile", NETWORK, "--device", name).err
    done = lutra("table", "export", name, str(tmp_path / "rows.json"))
    assert done.code == 0, done.err
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    kernels = [row for row in rows if row["subject_kind"] == "kernel"]
    assert kernels
    assert all("simulated" in row["flags"] for row in rows)
    assert all({"bound", "band"} <= set(row["conditions"]) for row in kernels)
    (found,) = document(lutra, "predict", NETWORK, "--device", name, "--no-simulate")
    assert {part["source"] for part in found["parts"]} == {"measured"}


def test_without_rows_and_without_simulating_nothing_is_made_up(lutra):
    done = lutra("predict", NETWORK, "--device", "h100_sxm", "--no-simulate")
    assert done.code == 3
    assert "lacks" in done.err


def test_a_file_is_predicted(lutra, tmp_path):
    from lutra.networks import zoo
    from lutra.networks.exporters import to_onnx

    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(zoo.build("mobilenet_v3_small", resolution=64)).SerializeToString())
    for arguments in (["h100_sxm", "-p", "float16"], ["raspberry_pi_4", "-p", "int8", "-t", "4"]):
        done = lutra("predict", str(path), "--device", *arguments)
        assert done.code == 0, done.err
        assert "[SIMULATED]" in done.out


def test_precisions_and_threads_are_devices_of_their_own(lutra):
    plain, half = (
        document(lutra, "predict", "resnet50", "--batch", "16", "--device", "h100_sxm", "-p", precision)[0][
            "latency_ms"
        ]
        for precision in ("float32", "float16")
    )
    assert half < plain
    one, four = (
        document(lutra, "predict", NETWORK, "--device", "raspberry_pi_4", "-t", threads)[0]["latency_ms"]
        for threads in (1, 4)
    )
    assert four < one


@pytest.mark.parametrize(
    ("arguments", "code", "problem", "fix"),
    [
        (["--device", "t4", "-p", "bfloat16"], 3, "t4 does not compute in bfloat16", "float32, float16"),
        (
            ["--device", "h100_sxm", "-p", "fp4"],
            3,
            "h100_sxm does not compute in fp4",
            "float32, tf32, float16, bfloat16",
        ),
        (["--device", "raspberry_pi_4", "-p", "float16"], 3, "does not compute in float16", "float32, int8"),
        (["--device", "h100_sxm", "-t", "2"], 2, "no threads", "leave --threads out"),
        (["--device", "raspberry_pi_4", "-t", "64"], 2, "has 4 core(s), not 64", "--threads 1 to 4"),
        (["--device", "h100_sxm", "--runtime", "onnxruntime"], 2, "is simulated", "leave --runtime out"),
        (["--device", "h100_sxm", "--engine", "lean"], 2, "has no engines", "leave the engine out"),
        (["--device", "h100"], 2, "unknown device 'h100'", "h100_sxm"),
    ],
)
def test_bad_settings_name_the_fix(lutra, arguments, code, problem, fix):
    done = lutra("predict", NETWORK, *arguments)
    assert done.code == code, done.err
    assert problem in done.err
    assert fix in done.err
    assert "Traceback" not in done.err
    assert not done.out


@pytest.mark.parametrize(
    ("family", "name", "changes", "problem"),
    [
        (GPUS, "h100_sxm", {"sm_count": ...}, "sm_count: Field required"),
        (GPUS, "h100_sxm", {"bandwidth_gb_s": -3350}, "bandwidth_gb_s"),
        (GPUS, "h100_sxm", {"tdp_w": float("nan")}, "tdp_w"),
        (GPUS, "h100_sxm", {"l2_mb": float("inf")}, "l2_mb"),
        (GPUS, "h100_sxm", {"peak_tflops": {"fp32": 66.9, "bf16": 1979}}, "sparsity"),
        (GPUS, "h100_sxm", {"peak_tflops": {"fp32": 66.9, "fp4": 1979}}, "fp4"),
        (GPUS, "v100_pcie_32gb", {"peak_tflops": {"fp32": 14.1, "bf16": 112}}, "does not compute in bf16"),
        (GPUS, "h100_sxm", {"colour": "green"}, "colour"),
        (GPUS, "h100_sxm", {"kind": "npu"}, "use one of board, gpu, cpu"),
        (CPUS, "raspberry_pi_4", {"ghz": ...}, "ghz: Field required"),
        (CPUS, "raspberry_pi_4", {"cores": -4}, "cores"),
        (CPUS, "raspberry_pi_4", {"flops_per_cycle": {"fp32": 32}}, "of one core, not of all"),
    ],
)
def test_impossible_files_are_refused_everywhere(lutra, tmp_path, family, name, changes, problem):
    path = written(tmp_path, family, name, **changes)
    for command in (
        ["predict", NETWORK, "--device"],
        ["profile", NETWORK, "--device"],
        ["devices", "add"],
        ["devices", "show"],
    ):
        done = lutra(*command, str(path))
        assert done.code == 2, done.err
        assert problem in done.err
        assert "mine.yaml" in done.err
        assert "fix:" in done.err
    assert not (tmp_path / "rows.db").exists()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("family", "name"), [(GPUS, "l4"), (CPUS, "phone_big_core")])
def test_a_device_of_ones_own(lutra, tmp_path, family, name):
    path = written(tmp_path, family, name)
    assert lutra("predict", NETWORK, "--device", "mine").code == 2
    by_path = document(lutra, "predict", NETWORK, "--device", str(path))[0]
    assert by_path["device"] == "mine"
    assert "mine" in lutra("devices", "add", str(path)).out
    assert document(lutra, "predict", NETWORK, "--device", "mine")[0]["latency_ms"] == by_path["latency_ms"]
    assert "mine" in {device["name"] for device in document(lutra, "devices")["here"]}
    again = lutra("devices", "add", str(path))
    assert again.code == 2
    assert "--replace" in again.err
    assert lutra("devices", "add", str(path), "--replace").code == 0
    assert document(lutra, "devices", "show", "mine")["kind"] == family.kind
    assert lutra("devices", "remove", "mine").code == 0
    gone = lutra("devices", "remove", "mine")
    assert gone.code == 2
    assert "was not added" in gone.err


def test_names_of_shipped_devices_are_taken(lutra, tmp_path):
    path = written(tmp_path, GPUS, "l4", name="t4")
    done = lutra("devices", "add", str(path))
    assert done.code == 2
    assert "comes with Lutra" in done.err
    assert lutra("devices", "add", "nowhere.yaml").code == 2
    assert lutra("devices", "add", "model.onnx").code == 2


def test_boards_gpus_and_cpus_are_listed_alike(lutra):
    kinds = {device["name"]: device["kind"] for device in document(lutra, "devices")["here"]}
    assert kinds["stm32f746"] == "sim-mcu"
    assert kinds["h100_sxm"] == "sim-gpu"
    assert kinds["raspberry_pi_4"] == "sim-cpu"
    assert kinds["host"] == "real"
    assert "discrepancies" in lutra("devices", "show", "b300_sxm").out
    assert "sources" in lutra("devices", "show", "stm32f746").out


@pytest.mark.parametrize("name", ["h100_sxm", "raspberry_pi_4", "stm32f746"])
def test_ops_of_a_simulated_device(lutra, name):
    times = document(lutra, "ops", "--device", name)
    assert {time["op"] for time in times} >= {"conv2d", "linear", "softmax"}
    assert all(time["simulated"] for time in times)
    assert any(time["latency_us"] for time in times) or name == "stm32f746"  # whose layers have a batch of one
    assert "simulated on" in lutra("ops", "softmax", "--device", name).out
    assert lutra("ops", "--fusion", "--device", name).code == 0
    assert lutra("ops", "--fusion", "--measure", "--device", name).code == 2


@pytest.mark.parametrize("name", ["h100_sxm", "raspberry_pi_4"])
def test_a_search_on_a_simulated_device(lutra, name):
    arguments = [
        "--space",
        "fbnet@64",
        "--max-ms",
        "200",
        "--accuracy",
        "macs",
        "-n",
        "20",
        "-s",
        "random",
        "-o",
        "found",
    ]
    done = lutra("search", "--device", name, *arguments)
    assert done.code == 0, done.err
    assert "simulated" in done.out


def samples(tmp_path, content):
    path = tmp_path / "samples.csv"
    path.write_text(content)
    return str(path)


def test_a_cpu_is_calibrated_from_five_networks(lutra, tmp_path):
    path = samples(tmp_path, CSV + "".join(f"{name},{ms}\n" for name, ms in MEASURED.items()))
    made = document(lutra, "calibrate", "raspberry_pi_4", path, "--as", "pi")
    assert made["simulated"] is True
    assert made["samples"] == 5
    before = document(lutra, "predict", NETWORK, "--device", "raspberry_pi_4")[0]
    after = document(lutra, "predict", NETWORK, "--device", "pi")[0]
    assert abs(after["latency_ms"] / 120 - 1) < 0.5
    assert after["high_ms"] / after["low_ms"] < before["high_ms"] / before["low_ms"]
    assert "calibrated on 5 samples" in lutra("predict", NETWORK, "--device", "pi").out


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (CSV + "mobilenet_v2,120\n", "1 samples"),
        (CSV + "mobilenet_v2,-3\n", "row 2"),
        (CSV + "mobilenet_v2,nan\n", "row 2"),
        (CSV + "mobilenet_v2\n", "row 2"),
        (CSV + "mobilenet_v9,120\n", "unknown network"),
        ("net,ms\nmobilenet_v2,120\n", "has not the columns"),
        ("", "has not the columns"),
        (CSV + "".join(f"{name},{1e6 * ms}\n" for name, ms in MEASURED.items()), "give milliseconds"),
    ],
)
def test_bad_samples_are_refused(lutra, tmp_path, content, problem):
    done = lutra("calibrate", "raspberry_pi_4", samples(tmp_path, content), "--as", "pi")
    assert done.code == 2, done.out
    assert problem in done.err
    assert not (tmp_path / "data").exists()


def test_a_gpu_is_calibrated_from_ten_kernels(lutra, tmp_path):
    lines = [f"linear,fp16,1x{64 * n}x1024x1024,{20 + 3 * n}" for n in range(1, 13)]
    path = samples(tmp_path, "op,dtype,sizes,latency_us\n" + "\n".join(lines) + "\n")
    made = document(lutra, "calibrate", "a100_sxm", path, "--as", "slow")
    assert made["samples"] == 12
    assert made["error_after"] < made["error_before"]
    slow = document(lutra, "predict", "vit_b_16", "--device", "slow", "-p", "float16")[0]
    quick = document(lutra, "predict", "vit_b_16", "--device", "a100_sxm", "-p", "float16")[0]
    assert slow["latency_ms"] > quick["latency_ms"]
    assert any("calibrated on 12 kernels" in note for note in slow["notes"])
    assert lutra("devices", "remove", "slow").code == 0
    assert not list((tmp_path / "data").rglob("slow*"))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("linear,fp16,1x64x1024x1024,0", "no positive number"),
        ("linear,fp4,1x64x1024x1024,9", "fp4"),
        ("attention,fp16,1x64x1024x1024,9", "none of gemm"),
        ("linear,fp16,1x-64x1024x1024,9", "row 2"),
        ("linear,fp16,wide,9", "row 2"),
        ("linear,fp16,1x64x1024x1024,9", "10 measurements"),
    ],
)
def test_bad_kernels_are_refused(lutra, tmp_path, line, problem):
    path = samples(tmp_path, f"op,dtype,sizes,latency_us\n{line}\n")
    done = lutra("calibrate", "a100_sxm", path, "--as", "slow")
    assert done.code == 2, done.out
    assert problem in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["raspberry_pi_4"], "SAMPLES.csv"),
        (["raspberry_pi_4", "--from", "host"], "SAMPLES.csv"),
        (["h100_sxm"], "--from DEVICE"),
        (["stm32f746", "nowhere.csv"], "is a board"),
        (["host", "nowhere.csv"], "unknown device"),
        (["raspberry_pi_4", "nowhere.csv"], "cannot be read"),
        (["raspberry_pi_4", "nowhere.csv", "--as", "../../etc"], "no name of a device"),
        (["raspberry_pi_4", "nowhere.csv", "--as", "h100_sxm"], "comes with Lutra"),
    ],
)
def test_bad_calls_of_calibrate(lutra, arguments, problem):
    done = lutra("calibrate", *arguments)
    assert done.code == 2, done.out
    assert problem in done.err


def test_a_simulated_device_has_no_clock(lutra):
    done = lutra("validate", NETWORK, "--device", "h100_sxm")
    assert done.code == 3
    assert "lutra calibrate" in done.err
