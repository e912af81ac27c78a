"""Accuracy functions of one's own, for ``lutra search --accuracy``; both are made up, for trying things out.

Commands that name this file run it. A function takes one ``network`` (a `lutra.networks.Network`), or the ``codes`` of
many architectures at once, and gives a number for each, the larger the better.
"""

import math

import numpy as np

from lutra.networks import Network


def accuracy(network: Network) -> float:
    """Rises with the network's work and falls with its depth; yours would train it, or ask a super-net."""
    return 60 + 5 * math.log10(network.macs) - 0.05 * len(network.nodes)


GAINS = np.array([1.0, 1.6, 1.3, 2.0, 0.0])
"""What each choice of `my_space` adds: larger kernels and more channels more, nothing nothing."""


def accuracy_of_codes(codes: np.ndarray) -> np.ndarray:
    """For all architectures of `my_space` in a table of codes, int64 [n, d], without building a network."""
    return 60 + 5 * np.sqrt(GAINS[codes].sum(axis=1))
