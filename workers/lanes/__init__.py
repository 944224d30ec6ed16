"""How the rows of a lane are worked on: claimed, computed, written, and found again when their worker died."""
