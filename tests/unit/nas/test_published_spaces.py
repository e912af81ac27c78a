"""Once-for-All on ResNet-50 and HAT's transformers: sizes, published networks, what predictors read of codes."""

import os
from pathlib import Path

import numpy as np
import pytest

from lutra.nas import spaces
from lutra.nas.spaces import HatSpace
from lutra.nas.spaces.hat import FEATURES
from lutra.networks.errors import UsageError
from lutra.predictors import AdditivePredictor

SHARED = Path(os.environ.get("LUTRA_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
HAT = SHARED / "transformers" / "hat_latency.parquet"


# -- Once-for-All on ResNet-50 ----------------------------------------------------------------------------


def test_size_of_once_for_all_on_resnet() -> None:
    """Stem: its middle convolution, 2 different widths, 3; a stage: 3 widths, 3 expansions for each of its blocks."""
    stages = [3 * sum(3 ** (least + more) for more in range(3)) for least in (2, 2, 4, 2)]
    assert spaces.build("ofa-resnet50@224").size == 2 * 2 * 3 * int(np.prod(stages)) == 1_639_276_531_308
    assert spaces.build("ofa-resnet50").size == 4 * 1_639_276_531_308


def test_resnet_50_d_is_in_the_space() -> None:
    """25,576,264 parameters, as timm and others count; 3, 4, 6 and 3 blocks, a quarter of the channels inside."""
    code = [1, 1, 2, 1, 2, 2, 1, *[2] * 4, *[1] * 18]
    network = spaces.build("ofa-resnet50@224").decode(code)
    assert network.params == 25_576_264
    assert sum(node.op.kind == "conv2d" for node in network) == 3 + 3 * 16 + 4


def test_widths_of_neighbouring_stages_are_chosen_apart() -> None:
    network = spaces.build("ofa-resnet50@64").decode([0, 0, 0, *[0] * 4, 0, 2, 1, 0, *[0] * 18])
    made = {node.name: node.op.outputs[0].shape[1] for node in network}
    assert made["stem.conv1"] == 24
    assert [made[f"stages.{s}.1.add"] for s in range(4)] == [168, 512, 816, 1328]
    assert "stem.conv2" not in made
    assert "stages.0.2.add" not in made


# -- HAT --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hat-wmt", "hat-iwslt"])
def test_size_of_hats_space(name: str) -> None:
    assert spaces.build(name).size == 2 * 2 * 3**6 * 2**6 * sum((3 * 2 * 2 * 3) ** d for d in range(1, 7))
    assert spaces.build(name).size == 417_846_678_672_384


def hat_code(ffn: list[int], heads: list[int], decoder: list[tuple[int, int, int, int]]) -> list[int]:
    """A code of 512 features on both sides; of a decoder layer: features, heads, heads to the encoder, layers."""
    widths, counts = (1024, 2048, 3072), (4, 8)
    encoder = [c for f, h in zip(ffn, heads, strict=True) for c in (widths.index(f), counts.index(h))]
    layers = [c for f, h, e, n in decoder for c in (widths.index(f), counts.index(h), counts.index(e), n - 1)]
    return [0, 0, len(decoder) - 1, *encoder, *layers, *[0] * (24 - len(layers))]


RASPBERRY_PI_3_5_S = hat_code([1024, 3072, 3072, 2048, 2048, 2048], [4, 8, 4, 4, 4, 8], [(3072, 8, 8, 1)])
"""HAT's fastest network for a Raspberry Pi and WMT'14 En-De (HAT_wmt14ende_raspberrypi@3.5s_bleu@25.8.yml)."""


def test_a_published_transformer_has_the_published_parameters() -> None:
    """25.22 M beside embeddings and output layer, the fewest of HAT's published networks."""
    network = spaces.build("hat-wmt").decode(RASPBERRY_PI_3_5_S)
    counted = sum(node.op.params for node in network if node.op.kind != "embedding" and node.name != "output")
    assert counted == 25_217_536
    assert network.params == counted + 32768 * 512  # one table, which the output shares


def test_features_are_what_hats_predictors_read() -> None:
    space = spaces.build("hat-wmt")
    assert isinstance(space, HatSpace)
    two = hat_code([1024] * 3 + [3072] * 3, [8] * 6, [(1024, 4, 8, 1), (3072, 8, 8, 3), (1024, 4, 4, 3)])
    found = space.features([RASPBERRY_PI_3_5_S, two])
    assert found.shape == (2, len(FEATURES))
    assert found[0] == pytest.approx([512, 6, 13312 / 6, 32 / 6, 512, 1, 3072, 8, 8, 1])
    assert found[1] == pytest.approx([512, 6, 2048, 8, 512, 3, 5120 / 3, 16 / 3, 20 / 3, 7 / 3])


def test_layers_that_are_not_there_do_not_count() -> None:
    space = spaces.build("hat-wmt")
    assert isinstance(space, HatSpace)
    other = [*RASPBERRY_PI_3_5_S[:-1], 2]
    assert (space.features(other) == space.features(RASPBERRY_PI_3_5_S)).all()
    assert space.decode(other).fingerprint == space.decode(RASPBERRY_PI_3_5_S).fingerprint


@pytest.mark.skipif(not HAT.exists(), reason="the measured data is not beside this checkout")
def test_predictors_of_measured_transformers_are_asked_by_codes() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(HAT)
    assert tuple(table.column_names[2:12]) == FEATURES
    rows = table.filter([r == "cpu_xeon" for r in table["hardware"].to_pylist()]).slice(0, 2000)
    measured = np.stack([rows[name].to_numpy().astype(float) for name in FEATURES], axis=1)
    latency_ms = rows["latency_mean_encoder"].to_numpy() + rows["latency_mean_decoder"].to_numpy()
    predictor = AdditivePredictor().fit(measured, latency_ms)
    space = spaces.build("hat-wmt")
    assert isinstance(space, HatSpace)
    asked = space.features(space.sample(200, np.random.default_rng(0)))
    assert (asked >= measured.min(axis=0)).all()
    assert (asked <= measured.max(axis=0)).all()
    predicted = predictor.predict(asked)
    assert latency_ms.min() < predicted.min() < predicted.max() < latency_ms.max()
    assert np.corrcoef(predicted, asked[:, 5])[0, 1] > 0.8  # the decoder's depth is what decides


def test_sentences_have_one_length() -> None:
    with pytest.raises(UsageError, match="sentences of one length"):
        spaces.build("hat-wmt@10,20")
    network = spaces.build("hat-wmt@10").decode(RASPBERRY_PI_3_5_S)
    assert network.types[network.outputs[0]].shape == (1, 10, 32768)


def test_a_decoder_attends_to_as_many_encoder_layers_as_it_says() -> None:
    code = hat_code([1024] * 6, [4] * 6, [(1024, 4, 4, n) for n in (1, 2, 3)])
    network = spaces.build("hat-wmt@10").decode(code)
    keys = [node.op.inputs[1].shape[2] for node in network if node.name.endswith("encoder_attn.sdpa")]
    assert keys == [10, 20, 30]


@pytest.mark.parametrize("arguments", [{"heads": (3,)}, {"tokens": 0}, {"ffn": (0,)}])
def test_what_is_no_transformer_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="no transformer"):
        HatSpace("hat", **{"ffn": (64,), "heads": (4,), "tokens": 5, **arguments})  # type: ignore[arg-type]
