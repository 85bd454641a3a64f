"""How well the sides can be told apart, in nats."""

from mlops_assets.lifecycle.drift.methods.base import DriftMethod, tenths


class JensenShannon(DriftMethod):
    """Jensen-Shannon distance in nats, over categories or tenths of the reference.

    (Endres and Schindelin, "A new metric for probability distributions", IEEE Trans. Inf. Theory
    49, 2003.)
    """

    name = "jensen_shannon"

    def distance(self, reference, live, pair):
        import numpy as np
        from scipy.special import rel_entr

        counts = tenths(reference, pair), tenths(live, pair)
        p, q = (c / c.sum(axis=1, keepdims=True) for c in counts)
        middle = (p + q) / 2
        divergence = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / 2
        return np.sqrt(np.maximum(divergence, 0))
