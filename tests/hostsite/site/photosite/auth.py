from photos.models import Member
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import IsAuthenticated


class DeviceAuthentication(BaseAuthentication):
    """By the secret that the site's app got for its device."""

    def authenticate(self, request):
        secret = request.headers.get("X-Device")
        if not secret:
            return None
        member = Member.objects.filter(device=secret, is_active=True).first()
        if member is None:
            raise AuthenticationFailed("This device is unknown.")
        return member, None

    def authenticate_header(self, request):
        return "Device"


class Confirmed(IsAuthenticated):
    """People whose address is confirmed."""

    def has_permission(self, request, view):
        return super().has_permission(request, view) and request.user.confirmed
