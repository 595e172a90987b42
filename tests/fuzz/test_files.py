"""Files that people write, and files of strangers: each is read, or refused in the one way that its reader promises."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from PIL import Image

from bot.config import ENV_PREFIX, TOKEN_ENV, Config, DiscordConfig, RoleConfig, load_config, load_passwords, load_token
from bot.errors import ConfigError
from bot.frontends.discord_app import attachments
from bot.store.image_store import ImageStore
from pipeline.catalog.files import missing, weights_of
from pipeline.catalog.model_card import ModelFile
from pipeline.engine import GeneratedImage
from pipeline.errors import InvalidSpec
from pipeline.images.init_image import read_source
from pipeline.images.png_metadata import encode_png, read_spec
from pipeline.spec import ImageSpec
from pipeline.streaming.block_packing import ALIGN, Block, Packed
from pipeline.streaming.packed_cache import open_packed
from tests.fuzz.fuzzing import fuzz
from tests.fuzz.strategies import SECRET, any_of, spoilt_bytes, spoilt_json, texts, to_json
from tests.pipeline.catalog.test_files import card_of

ROOT = Path(__file__).parents[2]
Paths = Iterator[Path]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Folders where nothing was before."""
    folders = (tmp_path / f"{number}" for number in itertools.count())
    return (folder for folder in folders if folder.mkdir() is None)


# ── config ──────────────────────────────────────────────────────────────────────────────────────────────

EXAMPLE = (ROOT / "config.example.toml").read_bytes()
KEYS = [
    f"{ENV_PREFIX}{section}__{key}".upper()
    for section, field in Config.model_fields.items()
    for key in getattr(field.annotation, "model_fields", {f"1__{key}": None for key in RoleConfig.model_fields})
]
LINES = (
    b"limits = 3", b"[limits]\nmax_waiting = 1_0", b"[limits]\ncooldown_s = nan", b"[delivery]\nretry_first_s = inf",
    b"[limits]\nmax_waiting = " + b"9" * 5000, b"[storage]\ndata_dir = '~nobody-at-all/x'", b"[[limits]]\na = 1",
    b"[console]\npassword = '" + SECRET.encode() + b"'\nport = 'x'", b"[discord]\nallowed_guilds = [1, 'x', [2]]",
    b"a = " + b"[" * 3000 + b"]" * 3000, b"[log]\nlevel = 1979-05-27T07:32:00Z", b"[pipeline]\nmodel = {a = 1}",
    b"[pipeline]\nmodels_dir = '\\u0000'", b"[storage]\ndata_dir = ''", b"['']\n'' = ''",
    b"[discord.token_file]\na = 1",
    b"[discord]\napi_url = 'http://['", b"[discord]\ntoken = 'x'", b"[console]\nhost = '\\ud800'",
)  # fmt: skip
env_values = texts.map(lambda text: os.fsdecode(text.encode("utf-8", "replace")).replace("\0", "")) | st.sampled_from(
    [
        f"{SECRET} \udcff",
        "[1, 2]",
        "[",
        "{}",
        '{"a": 1}',
        "null",
        "1e999",
        "nan",
        "-1",
        "true",
        "~x/y",
        "http://[",
        "[" * 5000,
        "9" * 5000,
    ]
)
env_names = st.sampled_from(KEYS) | st.sampled_from(
    [ENV_PREFIX, f"{ENV_PREFIX}X", f"{ENV_PREFIX}LIMITS", f"{ENV_PREFIX}X__Y"]
)


@fuzz(
    150,
    data=any_of([EXAMPLE, *LINES, *(EXAMPLE + line for line in LINES)], first=2000),
    environment=st.dictionaries(env_names, env_values, max_size=3),
)
def test_any_config_is_loaded_or_every_problem_is_told(paths: Paths, data: bytes, environment: dict[str, str]) -> None:
    path = next(paths) / "config.toml"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            load_config(path)
        except ConfigError as error:
            assert error.problems and all(error.problems)
            str(error).encode("utf-8", "surrogateescape")


