"""The stand-alone deployment: settings, URLs, and the servers that a bare machine lacks."""
