"""A bare view on the stand-alone site's server, to compare its API with."""
