"""Explanations: what a model's answers depend on, where it errs, what it changes."""
