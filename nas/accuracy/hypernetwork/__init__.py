"""Weights predicted by a graph hypernetwork (arXiv:1810.05749, 2110.13100), and the accuracy of networks with them."""

from ._model import GraphHypernetwork, with_weights
from .estimator import Hypernetwork
from .training import RECIPE, Size, accuracy_of, train_hypernetwork

__all__ = [
    "RECIPE",
    "GraphHypernetwork",
    "Hypernetwork",
    "Size",
    "accuracy_of",
    "train_hypernetwork",
    "with_weights",
]
