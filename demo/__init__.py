"""``make demo``, ``make demo-all`` and ``make ui``: models' whole lives, on the real processes."""
