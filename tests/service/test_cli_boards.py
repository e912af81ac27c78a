"""The command line on simulated boards."""

import subprocess
import sys

import pytest
import yaml

from lutra.profiler.mcu.boards import BUILT_IN

NETWORK = "mlperf_tiny_ad"
"""Ten fully connected layers: simulated in a moment."""

HEAD = "op,input,output,kernel,strides,padding,cycles\n"


def document(lutra, *arguments):
    done = lutra(*arguments, "--json")
    assert done.code == 0, done.err
    return done.document


def test_a_board_needs_no_profile(lutra):
    done = lutra("predict", NETWORK, "--device", "stm32l4r5")
    assert done.code == 0, done.err
    assert "[SIMULATED]" in done.out
    assert "cycles at 120 MHz" in done.out
    assert ": fits" in done.out
    assert "mJ (estimate" in done.out
    assert "measured" not in done.out


def test_json_has_cycles_memory_and_energy(lutra):
    (found,) = document(lutra, "predict", NETWORK, "--device", "stm32l4r5")
    assert found["simulated"] is True
    assert found["cycles"] == sum(layer["count"] * layer["cycles"] for layer in found["layers"])
    assert found["uncalibrated_ms"] * found["scale"] == pytest.approx(found["latency_ms"])
    assert found["uncalibrated_ms"] == pytest.approx(found["cycles"] / found["mhz"] / 1e3, rel=1e-6)
    assert found["memory"]["int8"]["fits"] is True
    assert found["memory"]["int4"]["flash_bytes"] < found["memory"]["int8"]["flash_bytes"]
    assert found["energy_mj_estimate"] > 0


def test_engines_have_tables_of_their_own(lutra):
    for engine in ("lean", "tflm-like"):
        assert document(lutra, "predict", NETWORK, "--device", "stm32f446", "--engine", engine)[0]["cycles"] > 0
    names = {record["name"] for record in document(lutra, "devices")["stored"]}
    assert names == {"stm32f446", "stm32f446:tflm-like"}


def test_profile_keeps_rows_and_predict_uses_them(lutra):
    done = lutra("profile", NETWORK, "--device", "stm32f746")
    assert done.code == 0, done.err
    assert "5 kernels simulated" in done.err
    assert "5 known before" in lutra("profile", NETWORK, "--device", "stm32f746").err
    (found,) = document(lutra, "predict", NETWORK, "--device", "stm32f746", "--no-simulate")
    assert {layer["source"] for layer in found["layers"]} == {"simulated"}


def test_without_rows_and_without_simulating_nothing_is_made_up(lutra):
    done = lutra("predict", NETWORK, "--device", "stm32f746", "--no-simulate")
    assert done.code == 3
    assert "lacks 5 of 5 kernels" in done.err


def test_what_the_engine_lacks_is_named(lutra):
    done = lutra("predict", "mobilenet_v3_small", "--resolution", "32", "--device", "stm32h743")
    assert done.code == 3
    assert "mul" in done.err


def test_what_does_not_fit_says_what_would(lutra):
    done = lutra("predict", "mcunet-vww1", "--resolution", "48", "--device", "rp2040", "--engine", "tflm-like")
    assert done.code == 0, done.err
    (found,) = document(lutra, "predict", NETWORK, "--device", "nrf52832", "--engine", "tflm-like")
    assert found["memory"]["int8"]["sram_over_bytes"] == 0
    (found,) = document(lutra, "predict", "mcunet-vww0", "--device", "nrf52832", "--engine", "tflm-like")
    memory = found["memory"]["int8"]
    assert not memory["fits"]
    assert memory["sram_over_bytes"] > 0
    assert "engine lean" in memory["would_fit"]


def test_a_board_of_ones_own(lutra, tmp_path):
    board = yaml.safe_load((BUILT_IN / "stm32f446.yaml").read_text()) | {"name": "mine", "mhz": 90}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(board))
    (half,) = document(lutra, "predict", NETWORK, "--device", str(path))
    (full,) = document(lutra, "predict", NETWORK, "--device", "stm32f446")
    assert half["device"] == "mine"
    assert half["cycles"] == full["cycles"]
    assert half["uncalibrated_ms"] == pytest.approx(2 * full["uncalibrated_ms"])
    path.write_text(yaml.safe_dump(board | {"mhz": -1}))
    refused = lutra("predict", NETWORK, "--device", str(path))
    assert refused.code == 2
    assert "mhz" in refused.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--device", "stm32f746", "--engine", "fast"], "unknown engine"),
        (["--device", "stm32f746", "--engine", "nowhere.elf"], "cannot be read"),
        (["--device", "stm32f746", "--threads", "2"], "on 1 thread"),
        (["--device", "null", "--engine", "lean"], "is not simulated"),
        (["--device", "null", "--no-simulate"], "is not simulated"),
        (["--device", "nowhere.yaml"], "cannot be read"),
    ],
)
def test_bad_arguments(lutra, arguments, problem):
    done = lutra("predict", NETWORK, *arguments)
    assert done.code == 2
    assert problem in done.err


