"""How the rows of a lane are worked off: claimed, computed, written, and found again when their worker died."""
