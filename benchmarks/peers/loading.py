"""The model file as each peer that is asked with arrays loads it."""

from pathlib import Path

import skops.io


def load(folder: str):
    """The estimator of a version's folder, without the names that arrays have not."""
    file = Path(folder) / "model.skops"
    # The benchmark has just written it: there is nobody to distrust.
    model = skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    if hasattr(model, "feature_names_in_"):
        del model.feature_names_in_
    return model
