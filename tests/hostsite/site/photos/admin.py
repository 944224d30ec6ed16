from django.contrib import admin

from .models import Member, Photo

admin.site.register(Member)
admin.site.register(Photo)
