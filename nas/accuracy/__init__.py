"""Estimating accuracy: data, training, and scores that need no training.

`estimator_class` and `estimator_kinds` find estimators by name; `load_images` reads what they learn from. Nothing here
imports torch before an estimator is asked for.
"""

from ._registry import estimator_class, estimator_kinds, register
from .augmentation import Augmentation
from .base import AccuracyEstimator, Meaning, NoScoreError, Scores, ranks
from .data import ImageSet
from .data_sources import load_images
from .recipe import Recipe

__all__ = [
    "AccuracyEstimator",
    "Augmentation",
    "ImageSet",
    "Meaning",
    "NoScoreError",
    "Recipe",
    "Scores",
    "estimator_class",
    "estimator_kinds",
    "load_images",
    "ranks",
    "register",
]
