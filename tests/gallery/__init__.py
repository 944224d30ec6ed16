"""An app of a host, with photos of its own (tests/test_attached.py)."""
