"""Photos of a host's own models: which rows count, how they are followed, and functions for the host's code."""
