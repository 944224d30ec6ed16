"""The models that this process has loaded, which of them answers, and their forward passes."""
