"""The zoo against published configurations and counts; needs the measured data beside the repository."""

import csv
import json
import random
from pathlib import Path

import pytest

from lutra.networks import zoo

RELEASED = {
    "mcunet-10fps": "mcunet_in0",
    "mcunet-5fps": "mcunet_in1",
    "mcunet-256kb-1mb": "mcunet_in2",
    "mcunet-320kb-1mb": "mcunet_in3",
    "mcunet-512kb-2mb": "mcunet_in4",
    "mcunet-256kb-1mb-int4": "mcunet_256kb_int4",
    "mcunet-320kb-1mb-int4": "mcunet_320kb_int4",
    "mcunet-512kb-2mb-int4": "mcunet_512kb_int4",
    "proxyless-w0.25-r112": "mcunet_proxyless_w0.25",
    "proxyless-w0.3-r176": "mcunet_proxyless_w0.3",
    "mbv2-w0.35-r144": "mcunet_mbv2_w0.35",
}
"""Our names of the networks that MCUNet released."""


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def whole(millions: str) -> int:
    return round(float(millions) * 1e6)


def test_torchvision_parameters_and_macs(shared_data):
    """Every published weight of every architecture the zoo has, at the resolution it was evaluated at."""
    rows = [r for r in read_csv(shared_data / "baselines/torchvision_models.csv") if r["model"] in zoo.names()]
    assert len(rows) >= 35
    for row in rows:
        network = zoo.build(row["model"], resolution=int(row["crop"]))
        assert network.params == int(row["num_params"]), row["model"]
        assert round(network.macs / 1e9, 3) == pytest.approx(float(row["gmacs"]), abs=0.0011), row["model"]


def test_ofa_networks(shared_data):
    """All 50 specialised networks: parameters as printed, MACs as counted, 49 within 1 M of the print."""
    configs = json.loads((shared_data / "ofa/arch_configs.json").read_text())["ofa_specialized"]
    rows = read_csv(shared_data / "ofa/specialized_points.csv")
    assert len(rows) == len(configs) == 50
    near = 0
    for row in rows:
        network = zoo.from_config(configs[row["net_id"]])
        assert (network.macs, network.params) == (whole(row["counted_macs_M"]), whole(row["counted_params_M"]))
        assert round(network.params / 1e6, 1) == float(row["readme_params_M"]), row["net_id"]
        near += abs(network.macs / 1e6 - float(row["readme_macs_M"])) <= 1
    assert near == 49


def test_ofa_mobilenet_v3_sub_nets(shared_data):
    """Kernel, expansion and depth choices read off the released block lists give the same networks."""
    configs = json.loads((shared_data / "ofa/arch_configs.json").read_text())["ofa_specialized"]
    found = [c for c in configs.values() if c["family"] == "MobileNetV3"]
    assert len(found) == 25 + 9
    for config in found:
        ks, e, d = [], [], []
        stages: list[list[dict]] = []
        for block in config["blocks"][1:]:
            if not block["skip"]:
                stages.append([])
            stages[-1].append(block)
        for stage in stages:
            d.append(len(stage))
            ks += [block["k"] for block in stage] + [3] * (4 - len(stage))
            e += [block["e"] for block in stage] + [3] * (4 - len(stage))
        width = 1.2 if config["blocks"][1]["cout"] == 32 else 1.0
        size = config["image_size"]
        network = zoo.build("ofa_mobilenet_v3", ks=ks, e=e, d=d, width_mult=width, resolution=size)
        assert network.fingerprint == zoo.from_config(config).fingerprint


@pytest.mark.parametrize("name", ["proxyless_mobile", "proxyless_cpu", "proxyless_gpu", "proxyless_mobile_14"])
def test_proxyless_configurations(shared_data, name):
    config = json.loads((shared_data / "ofa/arch_configs.json").read_text())["proxyless"][name]
    assert zoo.build(name).fingerprint == zoo.from_config(config).fingerprint


@pytest.mark.parametrize(("released", "name"), RELEASED.items())
def test_mcunet_configurations_and_counts(shared_data, released, name):
    config = json.loads((shared_data / "mcunet/arch_configs.json").read_text())[f"{released}_imagenet"]
    (row,) = (r for r in read_csv(shared_data / "mcunet/published_counts.csv") if r["name"] == f"{released}_imagenet")
    network = zoo.build(name)
    assert network.fingerprint == zoo.from_config(config).fingerprint
    assert (network.macs, network.params) == (whole(row["macs_M_counted"]), whole(row["params_M_counted"]))
    peak_kb = network.peak_activation_bytes(dtype=f"int{row['bits']}") / 1024
    assert peak_kb == float(row["peak_act_kB_counted"])
    if row["act_kB"]:
        assert peak_kb == pytest.approx(float(row["act_kB"]), abs=0.5)


def nasbench201_rows(shared_data: Path) -> list[dict[str, object]]:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow reads the benchmark's file")
    columns = ["nb201_index", "arch_str", "macs_M_cifar10", "params_M_cifar10"]
    rows: list[dict[str, object]] = parquet.read_table(
        shared_data / "nasbench201/architectures.parquet", columns=columns
    ).to_pylist()
    return rows


def check_nasbench201(row: dict[str, object]) -> None:
    network = zoo.build(f"nasbench201/{row['nb201_index']}")
    wanted = (whole(str(row["macs_M_cifar10"])), whole(str(row["params_M_cifar10"])))
    assert (network.macs, network.params) == wanted, row


def test_nasbench201_index_order(shared_data):
    rows = nasbench201_rows(shared_data)
    assert len(rows) == 15625
    assert all(zoo.architecture_of(int(str(row["nb201_index"]))) == row["arch_str"] for row in rows)


def test_300_nasbench201_cells(shared_data):
    for row in random.Random(0).sample(nasbench201_rows(shared_data), 300):
        check_nasbench201(row)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_all_nasbench201_cells(shared_data):
    for row in nasbench201_rows(shared_data):
        check_nasbench201(row)
