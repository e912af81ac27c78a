"""Choosing what to measure: pure logic, on made-up and on published latencies."""

import csv
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lutra.luts import Interpolator, Table
from lutra.luts.testing import conv_ns, conv_row, make_conv, make_fingerprint
from lutra.networks.errors import UsageError
from lutra.networks.lowering import Kernel
from lutra.networks.lowering.kernel import Constant, KernelNode
from lutra.networks.ops import TensorType
from lutra.profiler.sampling import AdaptiveSampler

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "data" / "luts" / "note10_and_pixel1_blocks.csv"


def space(windows: Iterable[int] = (1, 3), images: Iterable[int] = (7, 14, 28)) -> dict[str, Kernel]:
    channels = (16, 24, 32, 48, 64, 80, 96, 128)
    kernels = [
        make_conv(c, d, s, window=w, activation=a)
        for w in windows
        for a in ("", "Relu")
        for s in images
        for c in channels
        for d in (24, 40, 80, 128)
    ]
    return {kernel.key: kernel for kernel in kernels}


def run(sampler: AdaptiveSampler, kernels: Mapping[str, Kernel], latency: Callable[[Kernel], float]) -> list[str]:
    """Measure what the sampler asks for until it asks no more; the keys in that order."""
    asked: list[str] = []
    while keys := sampler.ask():
        asked += keys
        sampler.tell(conv_row(kernels[key], latency(kernels[key])) for key in keys)
    return asked


def run_for(sampler: AdaptiveSampler, kernels: Mapping[str, Kernel], count: int) -> list[str]:
    """The first ``count`` kernels that the sampler asks for, as long as latencies follow no rule that it could find."""
    asked: list[str] = []
    while len(asked) < count and (keys := sampler.ask()):
        asked += keys
        rng = np.random.default_rng(len(asked))
        sampler.tell(conv_row(kernels[key], conv_ns(kernels[key]) * math.exp(float(rng.normal()))) for key in keys)
    return asked[:count]


def errors_of_the_rest(
    kernels: Mapping[str, Kernel], asked: Iterable[str], latency: Callable[[Kernel], float]
) -> list[float]:
    measured = set(asked)
    table = Table(make_fingerprint(), [conv_row(kernels[key], latency(kernels[key])) for key in measured])
    rest = [kernel for key, kernel in kernels.items() if key not in measured]
    answers = Interpolator(table, max_halfwidth=1e9).answers(rest)
    return [abs((a.latency_ns or 0.0) / latency(kernel) - 1) for a, kernel in zip(answers, rest, strict=True)]


def test_a_part_is_measured_and_the_rest_comes_out_under_the_target() -> None:
    kernels = space()
    sampler = AdaptiveSampler(kernels, target_error=0.03)
    asked = run(sampler, kernels, conv_ns)
    assert len(asked) == len(set(asked))
    assert len(asked) < 0.5 * len(kernels)
    assert sampler.done
    assert np.median(errors_of_the_rest(kernels, asked, conv_ns)) < 0.03
    assert sampler.held_out_error is not None
    assert sampler.held_out_error.median < 0.03


def test_a_harder_target_takes_more_rows() -> None:
    kernels = space(windows=(1,))
    loose, strict = (
        len(run(AdaptiveSampler(kernels, target_error=target), kernels, conv_ns)) for target in (0.1, 0.005)
    )
    assert loose < strict


def test_what_follows_no_rule_is_measured_wholly() -> None:
    kernels = space(windows=(1,), images=(14, 28))
    rng = np.random.default_rng(0)
    noise = {key: 1e5 * math.exp(rng.normal()) for key in kernels}
    asked = run(AdaptiveSampler(kernels), kernels, lambda kernel: noise[kernel.key])
    assert set(asked) == set(kernels)


def test_the_seed_set_spreads_over_families_kinds_and_extremes() -> None:
    kernels = space()
    sampler = AdaptiveSampler(kernels)
    seeds = [kernels[key] for key in sampler.ask(12)]
    assert {kernel.nodes[0].attrs for kernel in seeds} == {kernel.nodes[0].attrs for kernel in kernels.values()}
    macs = [kernel.macs for kernel in kernels.values()]
    assert {min(macs), max(macs)} <= {kernel.macs for kernel in seeds}


