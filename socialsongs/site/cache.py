"""How the cache's values are written: as JSON, since whoever can write into Redis could run code by a pickle."""

from __future__ import annotations

import json
import logging
from typing import Any

logger = logging.getLogger(__name__)


class JsonSerializer:
    """For Django's Redis cache. A whole number is stored as its digits, which is JSON, too, so that Redis can count."""

    def dumps(self, value: Any) -> str:
        return json.dumps(value, allow_nan=False)

    def loads(self, data: bytes) -> Any:
        """None, like nothing stored, for what we did not write."""
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            logger.warning("A value in the cache is not JSON and is ignored: %s", error)
            return None