def test_a_simulated_board_has_no_clock_to_validate_with(lutra):
    done = lutra("validate", NETWORK, "--device", "stm32f446")
    assert done.code == 3
    assert "lutra validate-mcu" in done.err


def test_boards_are_listed(lutra):
    here = document(lutra, "devices")["here"]
    assert {"stm32f746", "esp32c3"} <= {d["name"] for d in here if d["kind"] == "sim-mcu" and d["available"]}


def test_a_space_is_planned_without_whole_networks(lutra):
    plan = document(lutra, "profile", "--space", "tinynas-w0.2@48", "--device", "stm32f446", "--dry-run")
    assert plan["kernels"] == len(plan["pending"]) > 100


def test_layers_beside_measured_ones(lutra, tmp_path):
    rows = [
        f'conv2d,"[1, 6, 5, {c}]","[1, 6, 5, {f}]","[{k}, 1]","[1, 1]",same,{1000 + 40 * c * f * k}'
        for c in (4, 8, 12)
        for f in (4, 8)
        for k in (1, 3, 5, 7)
    ]
    (tmp_path / "layers.csv").write_text(HEAD + "\n".join([*rows, 'add,"[1]","[1]",,,,12']) + "\n")
    found = document(lutra, "validate-mcu", "--csv", str(tmp_path / "layers.csv"), "--board", "stm32f446")
    assert found["layers"] == len(rows)
    assert found["left_out"] == {"add": 1}
    assert found["spearman"] > 0.9
    assert found["scaled_mape_pct"] >= 0
    text = lutra("validate-mcu", "--csv", str(tmp_path / "layers.csv"), "--board", "stm32f446")
    assert "nothing fitted" in text.out


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('conv2d,"[1, 6, 5]","[1, 6, 5, 4]","[1, 1]","[1, 1]",same,9', "column input"),
        ('conv2d,"[1, 6, 5, 4]","[1, 6, 5, 4]","[1]","[1, 1]",same,9', "column kernel"),
        ('conv2d,"[1, 6, 5, 4]","[1, 6, 5, 4]","[1, 1]","[1, 1]",full,9', "column padding"),
        ('conv2d,"[1, 6, 5, 4]","[1, 6, 5, 4]","[1, 1]","[1, 1]",same,-9', "column cycles"),
        ('conv2d,"[1, 6, 5, 4]","[1, 6, 6, 4]","[1, 1]","[1, 1]",same,9', "column output"),
        ('conv2d,"[1, 2, 2, 4]","[1, 1, 1, 4]","[3, 3]","[1, 1]",valid,9', "row 2"),
        ('conv2d,"[1, 6, 5, 4]","[1, 6, 5, 4]","[1, 1]","[1, 1]",same,9', "layers could be simulated"),
    ],
)
def test_bad_lines_of_measurements(lutra, tmp_path, row, problem):
    (tmp_path / "layers.csv").write_text(HEAD + row + "\n")
    done = lutra("validate-mcu", "--csv", str(tmp_path / "layers.csv"), "--board", "stm32f446")
    assert done.code == 2
    assert problem in done.err


def test_a_column_that_is_missing(lutra, tmp_path):
    (tmp_path / "layers.csv").write_text("op,input\n")
    done = lutra("validate-mcu", "--csv", str(tmp_path / "layers.csv"), "--board", "stm32f446")
    assert done.code == 2
    assert "column output" in done.err


def test_predicting_on_a_board_needs_no_torch(tmp_path):
    code = (
        "import sys\n"
        "from lutra.service.cli import _run\n"
        f"assert _run(['predict', {NETWORK!r}, '--device', 'stm32l4r5', '--store', {str(tmp_path / 'x.db')!r}]) == 0\n"
        "assert not {'torch', 'onnxruntime'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
