"""Faults on purpose, on a copy: does each defence hold, and how soon."""
