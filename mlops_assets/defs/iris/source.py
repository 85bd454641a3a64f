"""Fisher's iris flowers, as scikit-learn ships them."""

from typing import TYPE_CHECKING

from mlops_assets.lifecycle.window import Window

if TYPE_CHECKING:
    import pandas as pd


def flowers(window: Window) -> "pd.DataFrame":
    """All 150 flowers: four lengths in cm, and the species 0 to 2.

    R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7
    (1936). The data set is fixed, so the window says nothing.

    Returns
    -------
    DataFrame of shape (150, 5)
    """
    from sklearn.datasets import load_iris

    frame = load_iris(as_frame=True).frame
    return frame.rename(columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_"))
