import os
from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "socialsongs.site.settings")
get_wsgi_application()  # sets Django up


class Request(WSGIRequest):
    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        """Django reads the query in whatever charset the body is said to have, and fails at those that are no text."""
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]  # the stubs do not know it
        except (LookupError, ValueError):
            self.encoding = "utf-8"  # whoever reads the body looks at its charset


class Handler(WSGIHandler):
    request_class = Request


application = Handler()
