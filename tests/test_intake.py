"""Each refusal of an upload, and how an accepted photo is stored."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from socialsongs import intake
from socialsongs.intake import clean_photo

from . import photos


def opened(upload):
    return Image.open(BytesIO(clean_photo(upload).jpeg))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_it_takes_photos_whatever_their_name_says(upload, photo_bytes, format):
    photo = clean_photo(upload(photo_bytes(format), name="notes.txt"))
    assert (photo.width, photo.height) == (320, 240)
    assert Image.open(BytesIO(photo.jpeg)).format == "JPEG"


def test_it_takes_heic(upload):
    """The bundled file, dark at the top; the decoder is in a process of its own, so nothing is registered in ours."""
    photo = opened(upload(photos.HEIC.read_bytes(), name="a.heic"))
    assert photo.size == (96, 64)
    assert photo.getpixel((48, 2))[0] < 30 < 220 < photo.getpixel((48, 61))[0]


@pytest.mark.parametrize(
    ("rotation", "size", "dark"),
    [(0, (96, 64), (48, 2)), (1, (64, 96), (2, 48)), (2, (96, 64), (48, 61)), (3, (64, 96), (61, 48))],
)
def test_heic_is_turned_as_its_rotation_says_and_only_once(upload, rotation, size, dark):
    photo = opened(upload(photos.heic(rotation=rotation)))
    assert photo.size == size
    assert photo.getpixel(dark)[0] < 30


def test_heic_of_many_tiles_is_one_photo(upload):
    photo = opened(upload(photos.heic(tiles=(20, 12))))
    assert photo.size == (1600, 640)
    assert photo.getpixel((800, 2))[0] < 40 < 200 < photo.getpixel((800, 48))[0]


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


# Metadata beside an orientation


def entry(tag, kind, count, value=b"\0\0\0\0"):
    return tag, kind, count, value


GPS, DATE = 0x8825, 0x0132
ODD = {
    "strings where numbers belong": [entry(0x011A, 2, 4, b"abc\0"), entry(0x829A, 2, 4, b"1/4\0")],
    "a type that does not exist": [entry(0x0100, 99, 1), entry(0x0101, 0, 7)],
    "more values than the file has": [entry(DATE, 2, 2**31, b"\xff\xff\xff\x7f"), entry(0x010F, 5, 2**29)],
    "a place outside of the file": [entry(DATE, 2, 20, b"\xf0\xff\xff\xff"), entry(GPS, 4, 1, b"\xf0\xff\xff\xff")],
    "a directory within itself": [entry(GPS, 4, 1, b"\x08\0\0\0"), entry(0x8769, 4, 1, b"\x08\0\0\0")],
    "GPS that is a text": [entry(GPS, 2, 4, b"2.3\0")],
    "rationals without a denominator": [entry(0x011A, 5, 1, b"\x08\0\0\0")],
    "the same tag twice": [entry(DATE, 2, 1), entry(DATE, 3, 1)],
    "floating point": [entry(0x010E, 11, 1), entry(0x010D, 12, 1)],
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("others", ODD.values(), ids=ODD)
def test_the_photo_is_turned_whatever_else_is_in_its_exif(upload, others, order):
    rotated = (0x0112, 3, 1, struct.pack(order + "H", 6))
    jpeg = photos.written(photos.slope(), "JPEG")
    for entries in ([*others, rotated], [rotated, *others]):
        photo = opened(upload(photos.with_segments(jpeg, photos.exif(photos.tiff(entries, order)))))
        assert photo.size == (240, 320)
        assert photo.getpixel((235, 160))[0] > 220 > 30 > photo.getpixel((4, 160))[0]
        assert not photo.getexif()


@pytest.mark.parametrize("version", [b"\2\3\0\0", b"2.3\0", b""], ids=["bytes", "text", "missing"])
@pytest.mark.parametrize("altitude", [(-12, 1), (0, 0), (2**31 - 1, 1)], ids=["below the sea", "0/0", "far up"])
def test_the_photo_is_turned_whatever_its_place_says(upload, version, altitude):
    """GPSVersionID, and GPSAltitude as signed numbers."""
    start = 8 + 2 + 2 * 12 + 4
    values = struct.pack("<ii", *altitude)
    entries = [(0, 2 if b"." in version else 1, len(version), version), (6, 10, 1, struct.pack("<I", start + 34))]
    place = photos.tiff(entries)[8:] + values
    content = photos.tiff([photos.ROTATED, (GPS, 4, 1, struct.pack("<I", start))], after=place)
    photo = opened(upload(photos.with_segments(photos.written(photos.slope(), "JPEG"), photos.exif(content))))
    assert photo.size == (240, 320)


@pytest.mark.parametrize(
    "orientation",
    [(0x0112, 4, 1, b"\6\0\0\0"), (0x0112, 1, 1, b"\6"), (0x0112, 8, 1, b"\6\0")],
    ids=["long", "byte", "signed"],
)
def test_an_orientation_of_another_type_counts(upload, orientation):
    jpeg = photos.written(photos.slope(), "JPEG")
    photo = clean_photo(upload(photos.with_segments(jpeg, photos.exif(photos.tiff([orientation])))))
    assert (photo.width, photo.height) == (240, 320)


@pytest.mark.parametrize(
    "content",
    [
        photos.tiff([(0x0112, 2, 2, b"6\0")]),
        photos.tiff([(0x0112, 3, 1, b"\x09\0")]),
        photos.tiff([(0x0112, 3, 1, b"\0\0")]),
        b"II*\0\xff\xff\xff\xff",
        photos.tiff([photos.ROTATED])[:15],
        b"II",
        b"",
        b"XX*\0\x08\0\0\0",
    ],
    ids=["text", "9", "0", "nowhere", "cut off", "two bytes", "empty", "no byte order"],
)
def test_a_photo_without_a_readable_orientation_stays_as_it_is(upload, content):
    jpeg = photos.written(photos.slope(), "JPEG")
    photo = clean_photo(upload(photos.with_segments(jpeg, photos.exif(content))))
    assert (photo.width, photo.height) == (320, 240)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_all_eight_orientations_in_all_formats(upload, format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.new("RGB", (64, 48), "white")
    image.paste("black", (0, 0, 32, 24))  # one corner is dark
    content = photos.written(image, format, exif=exif)
    photo = opened(upload(content))
    assert photo.size == ((64, 48) if orientation < 5 else (48, 64))
    corner = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}[orientation]
    for x in (0, 1):
        for y in (0, 1):
            place = (8 + x * (photo.width - 16), 8 + y * (photo.height - 16))
            assert (photo.getpixel(place)[0] < 60) == ((x, y) == corner)


def test_an_orientation_in_xmp_counts_where_exif_has_none(upload):
    xmp = b'<rdf:Description tiff:Orientation="6"/>'
    jpeg = photos.with_segments(
        photos.written(photos.slope(), "JPEG"), photos.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp)
    )
    text = photos.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    for content in (jpeg, photos.png((320, 240), pixel=b"abc", before=text)):
        assert clean_photo(upload(content)).width == 240


def test_exif_as_text_of_a_png_counts(upload):
    packed = b"\nexif\n      40\n" + (b"Exif\0\0" + photos.tiff([photos.ROTATED])).hex().encode()
    text = photos.chunk(b"zTXt", b"Raw profile type exif\0\0" + photos.zlib.compress(packed))
    assert clean_photo(upload(photos.png((320, 240), pixel=b"abc", before=text))).width == 240


# Ends


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("end", [b"", b"\xff", bytes(3000)], ids=["nothing", "half a marker", "zeros"])
def test_a_jpeg_without_its_end_is_taken_when_every_pixel_is_there(upload, mode, progressive, end):
    jpeg = photos.written(photos.slope(mode, (640, 480)), "JPEG", progressive=progressive, quality=90)
    photo = clean_photo(upload(jpeg[:-2] + end))
    assert photo == clean_photo(upload(jpeg))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("missing", [6, 30, 1000])
@pytest.mark.parametrize("end", [b"", bytes(3000)], ids=["nothing", "zeros"])
def test_a_jpeg_without_its_end_is_refused_when_pixels_are_missing(upload, progressive, missing, end):
    image = Image.effect_noise((640, 480), 80).convert("RGB")
    jpeg = photos.written(image, "JPEG", progressive=progressive, quality=90)
    with pytest.raises(intake.DamagedPhoto):
        clean_photo(upload(jpeg[: -2 - missing] + end))


def test_a_progressive_jpeg_that_ends_between_two_scans_is_refused(upload):
    jpeg = photos.written(photos.slope(size=(640, 480)), "JPEG", progressive=True)
    with pytest.raises(intake.DamagedPhoto):
        clean_photo(upload(jpeg[: jpeg.rindex(b"\xff\xc4")]))


def test_a_second_picture_in_the_file_is_left_out(upload):
    """MPO: the camera's other eye."""
    red, blue = (Image.new("RGB", (64, 64), colour) for colour in ("red", "blue"))
    photo = opened(upload(photos.written(red, "MPO", save_all=True, append_images=[blue])))
    assert photo.getpixel((32, 32))[0] > 240


