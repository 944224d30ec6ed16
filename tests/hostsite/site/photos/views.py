from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.shortcuts import get_object_or_404, render
from rest_framework import serializers
from rest_framework.generics import CreateAPIView, DestroyAPIView

from .models import Photo


class PhotoSerializer(serializers.ModelSerializer):
    class Meta:
        model = Photo
        fields = ["id", "file", "text", "is_public"]


class Photos(CreateAPIView):
    serializer_class = PhotoSerializer

    def perform_create(self, serializer):
        serializer.save(author=self.request.user)


class PhotoDetail(DestroyAPIView):
    serializer_class = PhotoSerializer

    def get_queryset(self):
        return Photo.objects.filter(author=self.request.user)


@login_required
def photo_page(request, pk):
    photo = get_object_or_404(Photo, Q(author=request.user) | Q(is_public=True), pk=pk)
    return render(request, "photos/photo.html", {"photo": photo})
