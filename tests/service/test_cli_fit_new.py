"""``lutra fit --samples``: a new device from the networks that are chosen, measured whole, and from other devices."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lutra.luts import Store
from lutra.nas.spaces import SearchSpace
from lutra.networks import load_network
from lutra.networks.lowering import lower
from lutra.predictors import LatencyPredictor, TransferPredictor
from lutra.profiler import resolve_device
from lutra.profiler.runtimes.null import RUN_OVERHEAD_NS, null_latency_ns
from lutra.service.spaces import space_of

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "my_space.py"
NEW = ("fit", "-d", "null", "--samples", "8")
SOURCE = ("-d", "null", "--threads", "2")


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """The example, in the folder in which commands run."""
    shutil.copy(EXAMPLE, tmp_path)
    return EXAMPLE.name


@pytest.fixture
def space(mine: str) -> SearchSpace:
    return space_of(mine)


def null_ms(network) -> float:
    return (RUN_OVERHEAD_NS + sum(map(null_latency_ns, lower(network, "null").kernels))) / 1e6


def network_rows(store: Path) -> dict[str, str]:
    """When each whole network of the new device was measured, by its name; it has no kernel's row."""
    device = resolve_device("null")
    with Store.open(store, create=False, read_only=True) as opened:
        assert not opened.keys(device.fingerprint, "kernel")
        return {row.label: row.measured_at for row in opened.measurements(device.fingerprint, "network")}


def test_exactly_the_chosen_are_measured_and_all_others_predicted(lutra, mine, space, tmp_path):
    assert lutra("profile", "--space", mine, *SOURCE).code == 0
    done = lutra(*NEW, "--space", mine, "--json")
    assert done.code == 0, done.err
    assert "8 of 8 networks measured" in done.err
    measured = done.document["measured"]
    rows = network_rows(tmp_path / "rows.db")
    assert [one["network"] for one in measured] == [space.label([int(c) for c in one["code"]]) for one in measured]
    assert {one["network"] for one in measured} == rows.keys()
    assert len(rows) == 8
    for one in measured:
        assert one["latency_ms"] == pytest.approx(null_ms(space.decode([int(c) for c in one["code"]])))
    assert sum(share for name, share in done.document["shares"].items() if "2 threads" in name) > 0.3
    predictor = LatencyPredictor.load(tmp_path / "lutra-predictor", device=resolve_device("null").fingerprint)
    assert isinstance(predictor, TransferPredictor)
    codes = space.sample(40, np.random.default_rng(7))
    wanted = [null_ms(space.decode(code)) for code in codes]
    assert predictor.score(codes, wanted) > 0.9


def test_what_was_measured_is_not_measured_again(lutra, mine, tmp_path):
    assert lutra("profile", "--space", mine, *SOURCE, "--no-check").code == 0
    first = lutra(*NEW, "--space", mine, "--json").document
    when = network_rows(tmp_path / "rows.db")
    again = lutra(*NEW, "--space", mine, "--json", "--out", "again").document
    assert network_rows(tmp_path / "rows.db") == when
    assert again["measured"] == first["measured"]


def test_people_see_how_well_samples_foretell_each_other(lutra, mine):
    assert lutra("profile", "--space", mine, *SOURCE, "--no-check").code == 0
    done = lutra(*NEW, "--space", mine, "--sources", "null", "--out", "kept")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split() == ["network", "measured", "ms", "left", "out"]
    assert len(lines) == 8 + 4
    assert "each predicted from the others" in lines[9]
    assert lines[10].startswith("like null (null, float32, 2 threads, ")
    assert lines[11] == "fitted to 8 networks on null, kept in kept"
    assert lutra("predict", "--model", "kept", "--encoding", "0,1,2").code == 0


def test_three_samples_are_enough_but_cannot_judge_each_other(lutra, mine):
    assert lutra("profile", "--space", mine, *SOURCE, "--no-check").code == 0
    done = lutra("fit", "-d", "null", "--samples", "3", "--space", mine, "--json")
    assert done.code == 0, done.err
    assert [one["left_out_error_pct"] for one in done.document["measured"]] == [None] * 3
    done = lutra("fit", "-d", "null", "--samples", "3", "--space", mine, "--overwrite")
    assert "fitted to 3 networks" in done.out
    assert "left out" not in done.out
    assert lutra("fit", "-d", "null", "--samples", "2", "--space", mine, "--overwrite").code == 2