# Colours

# A profile whose red and green are exchanged, so that a photo keeps its lightness.
ORANGE, EXCHANGED = (230, 120, 30), (120, 230, 30)


def srgb_profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exchanged_profile():
    profile = bytearray(srgb_profile())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def s15_fixed_16(*numbers):
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))


WHITE = s15_fixed_16(0.9642, 1, 0.8249)  # D50


def icc_profile(colour_space, **tags):
    """Return a profile of version 2; Pillow makes none but sRGB. ``tags``: their contents by their names."""
    tags |= {
        "wtpt": b"XYZ " + bytes(4) + WHITE,
        "desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"made\0" + bytes(78),
        "cprt": b"text" + bytes(4) + b"-\0\0\0",
    }
    start, table, content = 128 + 4 + 12 * len(tags), b"", b""
    for name, tag in tags.items():
        tag += bytes(-len(tag) % 4)
        table += name.encode() + struct.pack(">II", start + len(content), len(tag))
        content += tag
    head = struct.pack(
        ">I4sI4s4s4s6H4sIIIIQI", start + len(content), b"\0\0\0\0", 0x02100000, b"mntr", colour_space, b"XYZ ",
        2026, 1, 1, 0, 0, 0, b"acsp", 0, 0, 0, 0, 0, 0,
    )  # fmt: skip
    return (head + WHITE).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + content


