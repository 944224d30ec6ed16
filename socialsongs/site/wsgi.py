import os
from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "socialsongs.site.settings")
get_wsgi_application()  # sets Django up


class AnyCharsetRequest(WSGIRequest):
    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        """Fall back to UTF-8 for the query when the charset of the body's header is unknown, at which Django fails."""
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]  # the stubs do not know it
        except (LookupError, ValueError):
            self.encoding = "utf-8"  # code that reads the body checks its charset


class Handler(WSGIHandler):
    request_class = AnyCharsetRequest


application = Handler()