@fuzz(
    60,
    data=any_of([b"MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.abcdefghijklmnopqrstuvwxyz0123456789AB\n", b"\xef\xbb\xbfx", b"\n"]),
)
def test_any_secret_file_is_read_or_the_problem_is_told_without_it(paths: Paths, data: bytes) -> None:
    path = next(paths) / "secret.txt"
    path.write_bytes(data)
    config = Config(discord={"token_file": path}, console={"password_file": path})
    for load in (lambda: load_token(config.discord), lambda: load_passwords(config.console).page):
        try:
            secret = load()
        except ConfigError as error:
            assert str(path) in str(error) and "GaBcDe" not in str(error)
        else:
            assert secret is not None and secret.get_secret_value().strip()
            assert repr(secret) == "SecretStr('**********')"


@fuzz(60, token=env_values | st.sampled_from(["a\nb", "密码", "a\u2028b", "Bot x"]))
def test_any_token_in_the_environment_is_read_if_it_can_be_sent(token: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TOKEN_ENV, token)
        try:
            secret = load_token(DiscordConfig())
        except ConfigError as error:
            assert TOKEN_ENV in str(error) and SECRET not in str(error)
        else:
            assert secret is None or "\n" not in secret.get_secret_value().encode().decode()


# ── model files ─────────────────────────────────────────────────────────────────────────────────────────


