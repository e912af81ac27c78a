"""A fingerprint decides what may be mixed, so equality, digest and differences must agree."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lutra.luts import Fingerprint
from lutra.luts.testing import make_fingerprint
from lutra.networks.errors import UsageError

names = st.text(min_size=1, max_size=8)
values = st.text(max_size=8) | st.integers() | st.booleans() | st.lists(st.text(max_size=5)).map(tuple)
sections = st.dictionaries(names, values, max_size=4)
fingerprints = st.builds(
    lambda kind, hardware, runtime, settings, code, notes, threads: Fingerprint.of(
        kind,
        hardware=hardware,
        runtime=runtime | {"name": "null"},
        settings=settings | {"precision": "float32", "threads": threads},
        code=code,
        notes=notes,
    ),
    st.sampled_from(("real", "simulated", "null")),
    sections,
    sections,
    sections,
    sections,
    sections,
    st.integers(1, 64),
)


@given(fingerprints)
def test_json_round_trip(fingerprint: Fingerprint) -> None:
    again = Fingerprint.from_json(fingerprint.to_json())
    assert again == fingerprint
    assert again.digest == fingerprint.digest
    assert again.notes == fingerprint.notes
    assert again.to_json() == fingerprint.to_json()


@given(fingerprints, fingerprints)
def test_differences_are_empty_exactly_for_equals(one: Fingerprint, two: Fingerprint) -> None:
    assert (one.differences(two) == []) == (one == two)
    assert len(one.differences(two)) == len(two.differences(one))
    assert one.differences(replace(one, notes=(("microcode", "0x1"),))) == []


def test_digest_is_stable_across_versions_and_order() -> None:
    one = Fingerprint.of(
        "real",
        hardware={"model": "Xeon", "isa": ("fma", "avx2")},
        runtime={"name": "onnxruntime", "version": "1.32.0"},
        settings={"threads": 1, "precision": "float32"},
    )
    two = Fingerprint.of(
        "real",
        settings={"precision": "float32", "threads": 1},
        runtime={"version": "1.32.0", "name": "onnxruntime"},
        hardware={"isa": ("avx2", "fma"), "model": "Xeon"},
        notes={"microcode": "0x2b"},
    )
    assert one == two
    assert hash(one) == hash(two)
    # Stored rows are found by this digest: a change here orphans every table there is.
    assert one.digest == "f98843cdca2b61c8a02a24c319aded1ae3fb899cba35162e1a5491e7b844a88a"


def test_true_is_not_one() -> None:
    assert make_fingerprint(x=True) != make_fingerprint(x=1)
    assert make_fingerprint(x=True).differences(make_fingerprint(x=1)) == ["x: True -> 1"]


def test_differences_read_well() -> None:
    before = make_fingerprint(threads=1, isa=("avx2", "sse4a"), version="a")
    after = make_fingerprint(threads=2, isa=("avx2", "avx512f"), version="b", new="yes")
    assert before.differences(after) == [
        "isa: +avx512f -sse4a",
        "hardware.version: a -> b",
        "threads: 1 -> 2",
        "new: (absent) -> yes",
    ]


def test_named_properties() -> None:
    fingerprint = make_fingerprint(threads=3)
    assert (fingerprint.runtime_name, fingerprint.precision, fingerprint.threads) == ("null", "float32", 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "imaginary"}, "device kind"),
        ({"hardware": {"clock_ghz": 2.6}}, r"hardware\.clock_ghz"),
        ({"hardware": {"isa": (1, 2)}}, r"hardware\.isa"),
        ({"hardware": {"": "x"}}, "has the name ''"),
        ({"runtime": {"version": "1"}}, "no runtime 'name'"),
        ({"settings": {"threads": 1}}, "no settings 'precision'"),
        ({"settings": {"precision": "float32"}}, "no settings 'threads'"),
        ({"settings": {"precision": "float32", "threads": 0}}, "threads is 0"),
        ({"settings": {"precision": "float32", "threads": True}}, "threads is True"),
        ({"settings": {"precision": "float32", "threads": "1"}}, "threads is '1'"),
        ({"hardware": (("a", 1), ("a", 2))}, "a name twice"),
    ],
)
def test_bad_values_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(make_fingerprint(), **change)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("[]", "not an object"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"kind": "real"}', "a fingerprint with sections: kind"),
        ('{"kind":"real","runtime":[],"settings":{}}', r"section runtime is \[\]"),
        (json.dumps(make_fingerprint().to_dict() | {"weather": {}}), "weather"),
    ],
)
def test_bad_json_is_refused(data: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Fingerprint.from_json(data)
