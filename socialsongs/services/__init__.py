"""Writes. Views, admin, commands and workers change rows through these, with keyword arguments."""