def curve(gamma):
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def grey_profile(gamma):
    """With a gamma of 1, mid grey is light."""
    return icc_profile(b"GRAY", kTRC=curve(gamma))


def adobe_rgb(gamma=563 / 256):
    """Return a profile of the wide gamut Adobe RGB (1998): its primaries, adapted to D50, and its gamma."""
    primaries = {"r": (0.60974, 0.31111, 0.01947), "g": (0.20528, 0.62567, 0.06087), "b": (0.14919, 0.06322, 0.74457)}
    colorants = {f"{name}XYZ": b"XYZ " + bytes(4) + s15_fixed_16(*xyz) for name, xyz in primaries.items()}
    return icc_profile(b"RGB ", **colorants, **{f"{name}TRC": curve(gamma) for name in primaries})


@pytest.mark.parametrize(
    ("adobe", "srgb"),
    # By the published matrix from linear Adobe RGB to linear sRGB: r' = 1.39836 r - 0.39836 g, g' = g,
    # b' = -0.04293 g + 1.04293 b.
    [((200, 100, 50), (227, 100, 42)), ((100, 150, 200), (66, 151, 203)), ((90, 160, 60), (0, 161, 47))],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_wide_gamut_photo_is_converted_to_srgb_and_loses_its_profile(upload, format, adobe, srgb):
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "PNG": {}, "WEBP": {"lossless": True}}[format]
    photo = opened(
        upload(photos.written(Image.new("RGB", (64, 64), adobe), format, icc_profile=adobe_rgb(), **options))
    )
    assert np.abs(np.subtract(photo.getpixel((32, 32)), srgb)).max() <= 4
    assert "icc_profile" not in photo.info


def coloured(mode):
    image = Image.new("RGB", (64, 64), ORANGE)
    return image.quantize(16) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize(
    ("format", "mode"),
    [("JPEG", "RGB"), *((format, mode) for format in ("PNG", "WEBP") for mode in ("RGB", "RGBA", "P"))],
)
def test_colours_are_those_of_the_profile_with_or_without_alpha_or_palette(upload, format, mode):
    options = {} if format == "PNG" else {"quality": 100}
    content = photos.written(coloured(mode), format, icc_profile=exchanged_profile(), **options)
    assert np.abs(np.subtract(opened(upload(content)).getpixel((32, 32)), EXCHANGED)).max() <= 6


def test_transparent_palettes_have_colours_too(upload):
    image = Image.new("P", (64, 64), 0)
    image.putpalette([*ORANGE, 0, 0, 255])
    image.paste(1, (0, 0, 32, 64))
    photo = opened(upload(photos.written(image, "PNG", transparency=1, icc_profile=exchanged_profile())))
    assert np.abs(np.subtract(photo.getpixel((48, 32)), EXCHANGED)).max() <= 6
    assert min(photo.getpixel((16, 32))) > 250


