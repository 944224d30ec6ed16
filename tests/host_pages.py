"""URLs of a host whose own page shows songs: the plugin stands under a prefix, and the page has styles of its own."""

from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import include, path

from socialsongs.models import Post

from .gallery.models import Picture

PAGE = """{% load socialsongs %}<!doctype html>
<html lang="en"><head><title>Photos of the host</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/host.css">
{% if songs %}{% socialsongs_assets %}{% endif %}
<script src="/host.js"></script></head>
<body>
<header class="bar"><h1 id="status" class="brand">Photos of the host</h1><a class="button" href="/">Home</a></header>
<main id="main"><h2>Sea</h2><p class="card muted" id="result">A photo of <mark>the sea</mark>.</p>
<ul class="tags"><li class="tag">sea</li></ul><blockquote class="lyric">Words</blockquote>
<form class="panel" id="host-form"><label for="caption">Caption</label>
<input id="caption" name="caption"><select><option>1</option></select>
<button class="primary" data-play="mine">Follow</button></form>
<progress value="1" max="2"></progress><img alt="" class="photo">
</main>
<section id="slot">{% if songs %}{% socialsongs_assets %}
{% for photo in photos %}{% song_suggestions photo %}{% endfor %}{% endif %}</section>
</body></html>"""

# Rules for everything, and for names that a plugin might use as well.
CSS = """
* { letter-spacing: 1px; }
body { margin: 33px; background: rgb(1, 2, 3); color: rgb(240, 240, 240); font: 19px/2 serif; }
body { --accent: red; --ink: lime; }
h1, h2 { text-transform: uppercase; margin: 21px; }
button { background: rgb(200, 0, 0); border: 5px solid rgb(0, 0, 200); min-height: 77px; }
.card, .panel, .tag, .songs, .photo, .region, .chosen, .gone { outline: 4px dashed rgb(0, 200, 0); padding: 11px; }
"""
JS = """
const page = "mine";
let played = 0;
document.addEventListener("click", (event) => {
  if (event.target.dataset.play !== "mine") return;
  event.preventDefault();
  played += 1;
  document.title = `played ${played} ${page}`;
});
"""


def photos(request: HttpRequest) -> HttpResponse:
    """Show the songs of the posts that ``?post=`` names and the pictures of ``?picture=``, unless ``?songs=0``."""
    posts = [Post.objects.get(pk=key) for key in request.GET.getlist("post")]
    pictures = [Picture.objects.get(pk=key) for key in request.GET.getlist("picture")]
    context = {"photos": [*posts, *pictures], "songs": request.GET.get("songs") != "0"}
    return HttpResponse(engines["django"].from_string(PAGE).render(context, request))


def style(request: HttpRequest) -> HttpResponse:
    return HttpResponse(CSS, content_type="text/css")


def script(request: HttpRequest) -> HttpResponse:
    return HttpResponse(JS, content_type="text/javascript")


urlpatterns = [
    path("photos/", photos),
    path("host.css", style),
    path("host.js", script),
    path("music/", include("socialsongs.urls")),
]
