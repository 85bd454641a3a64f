"""``make demo`` and ``make ui``: the whole life of three models, on the real processes."""