def test_half_transparent_colours_are_converted_before_they_meet_white(upload):
    image = Image.new("RGBA", (64, 64), (*ORANGE, 128))
    photo = opened(upload(photos.written(image, "PNG", icc_profile=exchanged_profile())))
    assert np.abs(np.subtract(photo.getpixel((32, 32)), [(value + 255) / 2 for value in EXCHANGED])).max() <= 6


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_greys_are_those_of_a_grey_profile(upload, mode):
    content = photos.written(Image.new("L", (64, 64), 128).convert(mode), "PNG", icc_profile=grey_profile(1.0))
    assert 180 <= opened(upload(content)).getpixel((32, 32))[0] <= 196


def test_a_grey_photo_with_a_profile_for_colours_has_the_greys_of_that_profile(upload):
    content = photos.written(Image.new("L", (64, 64), 128), "PNG", icc_profile=adobe_rgb(gamma=1))
    assert 185 <= opened(upload(content)).getpixel((32, 32))[0] <= 191  # 128 if the profile were ignored


@pytest.mark.parametrize(
    ("colour", "pixel", "shown"),
    [
        (0, struct.pack(">H", 0x8000), (128, 128, 128)),
        (2, struct.pack(">3H", 0xFFFF, 0x8000, 0x1000), (255, 128, 16)),
        (4, struct.pack(">2H", 0x4000, 0xFFFF), (64, 64, 64)),
        (6, struct.pack(">4H", 0xFFFF, 0x8000, 0, 0x8000), (255, 191, 127)),
    ],
    ids=["grey", "colour", "grey and alpha", "colour and alpha"],
)
@pytest.mark.parametrize("size", [(64, 64), (6500, 400)])
def test_sixteen_bits_have_the_right_tones(upload, colour, pixel, shown, size):
    photo = opened(upload(photos.png(size, depth=16, colour=colour, pixel=pixel)))
    assert np.abs(np.subtract(photo.getpixel((32, 32)), shown)).max() <= 3


def test_a_large_photo_of_16_bits_has_the_right_tones(upload):
    photo = clean_photo(upload(photos.png((6500, 6500), depth=16, colour=0, pixel=struct.pack(">H", 0x8000))))
    assert (photo.width, photo.height) == (1600, 1600)
    assert 125 <= Image.open(BytesIO(photo.jpeg)).getpixel((800, 800))[0] <= 131


@pytest.mark.parametrize(
    ("depth", "colour", "pixel"),
    [(8, 0, b"\x80"), (16, 0, b"\x80\0"), (8, 2, b"abc"), (16, 2, b"a\0b\0c\0")],
)
def test_one_colour_may_be_transparent(upload, depth, colour, pixel):
    transparent = pixel if depth == 16 else b"".join(b"\0" + bytes([value]) for value in pixel)
    content = photos.png((64, 64), depth=depth, colour=colour, pixel=pixel, before=photos.chunk(b"tRNS", transparent))
    assert min(opened(upload(content)).getpixel((32, 32))) > 250


def test_it_takes_interlaced_png(upload):
    """Seven passes over a picture of one colour: rows of 16, 16, 32, 32, 64, 64 and 128 pixels."""
    passes = [(16, 16), (16, 16), (32, 16), (32, 32), (64, 32), (64, 64), (128, 64)]
    rows = b"".join((b"\0" + b"abc" * width) * height for width, height in passes)
    photo = opened(upload(photos.png((128, 128), interlace=1, packed=photos.zlib.compress(rows))))
    assert np.abs(np.subtract(photo.getpixel((64, 64)), list(b"abc"))).max() <= 3


def test_it_takes_the_picture_of_an_animated_png(upload):
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    photo = opened(upload(photos.written(frames[0], "PNG", save_all=True, append_images=frames[1:])))
    assert photo.getpixel((32, 32))[0] > 240


def test_it_refuses_a_png_of_too_many_frames(upload, settings):
    settings.SOCIALSONGS = {**settings.SOCIALSONGS, "MAX_FRAMES": 3}
    frames = [Image.new("RGB", (64, 64), (50 * i, 0, 0)) for i in range(5)]
    with pytest.raises(intake.TooManyFrames, match="5 frames"):
        clean_photo(upload(photos.written(frames[0], "PNG", save_all=True, append_images=frames[1:])))
