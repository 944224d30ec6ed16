from django.template import Library

from ..sample_photos import sample_photos

register = Library()
register.simple_tag(sample_photos)
