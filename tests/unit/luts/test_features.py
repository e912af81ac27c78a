"""Kinds and sizes of kernels."""

from dataclasses import replace

import numpy as np
import pytest

from lutra.luts.features import VECTOR, describe_family, log_rounded, shape_of, size_matrix
from lutra.luts.testing import make_conv
from lutra.networks import zoo
from lutra.networks.lowering import Kernel, lower

RUNTIMES = ("native", "onednn", "xnnpack")


def kernels_of(name: str, runtime: str, resolution: int) -> list[Kernel]:
    return list(lower(zoo.build(name, resolution=resolution), runtime).distinct.values())


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_another_resolution_brings_no_new_kinds(runtime: str, name: str) -> None:
    large, small = (map(shape_of, kernels_of(name, runtime, resolution)) for resolution in (224, 160))
    assert {shape.kind for shape in large} == {shape.kind for shape in small}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_kernels_of_a_family_have_sizes_in_line(runtime: str) -> None:
    families: dict[str, set[int]] = {}
    for name in ("mobilenet_v3_small", "shufflenet_v2_x1_0", "vit_tiny"):
        for shape in map(shape_of, kernels_of(name, runtime, 224)):
            families.setdefault(shape.family, set()).add(len(shape.sizes))
            assert shape.kind.startswith(shape.family)
    assert len(families) > 5
    assert all(len(lengths) == 1 for lengths in families.values())


def test_sizes_macs_and_bytes_are_those_of_the_kernel() -> None:
    kernel = make_conv(8, 24, 14, window=3)
    shape = shape_of(kernel)
    assert shape.sizes == (1, 8, 14, 14, 24, 8, 3, 3, 1, 24, 14, 14)
    assert (shape.macs, shape.weight_bytes, shape.bytes_moved) == (
        kernel.macs,
        kernel.weight_bytes,
        kernel.bytes_moved,
    )
    assert size_matrix([shape, shape]).shape == (2, 12)
    assert np.allclose(np.exp(size_matrix([shape])[0]), shape.sizes)


def test_names_of_tensors_do_not_matter_but_wiring_does() -> None:
    kernel = make_conv(8, 24, 14)
    node = kernel.nodes[0]
    renamed = replace(
        kernel,
        nodes=(replace(node, inputs=("a", "b"), outputs=("c",)),),
        inputs=(("a", kernel.inputs[0][1]),),
        constants=(("b", kernel.constants[0][1]),),
        outputs=(("c", kernel.outputs[0][1]),),
    )
    assert shape_of(renamed) == shape_of(kernel)
    residual = replace(kernel, nodes=(replace(node, inputs=("x", "weight", "x")),))
    assert shape_of(residual).family != shape_of(kernel).family


def test_what_chooses_the_algorithm_makes_a_kind_and_the_ops_a_family() -> None:
    plain, activated, wide = (
        make_conv(8, 24, 14),
        make_conv(8, 24, 14, activation="Relu"),
        make_conv(8, 24, 14, window=3),
    )
    assert len({shape_of(kernel).family for kernel in (plain, activated, wide)}) == 1
    assert len({shape_of(kernel).kind for kernel in (plain, activated, wide)}) == 3
    assert shape_of(make_conv(64, 7, 28)).kind == shape_of(plain).kind


def test_groups_tell_families_apart() -> None:
    def grouped(groups: int) -> str:
        kernel = make_conv(32, 32, 14)
        node = kernel.nodes[0]
        attrs = tuple((name, groups if name == "group" else value) for name, value in node.attrs)
        return shape_of(replace(kernel, nodes=(replace(node, attrs=attrs),))).family

    assert len({grouped(1), grouped(4), grouped(32)}) == 3
    assert grouped(4) == grouped(8)


def test_numbers_in_texts_are_sizes_and_do_not_make_kinds() -> None:
    def viewed(text: str) -> str:
        kernel = make_conv(32, 32, 14)
        return shape_of(replace(kernel, nodes=(replace(kernel.nodes[0], attrs=(("arguments", text),)),))).kind

    assert viewed("[[1, 768, 14]]") == viewed("[[1, 192, 28]]")
    assert viewed("[[1, 768, 1]]") != viewed("[[2, 768, 1]]")


def test_people_see_the_chain_of_ops() -> None:
    assert describe_family(make_conv(8, 24, 14, window=3, activation="Relu")) == "Conv"
    chain = make_conv(8, 24, 14)
    assert describe_family(replace(chain, nodes=chain.nodes * 6)) == "Conv + Conv + Conv + ... Conv (6 ops)"


def test_rounding_up_costs_what_is_not_full() -> None:
    sizes = np.log(np.array([[8.0, 9.0, 16.0, 1.0]]))
    assert np.exp(log_rounded(sizes, VECTOR))[0] == pytest.approx([1, 16 / 9, 1, 8])
