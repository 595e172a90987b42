"""Pixels → PNG bytes with the spec inside, and the spec back out of a file. Knows no engine.

Three texts travel in the file: `parameters`, which other picture tools read; ours, the spec as JSON; and an XMP packet
that marks the picture as made by a model.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.engine import GeneratedImage
from pipeline.errors import InvalidSpec
from pipeline.lora_uses import LoraUse, read_uses
from pipeline.spec import ImageSpec, Sampler

SPEC_KEYWORD: Final = "imagine-bot"
XMP_KEYWORD: Final = "XML:com.adobe.xmp"  # XMP specification, part 3, 1.1.5
DIGITAL_SOURCE_TYPES: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SHORT_HASH_CHARS: Final = 10  # as AUTOMATIC1111 shows it (modules/sd_models.py, `shorthash`)
SHORT_LORA_HASH_CHARS: Final = 12  # of a LoRA (extensions-builtin/Lora/network.py)
MAX_TEXT_BYTES: Final = 96 * 1024  # a spec with the three longest texts, every character escaped, is below 90 kB
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
NEGATIVE: Final = "Negative prompt:"
ORIGINAL_PROMPT: Final = "Original prompt"
ORIGINAL_NEGATIVE: Final = "Original negative prompt"
# As AUTOMATIC1111 1.10 writes them: sampler, schedule. Models that leave no choice are FLUX's, drawn with Euler.
_SAMPLERS: Final[Mapping[str, str]] = {
    "": "Euler",
    Sampler.DPMPP_2M_KARRAS: "DPM++ 2M, Karras",
    Sampler.EULER: "Euler",
    Sampler.DDIM: "DDIM",
}


@dataclass(frozen=True, slots=True)
class FileHashes:
    """The SHA-256 of the files that an image is drawn with, "" or nothing where it is not known; of LoRAs by name."""

    model: str = ""
    loras: Mapping[str, str] = field(default_factory=dict)


NO_HASHES: Final = FileHashes()


def encode_png(image: GeneratedImage, software: str, *, hashes: FileHashes = NO_HASHES) -> bytes:
    """Compress a picture and write its spec into it. About half a second at 1024²; any thread."""
    info = PngInfo()
    info.add_text("parameters", parameters(image.spec, software=software, hashes=hashes))
    info.add_itxt(SPEC_KEYWORD, image.spec.to_json())
    info.add_itxt(XMP_KEYWORD, xmp_packet(image.spec))
    info.add_text("Software", software)
    buffer = io.BytesIO()
    picture = Image.frombytes("RGB", (image.width, image.height), image.pixels)
    picture.save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def parameters(spec: ImageSpec, *, software: str = "", hashes: FileHashes = NO_HASHES) -> str:
    """Say a spec in the form that the AUTOMATIC1111 web UI writes and many tools parse.

    The prompt, then the negative prompt if there is one, then `Key: value` pairs in the order of
    AUTOMATIC1111/stable-diffusion-webui:modules/processing.py (`create_infotext`, 1.10). Its distilled guidance has
    the key of lllyasviel/stable-diffusion-webui-forge, so that `CFG scale` keeps its meaning. The size of an upscaled
    image is that of the image before, as there; its tiles have no key that other tools would understand. LoRAs are
    tags in the prompt, with their hashes below (extensions-builtin/Lora/extra_networks_lora.py). Of a prompt that was
    translated, the first line is what draws the image with other tools too: the translation; negative ones likewise.
    """
    uses = read_uses(spec.loras)
    sampler, _, schedule = _SAMPLERS[spec.sampler].partition(", ")
    pairs = {
        "Steps": str(spec.steps),
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": f"{spec.cfg_scale:g}",
        "Distilled CFG Scale": f"{spec.guidance:g}" if spec.guidance else "",
        "Seed": str(spec.seed),
        "Size": "x".join(map(str, spec.source_size)),
        "Model hash": hashes.model[:SHORT_HASH_CHARS],
        "Model": _quoted(spec.model),
        "Denoising strength": f"{spec.strength:g}" if spec.source else "",
        "Clip skip": str(spec.clip_skip or ""),
        "Hires upscale": str(spec.upscale or ""),
        "Hires upscaler": "Lanczos" if spec.upscale else "",
        "Lora hashes": _lora_hashes(uses, hashes),
        ORIGINAL_PROMPT: _original(spec.prompt) if spec.translated else "",
        ORIGINAL_NEGATIVE: _original(spec.negative_prompt) if spec.translated_negative else "",
        "Version": _quoted(software),
    }
    lines = [" ".join([_told_apart(spec.text), *(f"<lora:{use}>" for use in uses)])]
    if spec.negative_text:
        lines.append(f"Negative prompt: {_told_apart(spec.negative_text).lstrip()}")
    return "\n".join([*lines, ", ".join(f"{key}: {value}" for key, value in pairs.items() if value)])


def _original(text: str) -> str:
    return json.dumps(_told_apart(text).lstrip(), ensure_ascii=False)


def xmp_packet(spec: ImageSpec) -> str:
    """Return the mark that says to machines that a picture was made by a model; nothing of the prompt is in it.

    Of the IPTC's terms (cv.iptc.org/newscodes/digitalsourcetype), what is drawn from noise alone was "created
    algorithmically using a model". What keeps some of an init image, often a photo, is an existing picture altered:
    "augmentation, correction or enhancement using a Generative AI model". At strength 1 nothing of it is left.
    So is an edit of images, whatever is left of them.
    """
    is_altered = bool(spec.references) or (bool(spec.source) and spec.strength < 1)
    term = "compositeWithTrainedAlgorithmicMedia" if is_altered else "trainedAlgorithmicMedia"
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
        f"<Iptc4xmpExt:DigitalSourceType>{DIGITAL_SOURCE_TYPES}{term}</Iptc4xmpExt:DigitalSourceType>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    )


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


def _lora_hashes(uses: Iterable[LoraUse], hashes: FileHashes) -> str:
    """`"ink: 1a2b3c4d5e6f, film: 6f7a8b9c0d1e"`, of those whose hash is known; always in quotes, as there."""
    known = (f"{use.name}: {digest[:SHORT_LORA_HASH_CHARS]}" for use in uses if (digest := hashes.loras.get(use.name)))
    listed = ", ".join(known)
    return json.dumps(listed) if listed else ""


def _told_apart(text: str) -> str:
    """Change white space in a prompt that would be taken for something else; nothing that draws another picture.

    Readers look for a line that begins with `Steps: ` and take the white space off the ends of a prompt; some of them
    split at `Negative prompt:` wherever it stands.
    """
    text = text.replace(NEGATIVE, NEGATIVE.replace(" ", "  "))
    return f" {text}" if text.startswith("Steps:") else text


def _quoted(value: str) -> str:
    """Return a value as AUTOMATIC1111 quotes it (modules/infotext_utils.py, `quote`)."""
    return json.dumps(value, ensure_ascii=False) if set(value) & set(',:\n"') else value


def unquoted(value: str) -> str:
    """Return what `_quoted` was given; what is not quoted, or quoted in another way, as it is."""
    try:
        text = json.loads(value) if value.startswith('"') else value
    except (ValueError, RecursionError):
        return value
    return text if isinstance(text, str) else value


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
