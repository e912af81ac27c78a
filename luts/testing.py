"""For tests of tables and stores: sample rows, and the contract that every store keeps.

A store of one's own is tested by subclassing `StoreContract` in a test module and overriding the fixture
``open_store``. Needs pytest.
"""

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest

from ..networks.errors import StoreLockedError, UnknownNameError, UsageError
from ..networks.lowering import Kernel
from ..networks.lowering.kernel import Constant, KernelNode
from ..networks.ops import TensorType
from .fingerprint import Fingerprint
from .measurement import Measurement
from .normalisation import Normalisation
from .store import Store

OpenStore: TypeAlias = Callable[[], Store]


def make_fingerprint(*, threads: int = 1, **hardware: Any) -> Fingerprint:
    """Return a fingerprint of a device that does not exist."""
    sample: dict[str, Any] = {"model": "Sample CPU", "isa": ("avx2", "fma"), "logical_cores": 2}
    return Fingerprint.of(
        "null",
        hardware=sample | hardware,
        runtime={"name": "null", "version": "1.0"},
        settings={"precision": "float32", "threads": threads},
        code={"protocol": 1},
    )


def make_measurement(key: str = "k0", **changes: Any) -> Measurement:
    """Return a measurement of a kernel with 24 samples in four rounds, with any field changed."""
    fields: dict[str, Any] = {
        "subject_kind": "kernel",
        "subject_key": key,
        "label": f"Kernel {key}",
        "samples_ns": np.arange(24, dtype=np.int64) * 1000 + 1_000_000,
        "rounds": np.arange(24, dtype=np.int32) // 6,
        "executions_per_sample": 4,
        "overhead_ns": 250.5,
        "rel_halfwidth": 0.015,
        "reference_ratio": 1.02,
        "flags": ("load",),
        "conditions": {"load": [0.5, 0.25], "governor": None},
        "versions": {"numpy": "2.0"},
        "measured_at": "2026-01-31T12:00:00.000Z",
        "spec": {"macs": 1000, "bytes_moved": 2000, "nodes": [{"op": "Conv"}]},
    }
    return Measurement(**(fields | changes))


def make_normalised(key: str = "k0", **changes: Any) -> Measurement:
    """Return the measurement of `make_measurement` on a machine that was now slow, now fast."""
    slow = np.arange(24) % 2
    normalisation = Normalisation(
        compute_ns=100_000 + 40_000 * slow,
        memory_ns=200_000 + 1_000 * slow,
        nominal_compute_ns=101_000.5,
        nominal_memory_ns=200_000.0,
        compute_elasticity=0.9,
        memory_elasticity=0.05,
    )
    return make_measurement(key, **({"normalisation": normalisation} | changes))


def make_failed(key: str = "bad", reason: str = "the runtime crashed") -> Measurement:
    """Return a failed measurement of a kernel."""
    return Measurement(subject_kind="kernel", subject_key=key, label=key, status="failed", reason=reason)


def make_conv(
    channels_in: int, channels_out: int, size: int, *, window: int = 1, activation: str = "", batch: int = 1
) -> Kernel:
    """Return a dense convolution of square images as a kernel of no runtime in particular."""
    attrs = (("activation", activation), ("group", 1), ("kernel_shape", (window, window)))
    image = TensorType((batch, channels_in, size, size), "float32")
    weight = TensorType((channels_out, channels_in, window, window), "float32")
    made = TensorType((batch, channels_out, size, size), "float32")
    return Kernel(
        runtime="null",
        nodes=(KernelNode("Conv", "", attrs, ("x", "weight"), ("y",)),),
        inputs=(("x", image),),
        constants=(("weight", Constant(weight)),),
        outputs=(("y", made),),
        macs=batch * size**2 * channels_in * channels_out * window**2,
        bytes_moved=image.nbytes + weight.nbytes + made.nbytes,
        label=f"Conv {window}x{window} {channels_in}->{channels_out} @{size}",
    )


