"""From the analysis of photos, or from a text, to a list of suggestions."""
