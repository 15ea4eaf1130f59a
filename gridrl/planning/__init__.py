"""The model is known."""
