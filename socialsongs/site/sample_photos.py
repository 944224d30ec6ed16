"""Sample photos to try the page with, where scikit-image or scikit-learn are installed. Neither is imported."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from ..services.thumbnails import shrunk
from ..web.expired_login import login_needed
from ..web.views import home

FILES = {
    "coffee": ("skimage", "data/coffee.png"),
    "cat": ("skimage", "data/chelsea.png"),
    "astronaut": ("skimage", "data/astronaut.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "stars": ("skimage", "data/hubble_deep_field.jpg"),
    "temple": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
}
# Side of a thumbnail in pixels: as the page shows it, and for screens with twice the pixels.
SIDES = (72, 144)


@cache
def sample_photos() -> dict[str, Path]:
    """Return the files of the installed sample photos, by name."""
    installed = {}
    for name, (package, file) in FILES.items():
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            if (path := Path(folder) / file).is_file():
                installed[name] = path
    return installed


def _path(name: str) -> Path:
    try:
        return sample_photos()[name]
    except KeyError:
        raise Http404(f"There is no sample photo {name!r}.") from None


@cache
def _thumbnail(path: Path, side: int) -> bytes:
    return shrunk(path, side)


@login_needed
def home_with_samples(request: HttpRequest) -> HttpResponseBase:
    """The home page; a form that names a sample photo uploads it."""
    if name := request.POST.get("sample"):
        path = _path(name)
        request.FILES.setlist("photos", [SimpleUploadedFile(path.name, path.read_bytes())])
    return home(request)


@login_needed
@require_GET
def sample_photo(request: HttpRequest, name: str) -> HttpResponseBase:
    """The photo, or with ``?side=`` a thumbnail of it."""
    path, side = _path(name), request.GET.get("side", "")
    if side in map(str, SIDES):
        response: HttpResponseBase = HttpResponse(_thumbnail(path, int(side)), content_type="image/webp")
    else:
        response = FileResponse(path.open("rb"))
    response["Cache-Control"] = "private, max-age=86400"
    return response
