"""One revision a file; a file that was released never changes."""
