"""Image2song: songs for a photo through their lyrics (Li, Hu, Lu; ICCV 2017).

``tagger`` tags photos, ``lyrics`` encodes songs, ``matcher`` scores songs for photos; ``network`` is all three.
``model`` uses the network of one release, ``release`` loads and saves releases, ``rank`` ranks a catalogue in memory.
"""
