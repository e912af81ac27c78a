"""Layers on simulated boards: which entries run, that rows are the same every time, and what goes wrong cleanly."""

import dataclasses

import numpy as np
import pytest

from lutra.luts import Store
from lutra.luts.table import CALIBRATION_DOCUMENT
from lutra.networks import NetworkBuilder, zoo
from lutra.networks.errors import UnknownNameError, UnsupportedOpError, UsageError
from lutra.networks.lowering import lower
from lutra.predictors import load_predictor, table_predictor
from lutra.profiler import make_plan, resolve_device, run_campaign
from lutra.profiler.mcu.boards import board_of, boards
from lutra.profiler.mcu.engines import LEAN, TFLM_LIKE
from lutra.profiler.mcu.geometry import KINDS
from lutra.profiler.mcu.operations import operations_of
from lutra.profiler.mcu.simulator import McuSimulator
from lutra.profiler.simulation import SIMULATED_FLAG, simulate_all, simulated_row, simulated_table


def block(channels=8, side=6, kernel=3):
    """A small inverted bottleneck with a shortcut, behind a first layer."""
    b = NetworkBuilder("block")
    x = b.op("relu6", b.op("conv2d", b.input((1, 3, side, side)), out_channels=channels, kernel_size=3, padding=1))
    y = b.op("relu6", b.op("conv2d", x, out_channels=2 * channels, kernel_size=1))
    half = kernel // 2
    y = b.op("conv2d", y, out_channels=2 * channels, kernel_size=kernel, padding=half, groups=2 * channels)
    x = b.op("add", x, b.op("conv2d", y, out_channels=channels, kernel_size=1))
    return b.build(b.op("linear", b.op("flatten", b.op("global_avg_pool2d", x)), out_features=4))


def layers(network):
    return lower(network, "mcu", precision="int8").kernels


ALL_KINDS = frozenset(KINDS)


def kinds(network, engine, exported=ALL_KINDS):
    return [op.kind for layer in layers(network) for op in operations_of(layer, engine, exported)]


def test_a_lean_engine_prefers_special_kernels():
    expected = ["conv2d_first", "conv2d", "depthwise_chw", "conv2d", "add", "global_pool", "fully_connected"]
    assert kinds(block(), LEAN) == expected
    general = ["conv2d", "pointwise", "depthwise", "pointwise", "add", "global_pool", "fully_connected"]
    assert kinds(block(), TFLM_LIKE) == general


def test_what_is_not_exported_falls_back_to_the_general_kind():
    assert kinds(block(), LEAN, ALL_KINDS - {"conv2d_first", "depthwise_chw"})[:3] == [
        "conv2d_3x3",
        "conv2d",
        "depthwise",
    ]
    with pytest.raises(UnsupportedOpError, match="depthwise"):
        kinds(block(), LEAN, ALL_KINDS - {"depthwise", "depthwise_chw"})


def test_a_concatenation_is_one_call_an_input():
    b = NetworkBuilder("joined")
    inputs = [b.input((1, channels, 5, 5)) for channels in (3, 4, 5)]
    (layer,) = layers(b.build(b.op("concat", *inputs)))
    shapes = [(op.kind, op.in_c, op.out_c) for op in operations_of(layer, LEAN, ALL_KINDS)]
    assert shapes == [("concat", 3, 12), ("concat", 4, 12), ("concat", 5, 12)]


@pytest.mark.parametrize("board", sorted(boards()))
def test_every_board_runs_a_network(board):
    device = resolve_device(board)
    plan = make_plan(device, [block()])
    rows = list(simulate_all(device.simulator, plan.kernels.values()))
    assert len(rows) == len(plan.kernels)
    for row in rows:
        assert row.status == "ok", row.reason
        assert SIMULATED_FLAG in row.flags
        cycles = row.conditions["cycles"]
        assert row.latency_ns == pytest.approx(1000 * cycles / device.simulator.board.mhz, rel=1e-12)
        assert 0 <= sum(row.conditions["stalls"].values()) < cycles
        assert row.conditions["instructions"] > 0


