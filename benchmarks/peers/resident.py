"""The resident memory, in MB, of each further model with scikit-learn. Arguments: their folders."""

import os
import sys
from pathlib import Path

import numpy as np
from loading import load


def resident() -> float:
    """Of this process."""
    lines = Path(f"/proc/{os.getpid()}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


if __name__ == "__main__":
    models, sizes = [], []
    for folder in sys.argv[1:]:
        models.append(load(folder))
        models[-1].predict_proba(np.ones((1, models[-1].n_features_in_)))
        sizes.append(resident())
    print((sizes[-1] - sizes[0]) / (len(sizes) - 1))
