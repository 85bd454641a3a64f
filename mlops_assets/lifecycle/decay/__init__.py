"""Decay: what a version's answers turned out to be worth, against what its hold-out promised."""