def test_small_families_are_measured_wholly_and_first() -> None:
    few = {k.key: k for k in (replace(make_conv(c, c, 14), runtime="other") for c in (8, 16, 24))}
    sampler = AdaptiveSampler(space() | few)
    assert set(few) <= set(sampler.ask(24))


def test_rows_that_are_there_already_are_used_and_not_asked_for() -> None:
    kernels = space(windows=(1,))
    known = list(kernels)[::3]
    others = [make_conv(c, 56, 20) for c in (8, 200)]
    sampler = AdaptiveSampler(kernels)
    sampler.tell([conv_row(kernels[key]) for key in known] + [conv_row(kernel) for kernel in others])
    assert sampler.held_out_error is None
    asked = run(sampler, kernels, conv_ns)
    assert not set(asked) & set(known)
    assert len(asked) < len(run(AdaptiveSampler(kernels), kernels, conv_ns))
    assert sum(report.measured for report in sampler.report()) == len(known) + len(asked)


def test_held_out_errors_are_of_rows_predicted_before_they_were_used() -> None:
    kernels = space(windows=(1,))
    keys = list(kernels)
    sampler = AdaptiveSampler(kernels)
    sampler.tell(conv_row(kernels[key]) for key in keys[::2])
    before = Interpolator(Table(make_fingerprint(), [conv_row(kernels[key]) for key in keys[::2]]), max_halfwidth=1e9)
    news = keys[1:16:2]
    sampler.tell(conv_row(kernels[key], 1.5 * conv_ns(kernels[key])) for key in news)
    wanted = [abs((before.answer(kernels[key]).latency_ns or 0) / (1.5 * conv_ns(kernels[key])) - 1) for key in news]
    assert sampler.held_out_error is not None
    assert sampler.held_out_error.rows == len(news)
    assert sampler.held_out_error.median == pytest.approx(float(np.median(wanted)), rel=1e-3)
    assert sampler.held_out_error.p90 == pytest.approx(float(np.quantile(wanted, 0.9)), rel=1e-3)


def test_failed_kernels_are_counted_and_not_asked_for_again() -> None:
    kernels = space(windows=(1,), images=(14,))
    sampler = AdaptiveSampler(kernels)
    first = sampler.ask(5)
    sampler.tell(
        conv_row(kernels[key], status="failed", reason="it crashed", samples_ns=[], rel_halfwidth=None) for key in first
    )
    asked = run(sampler, kernels, conv_ns)
    assert not set(asked) & set(first)
    assert sum(report.failed for report in sampler.report()) == 5
    assert sampler.done


def test_what_was_asked_for_and_never_told_is_not_asked_for_again() -> None:
    kernels = space(windows=(1,), images=(14,))
    sampler = AdaptiveSampler(kernels, batch=7)
    asked: list[str] = []
    while keys := sampler.ask():
        assert len(keys) <= 7
        asked += keys
    assert sorted(asked) == sorted(kernels)


def test_the_same_seed_asks_the_same_and_another_not() -> None:
    kernels = space(windows=(1,))
    same, again, other = (run(AdaptiveSampler(kernels, seed=seed), kernels, conv_ns) for seed in (0, 0, 1))
    assert same == again
    assert same != other


def test_what_more_networks_run_is_measured_sooner() -> None:
    kernels = space()
    rare = set(list(kernels)[::2])

    def rare_among_the_first(usage: Mapping[str, float]) -> int:
        sampler = AdaptiveSampler(kernels, usage=usage)
        asked = run_for(sampler, kernels, 120)
        return len(rare.intersection(asked))

    by_usage = rare_among_the_first({key: 0.01 if key in rare else 0.9 for key in kernels})
    assert by_usage < 0.75 * rare_among_the_first({})
    assert rare_among_the_first(dict.fromkeys(kernels, 0.3)) == rare_among_the_first({})  # only the proportion counts


def test_usage_changes_the_order_and_not_the_end() -> None:
    kernels = space(windows=(1,), images=(7,))
    noise = {key: 1e6 * math.exp(float(np.random.default_rng(n).normal())) for n, key in enumerate(kernels)}
    usage = {key: 1 / (n + 1) for n, key in enumerate(kernels)}
    asked = run(AdaptiveSampler(kernels, usage=usage), kernels, lambda kernel: noise[kernel.key])
    assert set(asked) == set(kernels)


