"""The addresses of the site, and ``/bare``: a constant, by the site's authentication, and with nothing else."""

import json
import os
from pathlib import Path
from typing import Any

from django.urls import include, path
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

constant: list[Any] = []


class Bare(APIView):
    renderer_classes = [JSONRenderer]

    def get(self, request: Request) -> Response:
        if not constant:
            constant.append(json.loads(Path(os.environ["BARE_ANSWER"]).read_text()))
        return Response(constant[0])


urlpatterns = [path("bare", Bare.as_view()), path("", include("socialsongs.site.urls"))]