def safetensors(header: bytes, body: bytes = b"x" * 64, *, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + body


HEADER = {
    "__metadata__": {"format": "pt"},
    "a.weight": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
    "b.bias": {"dtype": "BF16", "shape": [16], "data_offsets": [32, 64]},
}
INDEX = {"metadata": {"total_size": 64}, "weight_map": {"a.weight": "model-00001-of-00001.safetensors"}}
WEIGHTS = ModelFile(repo="owner/name", path="t5/")
lengths = st.sampled_from([0, 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
headers = st.one_of(
    spoilt_json(HEADER).map(lambda value: safetensors(to_json(value))),
    st.builds(lambda value, length: safetensors(to_json(value), length=length), spoilt_json(HEADER), lengths),
    any_of([safetensors(to_json(HEADER))]),
)


@fuzz(150, weights=headers, index=st.none() | spoilt_json(INDEX).map(to_json) | any_of([to_json(INDEX)]))
def test_any_weights_are_whole_or_named(paths: Paths, weights: bytes, index: bytes | None) -> None:
    folder = next(paths)
    place = folder / "owner/name/t5"
    place.mkdir(parents=True)
    (place / "model-00001-of-00001.safetensors").write_bytes(weights)
    if index is not None:
        (place / "model.safetensors.index.json").write_bytes(index)
    card = card_of({"t5": WEIGHTS})
    flaws = missing(card, folder)
    usable = set(weights_of(WEIGHTS, folder)) - {flaw.path for flaw in flaws}
    assert all(path.parent == place for path in usable)  # an index leads nowhere else


BLOCKS = {name: Block(name=name, entries=(), size=ALIGN) for name in ("blocks.0", "blocks.1", "rest")}
CONTENTS = {name: torch.full((ALIGN,), number, dtype=torch.uint8) for number, name in enumerate(BLOCKS, start=1)}


def contents(done: Collection[str]) -> Iterator[Packed]:
    return (Packed(BLOCKS[name], data) for name, data in CONTENTS.items() if name not in done)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed file as it was written."""
    path = tmp_path_factory.mktemp("packed") / "x.safetensors"
    open_packed(path, BLOCKS, "source", contents)
    return path


@fuzz(80, data=st.data())
def test_any_packed_file_is_read_as_it_was_written_or_written_again(
    paths: Paths, packed: Path, data: st.DataObject
) -> None:
    path = next(paths) / "x.safetensors"
    spoilt = data.draw(spoilt_bytes(packed.read_bytes()) | st.binary(max_size=100))
    path.write_bytes(spoilt)
    for _ in range(2):  # the second time, if checksums say so, as the engine does
        opened = open_packed(path, BLOCKS, "source", contents)
        opened.check()
        assert opened.wait(10)
        if opened.flaw is None:
            break
        opened.discard()
    for name, content in CONTENTS.items():
        assert torch.equal(opened[name], content)


# ── pictures ────────────────────────────────────────────────────────────────────────────────────────────


def picture_files() -> Iterator[bytes]:
    """Small pictures of every format and kind of pixel, with and without what may lie around the pixels."""
    pixels = np.random.default_rng(7).integers(0, 255, (24, 24, 4), dtype=np.uint8)
    picture = Image.fromarray(pixels, "RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6
    for mode in ("1", "L", "P", "LA", "RGBA", "RGB"):
        yield saved(picture.convert(mode), "PNG")
    yield saved(picture.convert("L").convert("I;16"), "PNG")
    for mode in ("L", "RGB", "CMYK"):
        yield saved(picture.convert("RGB").convert(mode), "JPEG", exif=exif)
    yield saved(picture.convert("RGB"), "JPEG", progressive=True)
    yield saved(picture, "WEBP", exif=exif)
    yield saved(picture, "WEBP", lossless=True, save_all=True, append_images=[picture.convert("RGB")])
    yield saved(picture, "PNG", save_all=True, append_images=[picture.rotate(90)])
    yield saved(picture.convert("RGB"), "GIF")
    yield saved(picture.convert("RGB"), "TIFF")


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


SPEC = ImageSpec(
    prompt=SECRET, seed=7, steps=20, width=32, height=16, guidance=3.5, cfg_scale=2.5, model="demo",
    negative_prompt=SECRET, sampler="ddim", clip_skip=2,
)  # fmt: skip
OURS = encode_png(
    GeneratedImage(
        pixels=bytes(range(256)) * 6, width=32, height=16, spec=SPEC, encode_s=0, denoise_s=0, decode_s=0, peak_mib=None
    ),
    "imagine-bot",
)
PICTURES = (*picture_files(), OURS)


@fuzz(250, data=any_of(PICTURES))
def test_any_picture_of_a_stranger_is_read_or_refused(data: bytes) -> None:
    try:
        assert read_source(data).mode == "RGB"
    except InvalidSpec as error:
        assert error.field == "image"


@fuzz(
    100, data=any_of(PICTURES), rung=st.integers(0, attachments.LAST_RUNG), limit_bytes=st.sampled_from([1, 500, 2**20])
)
def test_any_stored_picture_is_sent_or_counts_as_broken(paths: Paths, data: bytes, rung: int, limit_bytes: int) -> None:
    path = next(paths) / "1.png"
    path.write_bytes(data)
    with contextlib.suppress(attachments.BrokenPicture):
        assert attachments.fit(path, limit_bytes=limit_bytes, rung=rung).body


@fuzz(100, data=any_of(PICTURES))
async def test_any_stored_source_is_read_or_an_error_of_the_file(paths: Paths, data: bytes) -> None:
    images, key = ImageStore(next(paths)), "ab" * 32
    await images.write_source(key, data)
    with contextlib.suppress(OSError):
        assert await images.read_source(key)


@fuzz(
    250,
    data=any_of([OURS], first=700)
    | spoilt_json(json.loads(SPEC.to_json())).map(lambda value: with_text(to_json(value))),
)
def test_any_png_holds_a_spec_or_none(data: bytes) -> None:
    spec = read_spec(data)
    assert spec is None or isinstance(spec, ImageSpec)
    if spec is not None:
        spec.check()


def with_text(text: bytes) -> bytes:
    """Our picture with another text in place of the spec."""
    body = b"imagine-bot\0\0\0\0\0" + text
    return OURS[:33] + struct.pack(">I", len(body)) + b"iTXt" + body + b"\0\0\0\0" + OURS[33:]
