"""What to do about a window: leave, recalibrate, refit, or fix the data."""
