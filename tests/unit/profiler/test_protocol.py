"""Frames between profiler and worker."""

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from lutra.profiler.protocol import receive, send

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(st.tuples(st.dictionaries(st.text(), _JSON), st.binary())))
def test_frames_come_back_in_order(frames: list[tuple[dict[str, object], bytes]]) -> None:
    stream = io.BytesIO()
    for message, blob in frames:
        send(stream, message, blob)
    stream.seek(0)
    for message, blob in frames:
        assert receive(stream) == (json.loads(json.dumps(message)), blob)
    assert receive(stream) is None


@given(st.binary(min_size=1), st.data())
def test_half_a_frame_is_the_end_of_the_stream(blob: bytes, data: st.DataObject) -> None:
    stream = io.BytesIO()
    send(stream, {"do": "it"}, blob)
    whole = stream.getvalue()
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert receive(io.BytesIO(whole[:cut])) is None
