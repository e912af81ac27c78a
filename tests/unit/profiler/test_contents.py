"""Random numbers that are drawn once and handed out in pieces, and models written of them as bytes."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from lutra.networks.errors import UsageError
from lutra.profiler.runtimes.contents import LENGTH, Contents
from lutra.profiler.runtimes.onnx_wire import NodeTemplate, TensorTemplate, joined

CONTENTS = Contents(3)
PIECES = st.integers(0, LENGTH - 1)
NAMES = st.text(max_size=300)
TENSORS = st.text(min_size=1, max_size=300)


@settings(max_examples=30, deadline=None)
@given(first=PIECES, second=PIECES, count=st.integers(4, 1000))
def test_no_two_pieces_are_alike(first: int, second: int, count: int) -> None:
    for draw in (CONTENTS.normal, CONTENTS.uniform):
        assert draw(count, first).shape == (count,)
        assert np.array_equal(draw(count, first), draw(count, second)) == (first == second)


def test_long_pieces_go_round() -> None:
    piece = CONTENTS.bytes(2 * LENGTH + 5, 17)
    assert np.array_equal(piece[:LENGTH], piece[LENGTH : 2 * LENGTH])
    assert np.array_equal(piece[:5], piece[2 * LENGTH :])
    assert np.array_equal(piece[:9], CONTENTS.bytes(9, 17))


def test_numbers_are_of_the_promised_kind() -> None:
    normal, uniform = CONTENTS.normal(LENGTH, 0), CONTENTS.uniform(LENGTH, 1)
    assert normal.dtype == np.float32
    assert abs(float(normal.mean())) < 0.01
    assert abs(float(normal.std()) - 1) < 0.01
    assert 0 <= uniform.min() < 0.001 < 0.999 < uniform.max() < 1
    assert len(np.unique(CONTENTS.bytes(LENGTH, 2))) == 256
    assert np.array_equal(Contents(3).normal(7, 5), CONTENTS.normal(7, 5))
    assert not np.array_equal(Contents(4).normal(7, 5), CONTENTS.normal(7, 5))


@pytest.mark.parametrize("piece", [-1, LENGTH])
def test_a_piece_that_is_not_there_is_refused(piece: int) -> None:
    with pytest.raises(UsageError, match="no piece"):
        CONTENTS.normal(1, piece)


@settings(max_examples=40, deadline=None)
@given(
    inputs=st.lists(NAMES, max_size=4), outputs=st.lists(NAMES, max_size=3), size=st.integers(0, 40_000), name=TENSORS
)
def test_what_is_written_as_bytes_is_what_protobuf_writes(
    inputs: list[str], outputs: list[str], size: int, name: str
) -> None:
    values = CONTENTS.normal(size, 11)
    fixed = onnx.helper.make_node("Gemm", [], [], alpha=0.5, domain="some.domain")
    graph = onnx.helper.make_graph([], "graph", [], [])
    model = onnx.helper.make_model(graph)
    expected = onnx.ModelProto()
    expected.CopyFrom(model)
    expected.graph.node.append(onnx.helper.make_node("Gemm", inputs, outputs, alpha=0.5, domain="some.domain"))
    expected.graph.initializer.append(numpy_helper.from_array(values, name))
    model.ClearField("graph")
    tensor = onnx.TensorProto(data_type=onnx.TensorProto.FLOAT, dims=values.shape)
    parts = [NodeTemplate(fixed).named(inputs, outputs), *TensorTemplate(tensor).filled(name, values)]
    written = onnx.load_model_from_string(joined(model, graph, parts))
    assert written == expected