def test_a_file_can_name_codes_sources_and_costs(lutra, mine, space, tmp_path):
    codes = np.unique(space.sample(60, np.random.default_rng(0)), axis=0)
    lines = ["a,b,c,macs,old_us"]
    for code in codes:
        network = space.decode(code)
        lines.append(",".join(map(str, [*code, network.macs, 3000 * null_ms(network)])))
    (tmp_path / "offered.csv").write_text("\n".join(lines) + "\n")
    asked = (*NEW, "offered.csv", "--sources", "old_us", "--costs", "macs", "--json")
    document = lutra(*asked, "--space", mine).document
    assert document["shares"].keys() == {"old_us", "macs", "structure", "choices"}
    assert document["shares"]["old_us"] > 0.3
    told = lutra(*asked, "--out", "other")
    assert told.code == 2
    assert "column network: there is no such column" in told.err


def test_a_file_can_name_networks(lutra, space, tmp_path):
    lines = ["a,b,c,network"]
    for code in np.unique(space.sample(40, np.random.default_rng(0)), axis=0):
        name = space.label(code).replace("/", "-") + ".json"
        space.decode(code).save(tmp_path / name)
        lines.append(",".join([*map(str, code), name]))
    (tmp_path / "offered.csv").write_text("\n".join(lines) + "\n")
    done = lutra(*NEW, "offered.csv", "--samples", "14", "--json")
    assert done.code == 0, done.err
    for one in done.document["measured"]:
        name = one["network"].replace("/", "-") + ".json"
        assert one["latency_ms"] == pytest.approx(null_ms(load_network(tmp_path / name)))


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((*NEW,), 2, "nothing to choose networks from"),
        ((*NEW, "--space", "mine"), 2, "unknown search space 'mine'"),
        ((*NEW, "--space", "my_space.py"), 2, "8 samples for 13 features, and no source device"),
        ((*NEW, "--space", "my_space.py", "--sources", "phone"), 2, "unknown source device 'phone'"),
        ((*NEW, "--space", "my_space.py", "--costs", "macs"), 2, "name columns of a file"),
        ((*NEW, "--space", "my_space.py", "--models", "mlp"), 2, "--models does not apply with --samples"),
        ((*NEW, "absent.csv", "--space", "my_space.py"), 2, "cannot be read"),
        ((*NEW, "codes.csv", "--space", "my_space.py"), 2, "'mine'"),
        (("fit", "-d", "null", "--space", "my_space.py"), 2, "--space does not apply without --samples"),
        (("fit", "-d", "null", "--samples", "500", "--space", "my_space.py"), 2, "500 of 122 architectures"),
        (("fit", "-d", "phone", "--samples", "9", "--space", "my_space.py"), 2, "unknown device 'phone'"),
        (("fit", "-d", "stm32f746", "--samples", "20", "--space", "my_space.py"), 3, "simulated kernel by kernel"),
    ],
)
def test_bad_input_is_told_before_anything_is_measured(lutra, mine, tmp_path, arguments, code, told):
    del mine
    (tmp_path / "codes.csv").write_text("a,b\n0,1\n1,0\n")
    done = lutra(*arguments)
    assert told in done.err
    assert done.code == code
    assert "fix:" in done.err
    assert done.out == ""
    assert not (tmp_path / "rows.db").exists()


def test_a_source_that_knows_too_little_is_left_out_or_told(lutra, mine):
    assert lutra("profile", "mcunet_in0", *SOURCE, "--no-check").code == 0
    done = lutra(*NEW, "--space", mine)
    assert done.code == 2
    assert "left out: null (null, float32, 2 threads" in done.err
    assert "no source device" in done.err
    done = lutra(*NEW, "--space", mine, "--sources", "null")
    assert done.code == 3
    assert "has numbers for" in done.err