def test_other_rows_than_kernels_are_passed_over() -> None:
    kernels = space(windows=(1,), images=(14,))
    sampler = AdaptiveSampler(kernels)
    sampler.tell([conv_row(kernels[next(iter(kernels))], subject_kind="resident")])
    assert all(report.measured == 0 for report in sampler.report())


def test_nothing_to_measure_is_done_at_once() -> None:
    sampler = AdaptiveSampler({})
    assert sampler.done
    assert sampler.ask() == []
    assert sampler.report() == []
    assert sampler.held_out_error is None


def test_the_report_names_families_largest_first() -> None:
    large = space(windows=(1,))
    small = {k.key: k for k in (replace(make_conv(c, c, 14), runtime="other") for c in (8, 16, 24))}
    sampler = AdaptiveSampler(small | large)
    run(sampler, small | large, conv_ns)
    first, second = sampler.report()
    assert (first.shapes, second.shapes) == (len(large), 3)
    assert (second.measured, second.held_out, second.done) == (3, None, True)
    assert first.kind == "Conv"
    assert first.done


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1, math.nan])
def test_a_target_is_a_ratio(target: float) -> None:
    with pytest.raises(UsageError, match="target error"):
        AdaptiveSampler({}, target_error=target)


def test_a_batch_has_kernels() -> None:
    with pytest.raises(UsageError, match="batch"):
        AdaptiveSampler({}, batch=0)


# -- published latencies ----------------------------------------------------------------------------------


def published() -> tuple[dict[str, Kernel], dict[str, float]]:
    """Once-for-All's inverted residual blocks on a Samsung Note10 at five resolutions, in ns."""
    kernels, latencies = {}, {}
    with PUBLISHED.open() as file:
        for row in csv.DictReader(file):
            if row["source"] == "ofa_note10" and row["expand_or_mid"] and row["kernel"]:
                kernel = published_block(row)
                kernels[kernel.key] = kernel
                latencies[kernel.key] = float(row["mean_ms"]) * 1e6
    return kernels, latencies


def published_block(row: Mapping[str, str]) -> Kernel:
    size, _, channels_in = map(int, row["input_shape"].split("x"))
    made, _, channels_out = map(int, row["output_shape"].split("x"))
    expand, window, stride = (float(row[name]) for name in ("expand_or_mid", "kernel", "stride"))
    middle, window = round(expand if expand > 20 else expand * channels_in), int(window)
    activation = "HardSwish" if float(row["hs"] or 0) else "Relu"
    weights = {
        "expand": (middle, channels_in, 1, 1),
        "depthwise": (middle, 1, window, window),
        "project": (channels_out, middle, 1, 1),
    }
    if float(row["se"] or 0):
        weights |= {"squeeze": (-(-middle // 32) * 8, middle, 1, 1)}
    residual = ("x",) if float(row["idskip"] or 0) else ()
    attrs = (("activation", activation), ("window", window), ("stride", int(stride)))
    node = KernelNode("Block", "", attrs, ("x", *weights, *residual), ("y",))
    image = TensorType((1, channels_in, size, size), "float32")
    output = TensorType((1, channels_out, made, made), "float32")
    constants = tuple((name, Constant(TensorType(shape, "float32"))) for name, shape in weights.items())
    weight_bytes = sum(constant.type.nbytes for _, constant in constants)
    macs = middle * (size**2 * channels_in + made**2 * (window**2 + channels_out))
    return Kernel(
        runtime="tflite",
        nodes=(node,),
        inputs=(("x", image),),
        constants=constants,
        outputs=(("y", output),),
        macs=macs,
        bytes_moved=image.nbytes + output.nbytes + weight_bytes,
        label=f"Block {channels_in}->{middle}->{channels_out} @{size}",
    )


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published tables are not beside this checkout")
def test_a_phones_table_is_known_from_a_part_of_it() -> None:
    kernels, latencies = published()
    assert len(kernels) > 400

    def latency(kernel: Kernel) -> float:
        return latencies[kernel.key]

    sampler = AdaptiveSampler(kernels, target_error=0.03)
    asked = run(sampler, kernels, latency)
    assert len(asked) < 0.45 * len(kernels)
    errors = errors_of_the_rest(kernels, asked, latency)
    assert np.median(errors) < 0.02
    assert np.quantile(errors, 0.9) < 0.06