def conv_ns(kernel: Kernel) -> float:
    """Return a made-up latency of `make_conv` as real ones are: channels come in tiles of 32, large tensors cost more.

    12 MACs a ns at full tiles, 8 bytes a ns in the near cache and 5 beyond, 1 us for the call, and 15 % for an
    activation.
    """
    channels = kernel.outputs[0][1].shape[1]
    compute = kernel.macs / channels * (-(-channels // 32) * 32) / 12
    memory = kernel.bytes_moved / (8 if kernel.bytes_moved < 1 << 20 else 5)
    activated = 1.15 if dict(kernel.nodes[0].attrs)["activation"] else 1.0
    return (1000 + compute + memory) * activated


def conv_row(kernel: Kernel, latency_ns: float | None = None, **changes: Any) -> Measurement:
    """Return the row of a kernel with a latency, `conv_ns` if omitted."""
    executions = 1000
    whole_ns = round((conv_ns(kernel) if latency_ns is None else latency_ns) * executions)
    fields: dict[str, Any] = {
        "subject_kind": "kernel",
        "subject_key": kernel.key,
        "label": kernel.label,
        "samples_ns": np.array([whole_ns], np.int64),
        "executions_per_sample": executions,
        "rel_halfwidth": 0.01,
        "measured_at": "2026-01-31T12:00:00.000Z",
        "spec": kernel.to_json(),
    }
    return Measurement(**(fields | changes))


class StoreContract:
    """What every store does. Subclasses override ``open_store``."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Return a function that opens one and the same store at each call, empty at the first."""
        raise TypeError("override the fixture open_store")

    def test_device_is_registered_once(self, open_store: OpenStore) -> None:
        with open_store() as store:
            first = store.register_device(make_fingerprint(), "host")
            again = store.register_device(make_fingerprint(), "renamed")
            assert first.digest == again.digest == make_fingerprint().digest
            assert [(item.name, item.created_at) for item in store.devices()] == [("renamed", first.created_at)]

    def test_name_means_the_device_used_last(self, open_store: OpenStore) -> None:
        with open_store() as store:
            one = store.register_device(make_fingerprint(threads=1), "host")
            time.sleep(0.002)  # moments are kept to the millisecond
            two = store.register_device(make_fingerprint(threads=2), "host")
            assert store.device("host").digest == two.digest
            time.sleep(0.002)
            store.register_device(make_fingerprint(threads=1), "host")
            assert store.device("host").digest == one.digest
            assert [item.digest for item in store.devices()] == [one.digest, two.digest]

    def test_device_is_found_by_name_digest_prefix_and_fingerprint(self, open_store: OpenStore) -> None:
        with open_store() as store:
            record = store.register_device(make_fingerprint(), "host")
            for form in ("host", record.digest, record.digest[:8], record.fingerprint, record):
                assert store.device(form) == record
            with pytest.raises(UnknownNameError, match="unknown device"):
                store.device(record.digest[:3])

    def test_unknown_device_names_the_known(self, open_store: OpenStore) -> None:
        with open_store() as store:
            store.register_device(make_fingerprint(), "pixel3")
            with pytest.raises(UnknownNameError) as caught:
                store.record("pixle3", make_measurement())
            assert caught.value.known == ("pixel3",)
            with pytest.raises(UnknownNameError):
                store.get(make_fingerprint(threads=2), "kernel", "k0")

    @pytest.mark.parametrize("name", ["", "  "])
    def test_device_needs_a_name(self, open_store: OpenStore, name: str) -> None:
        with open_store() as store, pytest.raises(UsageError, match="device name"):
            store.register_device(make_fingerprint(), name)

    def test_row_comes_back_whole_after_reopening(self, open_store: OpenStore) -> None:
        rows = [
            make_measurement("ok"),
            make_measurement("noisy", status="noisy", flags=("wide", "steal")),
            make_failed("failed"),
            make_measurement("bare", rel_halfwidth=None, reference_ratio=None, flags=(), spec={}, conditions={}),
            make_measurement("net", subject_kind="network", spec={"predicted_ns": 1.5e6}),
            make_measurement("run", subject_kind="constant"),
            make_normalised("normalised"),
        ]
        with open_store() as store:
            store.register_device(make_fingerprint(), "host")
            for row in rows:
                assert store.record("host", row)
        with open_store() as store:
            assert list(store.measurements("host")) == rows
            for row in rows:
                assert store.get("host", row.subject_kind, row.subject_key) == row
            assert store.get("host", "kernel", "absent") is None
            by_subject = {(row.subject_kind, row.subject_key): row for row in rows}
            assert store.get_many("host", [*by_subject, ("kernel", "absent")]) == by_subject
            assert store.check().ok
            assert store.check().rows == len(rows)

    def test_earlier_row_is_kept_unless_replaced(self, open_store: OpenStore) -> None:
        early, late = make_measurement(overhead_ns=1.0), make_measurement(overhead_ns=2.0, label="new", spec={"a": 1})
        with open_store() as store:
            store.register_device(make_fingerprint(), "host")
            assert store.record("host", early)
            assert not store.record("host", late)
            assert store.get("host", "kernel", "k0") == early
            assert store.record("host", late, replace=True)
            assert list(store.measurements("host")) == [late]

    def test_keys_and_has_choose_by_kind_and_status(self, open_store: OpenStore) -> None:
        with open_store() as store:
            store.register_device(make_fingerprint(), "host")
            for row in (
                make_measurement("a"),
                make_measurement("b", status="noisy"),
                make_failed("c"),
                make_measurement("a", subject_kind="network"),
            ):
                store.record("host", row)
            assert store.keys("host", "kernel") == {"a", "b", "c"}
            assert store.keys("host", "kernel", statuses=("ok", "noisy")) == {"a", "b"}
            assert store.keys("host", "network") == {"a"}
            assert store.keys("host", "constant") == set()
            assert store.keys("host", "kernel", statuses=()) == set()
            assert store.has("host", "kernel", "c")
            assert not store.has("host", "kernel", "c", statuses=("ok",))
            assert not store.has("host", "network", "b")

    def test_devices_do_not_disturb_each_other(self, open_store: OpenStore) -> None:
        one, two = make_fingerprint(threads=1), make_fingerprint(threads=2)
        with open_store() as store:
            store.register_device(one, "one")
            store.register_device(two, "two")
            mine = make_measurement(label="mine", spec={"macs": 1})
            yours = make_measurement(label="yours", spec={"macs": 2}, overhead_ns=9.0)
            store.record(one, mine)
            store.record(two, yours)
            store.record(two, make_measurement("other"))
            assert (store.get(one, "kernel", "k0"), store.get(two, "kernel", "k0")) == (mine, yours)
            assert store.delete_device(two) == 2
            assert [item.name for item in store.devices()] == ["one"]
            assert list(store.measurements(one)) == [mine]
            store.register_device(two, "two")
            assert list(store.measurements(two)) == []
            assert store.check().ok

    def test_many_rows_stream_in_order(self, open_store: OpenStore) -> None:
        keys = [f"k{number}" for number in range(600)]
        with open_store() as store:
            store.register_device(make_fingerprint(), "host")
            for key in keys:
                store.record("host", make_measurement(key, samples_ns=[5], rounds=[0]))
            store.record("host", make_measurement("net", subject_kind="network"))
            seen = []
            for row in store.measurements("host", "kernel"):
                seen.append(row.subject_key)
                if len(seen) == 1:  # writing while reading neither blocks nor repeats rows
                    store.record("host", make_measurement("late", subject_kind="constant"))
            assert seen == keys
            assert len(store.table("host")) == 602

    def test_pages_and_counts_of_kinds(self, open_store: OpenStore) -> None:
        with open_store() as store:
            store.register_device(make_fingerprint(threads=1), "host")
            store.register_device(make_fingerprint(threads=2), "other")
            keys = [f"k{number:03d}" for number in range(90)]
            store.record_many("other", [make_measurement(f"n{n}", subject_kind="network") for n in range(30)])
            store.record_many("host", [make_measurement(key, samples_ns=[5], rounds=[0]) for key in keys])
            store.record_many("host", [make_measurement(f"n{n}", subject_kind="network") for n in (5, 25, 1)])
            store.record_many("host", [make_measurement(keys[3]), make_failed("late")], replace=True)
            assert not store.record("host", make_measurement(keys[4]))
            counts = {summary.device.name: summary.counts for summary in store.summaries()}
            assert counts == {"host": {"kernel": 91, "network": 3}, "other": {"network": 30}}
            whole = [(row.subject_kind, row.subject_key) for row in store.measurements("host")]
            assert len(whole) == 94
            for kind in (None, "kernel", "network", "constant"):
                wanted = [subject for subject in whole if kind in (None, subject[0])]
                assert [(r.subject_kind, r.subject_key) for r in store.measurements("host", kind)] == wanted
                assert [(r.subject_kind, r.subject_key) for r in store.numbers("host", kind)] == wanted
                found: list[tuple[str, str]] = []
                after: int | None = 0
                while after is not None:
                    page, after = store.number_page("host", kind, after=after, limit=7)
                    assert len(page) == min(7, len(wanted) - len(found))
                    found += [(row.subject_kind, row.subject_key) for row in page]
                assert found == wanted
            assert store.delete_device("other") == 30
            assert [summary.counts for summary in store.summaries()] == [{"kernel": 91, "network": 3}]
            assert store.check().ok

    def test_marks_tell_whether_something_has_changed(self, open_store: OpenStore) -> None:
        with open_store() as store, open_store() as another:
            store.register_device(make_fingerprint(), "host")
            changes, contents = [store.change_mark()], [store.content_mark("host")]
            assert store.change_mark() == changes[0]
            for write in (
                lambda: store.record("host", make_measurement()),
                lambda: another.record("host", make_measurement("k1")),
                lambda: another.record("host", make_failed("k1"), replace=True),
                lambda: store.set_document("host", "note", {"x": 1}),
                lambda: another.set_document("host", "note", {"x": 2}),
            ):
                write()
                changes.append(store.change_mark())
                contents.append(store.content_mark("host"))
                assert another.content_mark("host") == contents[-1]
            assert all(before != after for before, after in itertools.pairwise(changes))
            assert len(set(contents)) == len(contents)
            store.register_device(make_fingerprint(), "host")
            assert store.content_mark("host") == contents[-1]

    def test_table_carries_fingerprint_and_rows(self, open_store: OpenStore) -> None:
        with open_store() as store:
            store.register_device(make_fingerprint(), "host")
            store.record("host", make_measurement())
            table = store.table("host")
        assert (table.name, table.fingerprint) == ("host", make_fingerprint())
        assert table.lookup("k0").row == make_measurement()

    def test_threads_write_each_row_once(self, open_store: OpenStore) -> None:
        keys = [f"k{number}" for number in range(12)]
        written: list[str] = []
        with open_store() as store:
            store.register_device(make_fingerprint(), "host")

            def write() -> None:
                written.extend(key for key in keys if store.record("host", make_measurement(key)))

            threads = [threading.Thread(target=write) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(written) == sorted(keys)
            assert store.keys("host", "kernel") == set(keys)

    def test_lease_excludes_until_given_back(self, open_store: OpenStore) -> None:
        with open_store() as store, open_store() as other:
            store.register_device(make_fingerprint(threads=1), "host")
            store.register_device(make_fingerprint(threads=2), "free")
            with store.lease("host") as lease:
                lease.require()
                with pytest.raises(StoreLockedError, match=r"host is being profiled by process \d+ on"):
                    other.lease("host").__enter__()
                with other.lease("free"):
                    pass
            with other.lease("host"):
                pass

    def test_lease_is_given_back_when_the_block_fails(self, open_store: OpenStore) -> None:
        with open_store() as store:
            store.register_device(make_fingerprint(), "host")
            with pytest.raises(ZeroDivisionError), store.lease("host"):
                raise ZeroDivisionError
            with store.lease("host"):
                pass

    def test_silent_lease_is_taken_over_and_lost(self, open_store: OpenStore) -> None:
        with open_store() as store, open_store() as other:
            store.register_device(make_fingerprint(), "host")
            with store.lease("host", stale_after_s=3600) as silent:  # beats far too seldom for the next
                time.sleep(0.01)
                with other.lease("host", stale_after_s=0.002) as taken:
                    silent.beat()
                    with pytest.raises(StoreLockedError, match="was lost"):
                        silent.require()
                    taken.require()
            with store.lease("host"):
                pass

    def test_heartbeat_keeps_a_lease(self, open_store: OpenStore) -> None:
        with open_store() as store, open_store() as other:
            store.register_device(make_fingerprint(), "host")
            with store.lease("host", stale_after_s=2.0):
                time.sleep(2.5)
                with pytest.raises(StoreLockedError):
                    other.lease("host", stale_after_s=2.0).__enter__()
