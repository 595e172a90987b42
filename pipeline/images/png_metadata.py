"""Pixels → PNG bytes with the spec inside, and the spec back out of a file. Knows no engine.

Two texts travel in the file: `parameters`, the line that other picture tools read, and ours, the spec as JSON.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.engine import GeneratedImage
from pipeline.errors import InvalidSpec
from pipeline.spec import ImageSpec

SPEC_KEYWORD = "imagine-bot"
MAX_TEXT_BYTES = 64 * 1024  # a spec with the longest prompt, every character escaped, is below 30 kB
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode_png(image: GeneratedImage, software: str) -> bytes:
    """Compress a picture and write its spec into it. About half a second at 1024²; any thread."""
    info = PngInfo()
    info.add_text("parameters", parameters(image.spec))
    info.add_itxt(SPEC_KEYWORD, image.spec.to_json())
    info.add_text("Software", software)
    buffer = io.BytesIO()
    picture = Image.frombytes("RGB", (image.width, image.height), image.pixels)
    picture.save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def parameters(spec: ImageSpec) -> str:
    """Say a spec in the form that the AUTOMATIC1111 web UI writes and many tools parse.

    Prompt on the first line, `Key: value` pairs on the second. FLUX samples with Euler; its distilled
    guidance has a key of its own, so that `CFG scale` keeps its meaning.
    """
    pairs = {
        "Steps": spec.steps,
        "Sampler": "Euler",
        "CFG scale": f"{spec.cfg_scale:g}",
        "Distilled CFG Scale": f"{spec.guidance:g}",
        "Seed": spec.seed,
        "Size": f"{spec.width}x{spec.height}",
        "Model": spec.model,
    }
    if spec.source:
        pairs["Denoising strength"] = f"{spec.strength:g}"
    return f"{spec.prompt}\n" + ", ".join(f"{key}: {value}" for key, value in pairs.items())


def read_spec(png: bytes) -> ImageSpec | None:
    """Read the spec that `encode_png` wrote; None for anything else. Safe on files from strangers.

    Only chunk headers are walked and only an uncompressed text is read, so nothing can unfold in memory.
    """
    for kind, body in _chunks(png):
        if kind != b"iTXt" or len(body) > MAX_TEXT_BYTES:
            continue
        # iTXt: keyword 0 compressed? method language 0 translated-keyword 0 text (PNG 3rd edition, 11.3.3.4)
        keyword, _, rest = body.partition(b"\0")
        if keyword != SPEC_KEYWORD.encode() or rest[:1] != b"\0":
            continue
        _language, _, rest = rest[2:].partition(b"\0")
        _translated, _, text = rest.partition(b"\0")
        try:
            return ImageSpec.from_json(text.decode())
        except (UnicodeDecodeError, InvalidSpec):
            return None
    return None


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk (type, body) of a PNG until its pixels begin; ends quietly where the bytes make no sense."""
    if not png.startswith(_SIGNATURE):
        return
    offset = len(_SIGNATURE)
    while offset + 12 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, offset)
        if kind in (b"IDAT", b"IEND") or offset + 12 + length > len(png):
            return
        yield kind, png[offset + 8 : offset + 8 + length]
        offset += 12 + length
