"""What schemathesis cannot make from the schema: photos."""

import schemathesis
from hypothesis import strategies

from .. import photos

SMALL = [
    photos.written(photos.slope(), "JPEG"),
    photos.written(photos.slope(size=(64, 48)), "PNG"),
    photos.written(photos.slope(size=(48, 64)), "WEBP"),
    photos.heic(),
]

schemathesis.openapi.format("binary", strategies.sampled_from(SMALL))
