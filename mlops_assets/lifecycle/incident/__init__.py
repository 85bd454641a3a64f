"""What the person on call needs to know of a model, gathered from everything that was stored."""
