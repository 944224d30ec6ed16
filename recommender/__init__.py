"""Image2song: songs for a photo through their lyrics (Li, Hu, Lu; ICCV 2017).

``tagger`` looks at photos, ``lyrics`` reads songs, ``matcher`` brings them together, ``model`` is the
whole for one release, ``release`` loads and saves it, ``rank`` orders a catalogue in memory.
"""
