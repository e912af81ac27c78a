"""The native side of oneDNN: loading, what it refuses, copies, layouts and threads."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lutra.luts.host import runtime_version
from lutra.networks.errors import MissingDependencyError
from lutra.profiler.runtimes import onednn

native = pytest.importorskip("lutra.profiler._native", reason="the extension module is not built")
needs_library = pytest.mark.skipif(not runtime_version("onednn"), reason="onednn-cpu-gomp is not installed")

Array = np.ndarray[Any, Any]
Tensor = tuple[str, tuple[int, ...], str, str]
WINDOW: Mapping[str, Any] = {
    "strides": (1, 1),
    "dilations": (1, 1),
    "pads_begin": (1, 1),
    "pads_end": (1, 1),
    "groups": 1,
}


@pytest.fixture
def environment() -> Any:
    return native.OneDnnEnvironment(native.OneDnnLibrary(str(onednn.library_path())), 1)


def convolution(environment: Any, layout: str = "channels_last", **more: Any) -> Any:
    """16 to 16 channels, 3 x 3."""
    tensors: list[Tensor] = [
        ("x", (1, 16, 9, 9), layout, "input"),
        ("w", (16, 16, 3, 3), "plain", "constant"),
        ("y", (1, 16, 9, 9), layout, "output"),
    ]
    return environment.program(tensors, [("convolution", ["x", "w"], ["y"], dict(WINDOW))], **more)


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="cannot load oneDNN"):
        native.OneDnnLibrary(str(tmp_path / "libdnnl.so.3"))


def test_another_library_is_refused() -> None:
    with pytest.raises(RuntimeError, match="is not an oneDNN library"):
        native.OneDnnLibrary("libm.so.6")


def test_a_missing_package_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "_PACKAGE", "onednn-of-another-world")
    with pytest.raises(MissingDependencyError) as caught:
        onednn.library_path()
    assert caught.value.hint == "pip install 'lutra[onednn]'"


@needs_library
@pytest.mark.parametrize("layout", ["plain", "channels_last", "blocked8", "blocked16"])
def test_every_layout_computes_the_same(environment: Any, layout: str) -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape, dtype=np.float32) for shape in ((1, 16, 9, 9), (16, 16, 3, 3)))
    results = []
    for chosen in ("plain", layout):
        program = convolution(environment, chosen)
        program.set_input("x", x)
        program.set_constant("w", w)
        program.run()
        results.append(program.output("y"))
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4)


@needs_library
def test_copies_have_weights_of_their_own(environment: Any) -> None:
    one, two = (convolution(environment, copies=copies, seed=3) for copies in (1, 2))
    for program in (one, two):
        program.run()
    assert not np.allclose(one.output("y"), two.output("y"))
    assert one.implementations == two.implementations
    same = np.ones((16, 16, 3, 3), np.float32)
    for program in (one, two):
        program.set_constant("w", same)
        program.run()
    np.testing.assert_array_equal(one.output("y"), two.output("y"))


@needs_library
def test_more_threads_compute_the_same() -> None:
    library = native.OneDnnLibrary(str(onednn.library_path()))
    one, two = (convolution(native.OneDnnEnvironment(library, threads), seed=1) for threads in (1, 2))
    for program in (one, two, one):
        program.run()
    np.testing.assert_allclose(one.output("y"), two.output("y"), rtol=1e-5, atol=1e-5)


@needs_library
def test_programs_outlive_what_they_were_made_from() -> None:
    program = convolution(native.OneDnnEnvironment(native.OneDnnLibrary(str(onednn.library_path())), 1))
    program.run()
    assert np.isfinite(program.output("y")).all()


@needs_library
def test_a_sum_is_written_over_its_residual(environment: Any) -> None:
    tensors: list[Tensor] = [
        ("x", (1, 8, 4, 4), "plain", "input"),
        ("r", (1, 8, 4, 4), "plain", "input"),
        ("w", (8, 8, 3, 3), "plain", "constant"),
        ("y", (1, 8, 4, 4), "plain", "output"),
    ]
    steps = [("convolution", ["x", "w", "r"], ["y"], {**WINDOW, "residual": "sum"})]
    program = environment.program(tensors, steps)
    program.set_input("r", np.zeros((1, 8, 4, 4), np.float32))
    program.run()
    once = program.output("y")
    program.run()
    np.testing.assert_allclose(program.output("y"), 2 * once, rtol=1e-5)


def bad_programs() -> Iterator[Any]:
    x: Tensor = ("x", (1, 16, 9, 9), "plain", "input")
    y: Tensor = ("y", (1, 16, 9, 9), "plain", "output")
    relu = ("eltwise", ["x"], ["y"], {"algorithm": "relu"})
    yield pytest.param([x, y], [("sort", ["x"], ["y"], {})], "unknown op 'sort'", id="op")
    yield pytest.param([x, y], [("eltwise", ["x"], ["y"], {"algorithm": "sin"})], "activation 'sin'", id="algorithm")
    yield pytest.param([x, y], [("eltwise", ["z"], ["y"], {"algorithm": "relu"})], "no tensor 'z'", id="tensor")
    yield pytest.param([x, y, x], [relu], "two tensors are called 'x'", id="twice")
    yield pytest.param([("x", (1, 16), "striped", "input"), y], [relu], "unknown layout 'striped'", id="layout")
    yield pytest.param([("x", (16, 9), "blocked8", "input"), y], [relu], "3 or 4 axes are blocked", id="blocked rank")
    yield pytest.param([x, y], [("softmax", ["x"], ["y"], {})], "needs the integers axis", id="attribute")
    yield pytest.param([x, y], [("softmax", ["x"], ["y"], {"axis": 7})], "refuses the operands of softmax", id="axis")
    yield pytest.param([("x", (1 << 20, 1 << 20), "plain", "input"), y], [relu], "x", id="huge")
    yield pytest.param([x, ("y", (1, 16, 9, 8), "plain", "output")], [relu], "eltwise of 1x16x9x9", id="shape")


@needs_library
@pytest.mark.parametrize(("tensors", "steps", "message"), list(bad_programs()))
def test_what_does_not_fit_is_named(environment: Any, tensors: Any, steps: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        environment.program(tensors, steps)


@needs_library
def test_wrong_content_is_refused(environment: Any) -> None:
    program = convolution(environment)
    with pytest.raises(ValueError, match="no input 'w'"):
        program.set_input("w", np.zeros((16, 16, 3, 3), np.float32))
    with pytest.raises(ValueError, match="constant 'w' is 16x16x3x3, not 3x3"):
        program.set_constant("w", np.zeros((3, 3), np.float32))
    with pytest.raises(ValueError, match="no output 'x'"):
        program.output("x")
    for copies in (0, 1 << 17):
        with pytest.raises(ValueError, match="copies must be"):
            convolution(environment, copies=copies)
    with pytest.raises(ValueError, match="at least 1"):
        native.OneDnnEnvironment(native.OneDnnLibrary(str(onednn.library_path())), 0)
