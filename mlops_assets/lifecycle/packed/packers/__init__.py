"""From a fitted estimator to arrays, at training. The only part that knows scikit-learn."""

from mlops_assets.lifecycle.packed.packers.pack import pack

__all__ = ["pack"]
