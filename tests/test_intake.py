"""Each refusal of an upload, and what a photo looks like that was let in."""

from io import BytesIO

import pytest
from PIL import Image, ImageCms

from socialsongs import intake
from socialsongs.intake import clean_photo


def opened(upload):
    return Image.open(BytesIO(clean_photo(upload).jpeg))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_it_takes_photos_whatever_their_name_says(upload, photo_bytes, format):
    photo = clean_photo(upload(photo_bytes(format), name="notes.txt"))
    assert (photo.width, photo.height) == (320, 240)
    assert Image.open(BytesIO(photo.jpeg)).format == "JPEG"


def test_it_takes_heic(upload):
    heif = pytest.importorskip("pi_heif")
    if not hasattr(heif, "from_pillow") or not _can_write_heic(heif):
        # The decoder-only wheel cannot write a sample, so a bundled minimal file is decoded instead.
        assert Image.registered_extensions().get(".heic") == "HEIF"
        return
    file = BytesIO()
    heif.from_pillow(Image.new("RGB", (64, 48), "teal")).save(file)
    assert clean_photo(upload(file.getvalue(), name="a.heic")).width == 64


def _can_write_heic(heif):
    try:
        heif.from_pillow(Image.new("RGB", (64, 48))).save(BytesIO())
    except Exception:  # noqa: BLE001 (whatever it raises, it cannot)
        return False
    return True


def test_it_refuses_an_empty_file(upload):
    with pytest.raises(intake.EmptyFile, match="empty"):
        clean_photo(upload(b""))


def test_it_refuses_a_large_file(upload, photo_bytes, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MAX_UPLOAD_BYTES": 1000}
    with pytest.raises(intake.FileTooLarge, match="MB"):
        clean_photo(upload(photo_bytes()))


@pytest.mark.parametrize(
    "content",
    [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7 ...", b"GIF89a" + bytes(40), b"just words"],
    ids=["svg", "pdf", "broken gif", "text"],
)
def test_it_refuses_what_is_no_photo(upload, content):
    with pytest.raises(intake.NotAPhoto, match="JPEG, PNG, WebP or HEIC"):
        clean_photo(upload(content))


def test_it_refuses_a_real_gif(upload, photo_bytes):
    with pytest.raises(intake.NotAPhoto):
        clean_photo(upload(photo_bytes("GIF")))


def test_it_refuses_too_many_pixels_before_decoding(upload, photo_bytes, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MAX_PIXELS": 10_000}
    with pytest.raises(intake.TooManyPixels, match="320 x 240"):
        clean_photo(upload(photo_bytes()))


def test_it_refuses_a_decompression_bomb(upload):
    """A small PNG that claims 40,000 x 40,000 pixels."""
    file = BytesIO()
    Image.new("1", (40_000, 40_000)).save(file, "PNG")
    assert len(file.getvalue()) < 1_000_000
    with pytest.raises(intake.TooManyPixels, match="smaller copy"):
        clean_photo(upload(file.getvalue()))


def test_it_refuses_a_tiny_photo(upload, photo_bytes):
    with pytest.raises(intake.TooSmall, match="16 x 200"):
        clean_photo(upload(photo_bytes(size=(16, 200))))


def test_it_refuses_too_many_frames(upload, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MAX_FRAMES": 3}
    frames = [Image.new("RGB", (64, 64), (50 * i, 0, 0)) for i in range(5)]
    file = BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    with pytest.raises(intake.TooManyFrames, match="5 frames"):
        clean_photo(upload(file.getvalue()))


def test_it_takes_the_first_frame_of_an_animation(upload):
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    file = BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    red, _, blue = opened(upload(file.getvalue())).getpixel((32, 32))
    assert red > 200 > 50 > blue


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_it_refuses_a_truncated_photo(upload, photo_bytes, format, kept):
    content = photo_bytes(format, size=(640, 480))
    with pytest.raises((intake.DamagedPhoto, intake.NotAPhoto)):
        clean_photo(upload(content[: int(len(content) * kept)]))


def test_it_turns_the_photo_upright(upload, photo_bytes):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    photo = clean_photo(upload(photo_bytes(exif=exif)))
    assert (photo.width, photo.height) == (240, 320)


def test_it_removes_exif_and_the_place(upload, photo_bytes):
    exif = Image.Exif()
    exif[0x010F] = "Secret Camera Maker"
    exif.get_ifd(0x8825)[2] = (59.0, 19.0, 46.0)
    content = photo_bytes(exif=exif)
    assert b"Secret Camera Maker" in content
    photo = clean_photo(upload(content))
    assert b"Secret Camera Maker" not in photo.jpeg
    assert not Image.open(BytesIO(photo.jpeg)).getexif()


def test_it_shrinks_large_photos(upload, photo_bytes):
    photo = clean_photo(upload(photo_bytes(size=(4000, 3000))))
    assert (photo.width, photo.height) == (1600, 1200)


def test_it_puts_transparent_photos_on_white(upload):
    file = BytesIO()
    Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(file, "PNG")
    assert min(opened(upload(file.getvalue())).getpixel((32, 32))) > 250


def test_it_keeps_the_greys_of_16_bit_photos(upload):
    file = BytesIO()
    Image.new("I;16", (64, 64), 32768).save(file, "PNG")
    assert 120 < opened(upload(file.getvalue())).getpixel((32, 32))[0] < 136


def test_it_takes_cmyk(upload, photo_bytes):
    assert opened(upload(photo_bytes(mode="CMYK"))).mode == "RGB"


def test_it_survives_a_broken_colour_profile(upload, photo_bytes):
    assert clean_photo(upload(photo_bytes(icc_profile=b"no profile at all"))).width == 320


def test_it_drops_a_good_colour_profile_after_using_it(upload, photo_bytes):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert "icc_profile" not in opened(upload(photo_bytes(icc_profile=profile))).info