@pytest.mark.parametrize("engine", ["lean", "tflm-like"])
def test_rows_are_the_same_every_time_and_in_any_order(engine):
    simulator = McuSimulator(board_of("stm32f446"), LEAN if engine == "lean" else TFLM_LIKE)
    kernels = layers(block())
    one = {row.subject_key: row.conditions for row in simulate_all(simulator, kernels, workers=1)}
    other = {row.subject_key: row.conditions for row in simulate_all(simulator, reversed(kernels), workers=4)}
    assert one == other


def test_more_work_takes_more_cycles():
    simulator = McuSimulator(board_of("stm32l4r5"), LEAN)

    def cycles(channels):
        return simulator.simulate(layers(block(channels))[1]).details["cycles"]

    assert cycles(8) < cycles(16) < cycles(32)


def test_a_layer_larger_than_the_board_is_simulated_all_the_same():
    b = NetworkBuilder("large")
    network = b.build(b.op("conv2d", b.input((1, 64, 40, 40)), out_channels=64, kernel_size=1))
    simulator = McuSimulator(board_of("nrf52832"), LEAN)
    assert simulator.board.ram_bytes < 2 * 64 * 40 * 40
    assert simulator.simulate(layers(network)[0]).details["cycles"] > 64 * 64 * 40 * 40


def test_what_lacks_a_kind_is_a_failed_row():
    b = NetworkBuilder("gated")
    x = b.input((1, 4, 5, 5))
    network = b.build(b.op("mul", x, b.op("sigmoid", x)))
    simulator = McuSimulator(board_of("stm32f446"), LEAN)
    rows = [simulated_row(simulator, kernel) for kernel in layers(network)]
    assert [row.status for row in rows] == ["ok", "failed"]
    assert "mul" in rows[1].reason


def test_identity_follows_what_decides_cycles():
    board = board_of("stm32f446")
    base = McuSimulator(board, LEAN).fingerprint
    assert base.kind == "simulated"
    assert McuSimulator(board, LEAN).fingerprint == base
    assert McuSimulator(board, TFLM_LIKE).fingerprint != base
    assert McuSimulator(board.model_copy(update={"mhz": 168}), LEAN).fingerprint != base
    slower = board.flash.model_copy(update={"wait_states": 6})
    assert McuSimulator(board.model_copy(update={"flash": slower}), LEAN).fingerprint != base
    assert McuSimulator(board.model_copy(update={"active_mw": 1.0, "note": "x"}), LEAN).fingerprint == base


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF\x01\x01\x01" + bytes(45), bytes(range(256)) * 8])
def test_a_corrupt_program_is_refused(content):
    with pytest.raises((UsageError, Exception)) as caught:
        McuSimulator(board_of("stm32f446"), dataclasses.replace(LEAN, name="mine", elf=content))
    assert type(caught.value).__module__ == "lutra.networks.errors"


def test_a_program_of_another_core_is_refused():
    from lutra.profiler.mcu.image import shipped_image

    foreign = dataclasses.replace(LEAN, name="mine", elf=shipped_image("rv32imc"))
    with pytest.raises(UsageError, match="cannot run on stm32f446"):
        McuSimulator(board_of("stm32f446"), foreign)


def test_devices_by_name():
    assert resolve_device("stm32f746").name == "stm32f746"
    assert resolve_device("stm32f746:tflm-like").name == "stm32f746:tflm-like"
    assert resolve_device("stm32f746", engine="tflm-like") == resolve_device("stm32f746:tflm-like")
    assert resolve_device("stm32f746").precision == "int8"
    with pytest.raises(UnknownNameError, match="unknown device 'stm32f999'"):
        resolve_device("stm32f999")
    with pytest.raises(UnknownNameError, match="unknown engine"):
        resolve_device("stm32f746:fast")
    with pytest.raises(UsageError, match="two engines"):
        resolve_device("stm32f746:tflm-like", engine="lean")
    with pytest.raises(UsageError, match="on 1 thread"):
        resolve_device("stm32f746", threads=2)
    with pytest.raises(UsageError, match="has no engines"):
        resolve_device("null", engine="lean")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "lutra.db", create=True) as opened:
        yield opened


