from django.conf import settings
from django.core.files.storage import FileSystemStorage


class Bucket(FileSystemStorage):
    """Like a bucket elsewhere: its files have no paths."""

    def __init__(self):
        super().__init__(location=settings.BUCKET)

    def path(self, name):
        raise NotImplementedError("a bucket has no paths")

    def _open(self, name, mode="rb"):
        from django.core.files import File

        return File(open(super().path(name), mode))

    def _save(self, name, content):
        target = settings.BUCKET / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.read())
        return name

    def exists(self, name):
        return (settings.BUCKET / name).exists()

    def delete(self, name):
        (settings.BUCKET / name).unlink(missing_ok=True)

    def size(self, name):
        return (settings.BUCKET / name).stat().st_size
