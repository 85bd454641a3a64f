"""Drift: live traffic of a window against what the version was judged on."""
