"""The releases that this process has loaded, which of them serve, and the passes of their networks."""
