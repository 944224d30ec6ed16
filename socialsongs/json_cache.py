"""Values of the cache as JSON: a pickle would let whoever can write to Redis run code."""

from __future__ import annotations

import json
import logging
from typing import Any

logger = logging.getLogger(__name__)


class JsonSerializer:
    """A serializer for Django's Redis cache. JSON stores an integer as its digits, so that Redis can count with it."""

    def dumps(self, value: Any) -> str:
        return json.dumps(value, allow_nan=False)

    def loads(self, data: bytes) -> Any:
        """Return the value; None, as for a missing key, when it is not JSON."""
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            logger.warning("A value in the cache is not JSON and is ignored: %s", error)
            return None
