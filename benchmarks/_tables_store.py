"""A store of ten million rows: opening it, asking it, listing its tables, and writing its numbers out."""

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from lutra.luts import Fingerprint, Measurement, Store
from lutra.luts.exchange.numbers import write_numbers

from ._results import ROOT, Figure, note, repeat

DEVICES: Final = 4
SUBJECTS: Final = 2_500_000  # kernels that every device has a row of
QUERIES: Final = 2000
_SPACE_BYTES: Final = 20 << 30  # the store, its copies in SQLite's journal, and the Parquet files
_TEMPLATE: Final = f"{0:032x}"
_MODULE: Final = "benchmarks._tables_store"


def measure() -> dict[str, Any]:
    """Build the store in a temporary folder and measure; takes some minutes and 8 GB of disk."""
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < _SPACE_BYTES:
        raise OSError(f"{folder} has less than {_SPACE_BYTES >> 30} GiB of free space")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        return _measured(Path(place) / "store.db", SUBJECTS)


def _measured(path: Path, subjects: int) -> dict[str, Any]:
    note(f"store: building {DEVICES * subjects} rows")
    fill(path, subjects)
    with Store.open(path, read_only=True) as store:
        query_s = _query_s(store, subjects)
        listed = repeat(lambda: _timed(store.summaries), 3)
    opened = repeat(lambda: _timed(lambda: _open(path)), 5)
    note("store: exporting")
    export = _in_a_process_of_its_own("export", path)
    return {
        "rows": DEVICES * subjects,
        "store_bytes": path.stat().st_size,
        "open_s": vars(opened),
        "query_s": {"median": float(np.median(query_s)), "p99": float(np.quantile(query_s, 0.99))},
        "list_s": vars(listed),
        "export": export,
    }


def figures(found: dict[str, Any], command: str) -> list[Figure]:
    """The figures of a store of ten million rows."""
    store = f"{found['rows']} rows of {DEVICES} devices, {found['store_bytes'] / 2**30:.1f} GiB of SQLite"
    export = found["export"]

    def figure(name: str, value: float, unit: str, goal: float | None, protocol: str) -> Figure:
        return Figure(
            figure=name,
            value=value,
            unit=unit,
            goal=goal,
            better="lower",
            peer="",
            protocol=f"{protocol}; {store}",
            command=command,
        )

    return [
        figure("open_10m_s", found["open_s"]["median"], "s", 1.0, "open and list the devices, median of 5"),
        figure(
            "query_10m_us",
            1e6 * found["query_s"]["median"],
            "us",
            1000.0,
            f"one whole row with its samples by device"
            f" and key, through SQL; median of {QUERIES} random ones, p99 {1e6 * found['query_s']['p99']:.0f} us",
        ),
        figure("list_10m_s", found["list_s"]["median"], "s", None, "rows of each device by kind, median of 3"),
        figure(
            "export_10m_s",
            export["wall_s"],
            "s",
            60.0,
            f"numbers of all rows to {DEVICES} Parquet files, {export['bytes'] / 2**20:.0f} MiB, once; "
            f"{export['cpu_s']:.0f} s of processor time",
        ),
        figure(
            "export_peak_mib",
            export["peak_mib"],
            "MiB",
            512.0,
            "peak memory of the process that exports, libraries"
            f" included ({export['before_mib']:.0f} MiB before the first row)",
        ),
    ]


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _open(path: Path) -> None:
    with Store.open(path) as store:
        assert len(store.devices()) == DEVICES


def _query_s(store: Store, subjects: int) -> list[float]:
    """How long it takes to get a whole row, each time another one."""
    rng = np.random.default_rng(0)
    taken_s = []
    for number, device in rng.integers([1, 0], [subjects + 1, DEVICES], (QUERIES, 2)):
        start = time.perf_counter()
        row = store.get(f"device {device}", "kernel", f"{number:032x}")
        taken_s.append(time.perf_counter() - start)
        assert row is not None
    return taken_s


