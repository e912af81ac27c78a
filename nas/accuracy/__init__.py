"""Estimating accuracy: data, training, and scores that need no training."""
