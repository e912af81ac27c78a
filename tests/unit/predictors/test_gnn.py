"""Networks as graphs, and the graph network on them."""

from dataclasses import replace

import numpy as np
import pytest

from lutra.luts import Table
from lutra.networks import Network, NetworkBuilder, zoo
from lutra.networks.errors import NotCoveredError, UsageError
from lutra.networks.lowering import lower
from lutra.predictors import GnnPredictor, TablePredictor
from lutra.predictors._graphs import FEATURES, GraphBatch, graph_of
from lutra.predictors._lowering import Lowerer
from lutra.predictors._table_times import last_ops, op_times_ns
from lutra.predictors.metrics import mape
from lutra.predictors.testing import small_network, small_networks, synthetic_fingerprint, synthetic_table

torch = pytest.importorskip("torch")


def kinds_of(networks: list[Network]) -> list[str]:
    return sorted({node.op.kind for network in networks for node in network})


def test_a_graph_has_an_edge_for_each_value_that_is_read() -> None:
    network = small_network(8, 2)
    graph = graph_of(network, kinds_of([network]))
    places = {node.name: number for number, node in enumerate(network.nodes)}
    wanted = {(places[node.name], places[v]) for node in network for v in node.inputs if v in places}
    assert set(map(tuple, graph.edges.T.tolist())) == wanted
    assert graph.features.shape == (len(network), FEATURES)
    assert np.isfinite(graph.features).all()


def test_kinds_that_are_not_known_share_a_number() -> None:
    network = small_network(8, 1)
    assert set(graph_of(network, ["relu"]).kinds.tolist()) == {0, 1}


def test_graphs_side_by_side_keep_apart() -> None:
    networks = small_networks()
    graphs = [graph_of(network, kinds_of(networks)) for network in networks]
    batch = GraphBatch.of(graphs)
    assert batch.count == len(graphs)
    assert (batch.owners[batch.edges[0]] == batch.owners[batch.edges[1]]).all()
    assert np.bincount(batch.owners).tolist() == [len(network) for network in networks]


def test_a_prediction_does_not_depend_on_what_is_predicted_beside_it() -> None:
    networks = small_networks()
    predictor = GnnPredictor(width=8, layers=2, steps=30).fit(networks, [n.macs / 1e7 for n in networks])
    together = predictor.predict(networks)
    alone = [predictor.predict(network).latency_ms for network in networks]
    assert together == pytest.approx(alone, rel=1e-5)


def test_it_takes_networks_of_any_size_but_no_encodings() -> None:
    networks = small_networks()
    predictor = GnnPredictor(width=8, layers=1, steps=30).fit(networks, [n.macs / 1e7 for n in networks])
    prediction = predictor.predict(zoo.build("mobilenet_v2"))
    assert prediction.extrapolated
    assert np.isfinite(prediction.latency_ms)
    with pytest.raises(UsageError, match="not encodings"):
        predictor.fit(np.arange(20.0)[:, None], np.arange(1.0, 21.0))


def test_it_tells_networks_apart_that_differ_in_wiring_only() -> None:
    """The same ops in a row, and beside each other, have the same sums but not the same graph."""

    def network(deep: bool, width: int) -> Network:
        b = NetworkBuilder(f"{deep}{width}")
        x = b.op("conv2d", b.input((1, 3, 8, 8)), out_channels=width, kernel_size=3, padding=1)
        first = b.op("conv2d", x, out_channels=width, kernel_size=3, padding=1)
        second = b.op("conv2d", first if deep else x, out_channels=width, kernel_size=3, padding=1)
        return b.build(b.op("add", first, second))

    networks = [network(deep, width) for width in (8, 12, 16, 20, 24, 28) for deep in (False, True)]
    latencies = [n.macs / 1e6 * (2 if number % 2 else 1) for number, n in enumerate(networks)]
    predictor = GnnPredictor(width=16, layers=2, steps=150, learning_rate=1e-2).fit(networks, latencies)
    assert np.abs(predictor.predict(networks) / latencies - 1).max() < 0.25


def table_of(networks: list[Network]) -> Table:
    return synthetic_table([lower(network, "null") for network in networks], synthetic_fingerprint())


@pytest.mark.parametrize("runtime", ["native", "null", "onnxruntime"])
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet18"])
def test_each_kernel_ends_with_one_op_in_order(runtime: str, name: str) -> None:
    network = zoo.build(name)
    lowered = lower(network, runtime)
    places = last_ops(network, lowered.kernels)
    assert len(places) == len(lowered.kernels)
    assert min(places) >= 0
    assert places == sorted(places)
    with_macs = [place for place, kernel in zip(places, lowered.kernels, strict=True) if kernel.macs]
    assert len(set(with_macs)) == len(with_macs)
    assert with_macs[-1] == max(place for place, node in enumerate(network.nodes) if node.op.macs)


def test_what_a_table_says_of_the_ops_adds_up() -> None:
    networks = small_networks()
    table, lowerer = table_of(networks), Lowerer()
    for network in networks:
        times_ns = op_times_ns(network, table, lowerer)
        assert times_ns.shape == (len(network),)
        run_ns = table.constant("run").latency_ns or 0.0
        assert times_ns.sum() + run_ns == pytest.approx(1e6 * TablePredictor(table).predict(network).latency_ms)


def test_a_table_tells_what_costs_do_not() -> None:
    """Networks whose kernels take times that nothing about the ops foretells, but the table's rows."""
    networks = [zoo.build("mobilenet_v2", width_mult=width) for width in np.arange(0.3, 1.3, 0.07).round(2)]
    table = table_of(networks)
    odd = {key: 1 + 9 * (int(key[:4], 16) % 7 == 0) for row in table.rows("kernel") for key in [row.subject_key]}
    rows = [replace(row, samples_ns=row.samples_ns * odd.get(row.subject_key, 1)) for row in table]
    table = Table(table.fingerprint, rows, name="odd")
    wanted = TablePredictor(table).predict(networks)
    order = np.random.default_rng(0).permutation(len(networks))
    trained, tested = order[:10], order[10:]

    def error(predictor: GnnPredictor) -> float:
        predictor.fit([networks[i] for i in trained], wanted[trained])
        return mape(wanted[tested], predictor.predict([networks[i] for i in tested]))

    how = {"width": 8, "layers": 1, "steps": 120, "learning_rate": 2e-2}
    assert error(GnnPredictor(table=table, **how)) < 0.3 * error(GnnPredictor(**how))


def test_a_table_that_does_not_know_a_network_is_no_silent_guess() -> None:
    networks = small_networks()
    predictor = GnnPredictor(width=8, layers=1, steps=10, table=table_of(networks))
    predictor.fit(networks, [n.macs / 1e7 for n in networks])
    with pytest.raises(NotCoveredError, match="says nothing of"):
        predictor.predict(zoo.build("vit_tiny"))


@pytest.mark.parametrize(
    "params",
    [
        {"width": 0},
        {"layers": 0},
        {"steps": 1.5},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"weight_decay": -1.0},
    ],
)
def test_parameters_that_make_no_sense_are_refused(params: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(params))):
        GnnPredictor(**params).fit(small_networks(), [n.macs / 1e7 for n in small_networks()])