def test_a_campaign_fills_a_table_once(store):
    device = resolve_device("stm32h743")
    plan = make_plan(device, [block()])
    assert not plan.check
    told = []
    first = run_campaign(plan, store, events=told.append)
    again = run_campaign(plan, store)
    assert (first.measured, first.skipped) == (len(plan.kernels), 0)
    assert (again.measured, again.skipped) == (0, len(plan.kernels))
    assert (told[0].name, told[-1].name) == ("started", "finished")
    predictor = load_predictor("stm32h743", store=store)
    prediction = predictor.explain(block())
    assert prediction.simulated
    expected = sum(row.latency_ns for row in first.table.rows("kernel")) / 1e6 * predictor.scale_
    uses = len(plan.subjects[0].lowered.kernels)
    assert uses == len(plan.kernels)
    assert prediction.latency_ms == pytest.approx(expected, rel=1e-9)


def test_layers_that_fail_are_not_counted_as_measured_even_under_one_label(store):
    b = NetworkBuilder("squeeze")
    x = b.op("conv2d", b.input((1, 4, 6, 6)), out_channels=4, kernel_size=1)
    for channels in (8, 12):
        x = b.op("conv2d", x, out_channels=channels, kernel_size=1)
        x = b.op("mul", b.op("global_avg_pool2d", x), x)
    plan = make_plan(resolve_device("stm32f446"), [b.build(x)])
    result = run_campaign(plan, store)
    failed = [row.label for row in result.table.rows("kernel") if row.status == "failed"]
    assert len(failed) == 2
    assert len(set(failed)) == 1
    assert result.measured == len(plan.kernels) - 2


def test_a_budget_leaves_the_rest_to_interpolation(store):
    device = resolve_device("stm32f446")
    plan = make_plan(device, [block(channels, side) for channels in (4, 8, 12, 16) for side in (6, 8)])
    result = run_campaign(plan, store, target_error=0.5)
    assert result.measured + result.interpolated == len(plan.kernels)


def test_interpolation_between_simulated_layers_is_close():
    """The seven amounts say how cycles grow: pointwise layers of other sizes are within a few percent."""
    device = resolve_device("stm32f446")

    def pointwise(channels, filters, side):
        b = NetworkBuilder("one")
        x = b.input((1, channels, side, side))
        return layers(b.build(b.op("conv2d", x, out_channels=filters, kernel_size=1)))[0]

    known = [pointwise(c, f, s) for c in (8, 12, 24, 64) for f in (8, 20, 40, 64) for s in (4, 7, 10)]
    asked = [pointwise(*shape) for shape in ((16, 24, 6), (40, 16, 8), (48, 56, 5), (20, 32, 9), (32, 12, 6))]
    table = simulated_table(device, known)
    truth = {row.subject_key: row.latency_ns for row in simulate_all(device.simulator, asked)}
    answers = table.interpolator.answers(asked)
    assert {answer.source for answer in answers} == {"interpolated"}
    errors = [abs(answer.latency_ns / truth[answer.key] - 1) for answer in answers]
    assert np.median(errors) < 0.08
    assert max(errors) < 0.30


def test_calibration_scales_and_shows_both():
    board = board_of("stm32f446")
    known = {"lean": {"scale": 1.25, "source": "a made-up fit"}}
    calibrated = type(board).model_validate(board.model_dump() | {"calibration": known})
    simulator = McuSimulator(calibrated, LEAN)
    assert simulator.fingerprint == McuSimulator(board, LEAN).fingerprint
    assert simulator.documents[CALIBRATION_DOCUMENT]["scale"] == 1.25
    device = dataclasses.replace(resolve_device("stm32f446"), simulator=simulator)
    plain = simulated_table(resolve_device("stm32f446"), layers(block()))
    scaled = simulated_table(device, layers(block()))
    assert table_predictor(scaled).predict_batch([block()]) == pytest.approx(
        1.25 * np.asarray(table_predictor(plain).predict_batch([block()])) / table_predictor(plain).scale_
    )
    assert any("a made-up fit" in note for note in table_predictor(scaled).explain(block()).notes)


@pytest.mark.slow
def test_a_whole_network_of_each_engine():
    for engine in ("lean", "tflm-like"):
        device = resolve_device("stm32l4r5", engine=engine)
        plan = make_plan(device, [zoo.build("mlperf_tiny_kws")])
        assert all(row.status == "ok" for row in simulated_table(device, plan.kernels.values()))