def _in_a_process_of_its_own(what: str, path: Path) -> dict[str, Any]:
    """Peak memory is known for a whole process only."""
    command = [sys.executable, "-m", _MODULE, what, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def export(path: Path) -> dict[str, Any]:
    """Write the numbers of all devices beside the store; what it took, and the memory of this process."""
    import pyarrow.parquet  # noqa: F401  # loaded before the clock starts

    before_mib = _peak_mib()
    start, cpu_start = time.perf_counter(), time.process_time()
    files = []
    with Store.open(path, read_only=True) as store:
        for number, record in enumerate(store.devices()):
            files.append(path.with_name(f"{number}.parquet"))
            write_numbers(files[-1], store, record)
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
    size = sum(file.stat().st_size for file in files)
    return {"wall_s": wall_s, "cpu_s": cpu_s, "bytes": size, "peak_mib": _peak_mib(), "before_mib": before_mib}


def _peak_mib() -> float:
    """Of this program; what getrusage tells includes the program that started it."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


# -- a store of many rows, written by SQL from one real row each -------------------------------------------


def fill(path: Path, subjects: int) -> None:
    """Make a store of ``DEVICES`` times ``subjects`` rows: a row as `Store.record` writes it, again and again."""
    with Store.open(path) as store:
        for number in range(DEVICES):
            store.register_device(_device(number), f"device {number}")
            store.record(_device(number), _row())
    with _quick(path) as connection:
        connection.execute("CREATE TEMP TABLE number (n INTEGER PRIMARY KEY)")
        connection.execute(
            "WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < ?)"
            " INSERT INTO number SELECT n FROM up",
            (subjects,),
        )
        columns = _columns(connection, "subject")
        values = [{"key": "printf('%032x', n)", "label": "label || n"}.get(name, name) for name in columns]
        connection.execute(
            f"INSERT INTO subject ({', '.join(columns)}) SELECT {', '.join(values)} FROM subject, number WHERE key = ?"
            " ORDER BY n",
            (_TEMPLATE,),
        )
        columns = _columns(connection, "measurement")
        values = [{"subject_id": "n + 1", "latency_ns": "latency_ns + n"}.get(name, name) for name in columns]
        for (device,) in connection.execute("SELECT id FROM device ORDER BY id").fetchall():
            connection.execute(
                f"INSERT INTO measurement ({', '.join(columns)}) SELECT {', '.join(values)} FROM measurement, number"
                " WHERE device_id = ? AND subject_id = 1 ORDER BY n",
                (device,),
            )
        connection.execute("UPDATE tally SET rows = rows + ?", (subjects,))


@contextmanager
def _quick(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that gives up safety for speed: the store is thrown away."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-500000")
        yield connection
    finally:
        connection.close()


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] != "id"]


def _device(number: int) -> Fingerprint:
    return Fingerprint.of(
        "simulated",
        hardware={"model": f"device {number}"},
        runtime={"name": "none"},
        settings={"precision": "float32", "threads": 1},
    )


def _row() -> Measurement:
    """A row like those of a campaign: 24 samples in eight rounds, and what is written down beside them."""
    rng = np.random.default_rng(0)
    conditions = {
        "governor": "performance",
        "load": [0.5, 0.25, 0.1],
        "others_share": 0.01,
        "priority": "real-time",
        "cache": "cold-weights",
    }
    return Measurement(
        subject_kind="kernel",
        subject_key=_TEMPLATE,
        label="Conv 3x3 64->64 + relu @56 ",
        samples_ns=1_000_000 + rng.integers(0, 50_000, 24),
        rounds=np.arange(24, dtype=np.int32) // 3,
        executions_per_sample=16,
        overhead_ns=350.0,
        rel_halfwidth=0.011,
        reference_ratio=1.01,
        conditions=conditions,
        versions={"lutra": "0.1.0", "numpy": "2.3.0", "onnxruntime": "1.23.0"},
        spec={"macs": 115_605_504, "bytes_moved": 1_755_136, "nodes": [{"op": "Conv", "attrs": {"group": 1}}]},
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"export": export}[sys.argv[1]](Path(sys.argv[2]))))
