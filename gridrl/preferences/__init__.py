"""Nor is the reward known: learning from comparisons."""
