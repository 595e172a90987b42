"""The page of `imagine-bot check`: what is found, and that every problem has a way out."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
from collections import namedtuple
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy
import psutil
import pytest
from discord.http import Route
from pydantic import SecretStr
from safetensors.numpy import save_file
from typer.testing import CliRunner

from bot import __main__ as cli
from bot.app import DATABASE_NAME, IMAGES_FOLDER
from bot.cli import check
from bot.cli.check import Finding, Mark
from bot.config import Config, ConsoleConfig, DiscordConfig, StorageConfig
from bot.errors import ExitCode
from bot.frontends.discord_app.preflight import COMMANDS
from bot.store.database import Database
from bot.store.image_store import ImageStore
from pipeline.catalog.models import DEMO, MAJICFLUS_V1
from pipeline.config import PipelineConfig
from pipeline.device.gpu import Gpu, TorchBuild
from pipeline.device.gpu_profile import write_profile
from pipeline.families.flux.architecture import FLUX
from tests.discord_server import Discord, Permission
from tests.pipeline.catalog.test_vocabulary import write_tokenizer
from tests.pipeline.measured import measured_card

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")

BOT_TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.abcdefghijklmnopqrstuvwxyz0123456789AB"
CARD = Gpu(name="Test RTX", driver="1.2", total_mib=8192, free_mib=7600, compute_capability=(8, 6))
DiskUsage = namedtuple("DiskUsage", "total used free")


def marks(findings: list[Finding]) -> str:
    return "".join(finding.mark.value for finding in findings)


def only(findings: list[Finding], topic: str) -> Finding:
    [finding] = [finding for finding in findings if finding.topic == topic]
    return finding


@pytest.fixture
def enough_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = psutil.virtual_memory()._replace(available=8 * 2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, enough_memory: None) -> None:
    """An 8 GB card with its driver."""
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: CARD)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch, enough_memory: None) -> None:
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: None)


# --- token ------------------------------------------------------------------------------------------------


def test_no_token_is_noted_with_where_to_get_one() -> None:
    token, [finding] = check.check_token(DiscordConfig())
    assert token is None
    assert finding.mark is Mark.NOTE
    assert "discord.com/developers" in finding.way_out


def test_a_token_is_judged_by_its_shape_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, mark in ((BOT_TOKEN, Mark.OK), ("client-secret", Mark.PROBLEM)):
        monkeypatch.setenv("DISCORD_TOKEN", text)
        token, [finding] = check.check_token(DiscordConfig())
        assert token == SecretStr(text)
        assert finding.mark is mark
        assert text not in finding.text + finding.way_out


@pytest.mark.skipif(os.name == "nt", reason="file modes are POSIX")
def test_a_token_file_that_others_may_read_is_noted(clean_place: Path) -> None:
    file = clean_place / "token.txt"
    file.write_text(BOT_TOKEN)
    for mode, mark in ((0o600, Mark.OK), (0o644, Mark.NOTE)):
        file.chmod(mode)
        _, [finding] = check.check_token(DiscordConfig(token_file=file))
        assert finding.mark is mark


def test_a_token_file_that_is_not_there_is_a_problem(clean_place: Path) -> None:
    _, [finding] = check.check_token(DiscordConfig(token_file=clean_place / "none.txt"))
    assert finding.mark is Mark.PROBLEM
    assert "none.txt" in finding.text


def test_an_empty_token_file_asks_for_the_token(clean_place: Path) -> None:
    file = clean_place / "token.txt"
    file.touch()
    _, [finding] = check.check_token(DiscordConfig(token_file=file))
    assert finding.text == f"[discord] token_file: {file} is empty"
    assert finding.way_out.startswith("put the token, and nothing else, into the file")


# --- database and disk ------------------------------------------------------------------------------------

GOOD_SPEC = (
    '{"version": 1, "prompt": "x", "seed": 1, "steps": 4, "width": 64, "height": 64, '
    '"guidance": 1.0, "cfg_scale": 1.0, "model": "fake"}'
)
AddJob = Callable[[str, int], Awaitable[None]]


@pytest.fixture
def add_job(data_dir: Path) -> AddJob:
    """Put a waiting job with this spec and number into the database."""

    async def add(spec: str, number: int) -> None:
        async with Database.open(data_dir / DATABASE_NAME) as database:
            await database.fetch_all(
                """
                INSERT INTO jobs (id, request_key, user_frontend, user_id, reply_frontend, reply_key, reply_address,
                                  spec, model, size_class, queued_at)
                VALUES (:id, :id, 'test', 'ann', 'test', :id, '{}', :spec, 'fake', 0, 0)
                """,
                {"id": number, "spec": spec},
            )

    return add


def test_a_database_that_is_not_there_yet_is_fine_and_stays_away(clean_place: Path) -> None:
    storage = StorageConfig(data_dir=clean_place / "new" / "data")
    [finding] = check.check_database(storage, is_running=False)
    assert finding.mark is Mark.OK
    assert "will be created" in finding.text
    assert not (clean_place / "new").exists()


async def test_a_database_of_this_release_is_ready(clean_place: Path) -> None:
    async with Database.open(clean_place / DATABASE_NAME):
        pass
    before = (clean_place / DATABASE_NAME).read_bytes()
    [finding] = check.check_database(StorageConfig(data_dir=clean_place), is_running=False)
    assert (finding.mark, "(ready)" in finding.text) == (Mark.OK, True)
    assert (clean_place / DATABASE_NAME).read_bytes() == before


def test_a_database_that_is_none_is_a_problem(clean_place: Path) -> None:
    (clean_place / DATABASE_NAME).write_text("not a database" * 100)
    [finding] = check.check_database(StorageConfig(data_dir=clean_place), is_running=False)
    assert finding.mark is Mark.PROBLEM
    assert "backup" in finding.way_out


def test_data_dir_that_is_a_file_is_a_problem(clean_place: Path) -> None:
    (clean_place / "file").touch()
    for data_dir in (clean_place / "file", clean_place / "file" / "data"):
        [finding] = check.check_database(StorageConfig(data_dir=data_dir), is_running=False)
        assert (finding.mark, finding.text) == (Mark.PROBLEM, f"{clean_place / 'file'} is no folder")
        assert finding.way_out == "set [storage] data_dir to a folder"


def test_a_database_of_a_newer_release_is_a_problem(clean_place: Path) -> None:
    connection = sqlite3.connect(clean_place / DATABASE_NAME)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    [finding] = check.check_database(StorageConfig(data_dir=clean_place), is_running=False)
    assert finding.mark is Mark.PROBLEM
    assert "upgrade" in finding.text + finding.way_out


async def test_waiting_jobs_that_cannot_be_read_are_told(data_dir: Path, add_job: AddJob) -> None:
    await add_job(GOOD_SPEC, 1)
    await add_job("{}", 2)
    await add_job(GOOD_SPEC.replace('"version": 1', '"version": 2'), 3)
    ready, finding = check.check_database(StorageConfig(data_dir=data_dir), is_running=False)
    assert (ready.mark, finding.mark) == (Mark.OK, Mark.NOTE)
    assert "2 waiting job(s) cannot be read by this release and will fail: #2, #3" in finding.text


async def test_pictures_that_the_database_does_not_know_are_told(data_dir: Path, add_job: AddJob) -> None:
    await add_job(GOOD_SPEC, 1)
    await ImageStore(data_dir / IMAGES_FOLDER).write(7, b"png")
    _, finding = check.check_database(StorageConfig(data_dir=data_dir), is_running=False)
    assert "pictures up to number 7, and the database knows 1" in finding.text
    assert check.check_database(StorageConfig(data_dir=data_dir), is_running=True)[1:] == []


async def test_damage_that_no_start_would_meet_is_a_problem(data_dir: Path) -> None:
    path = data_dir / DATABASE_NAME
    async with Database.open(path) as database:
        for number in range(100):
            values = {"key": f"key {number}", "value": "x" * 900}
            await database.fetch_all("INSERT INTO settings (key, value) VALUES (:key, :value)", values)
    with path.open("r+b") as file:
        file.seek(-8000, 2)
        file.write(b"\xff" * 4000)
    [finding] = check.check_database(StorageConfig(data_dir=data_dir), is_running=False)
    assert finding.mark is Mark.PROBLEM and "damaged" in finding.text
    assert finding.way_out.startswith("restore a backup")


def test_a_running_bot_is_noticed_by_its_lock(clean_place: Path) -> None:
    path = clean_place / DATABASE_NAME
    assert not check.is_in_use(path)
    code = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(flush=True); input()"
    command = [sys.executable, "-c", code, str(path.with_suffix(".lock"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as bot:
        assert bot.stdout is not None
        bot.stdout.readline()
        assert check.is_in_use(path)
        bot.communicate("\n")
    assert not check.is_in_use(path)


@pytest.mark.usefixtures("no_gpu")
def test_checking_never_takes_the_lock(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that starts at that instant would be refused."""
    taken: list[object] = []
    monkeypatch.setattr("filelock.BaseFileLock.acquire", lambda lock, **_: taken.append(lock))
    data_dir.mkdir()
    (data_dir / DATABASE_NAME).with_suffix(".lock").touch()
    CliRunner().invoke(cli.app, ["check", "--offline"])
    assert taken == []


def test_little_room_on_the_disk_is_a_problem(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = StorageConfig(data_dir=clean_place / "not" / "there", min_free_mib=500)
    for free_mib, mark in ((501, Mark.OK), (499, Mark.PROBLEM)):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free_mib * 2**20: DiskUsage(0, 0, free))
        [finding] = check.check_disk(storage)
        assert finding.mark is mark


# --- machine and model ------------------------------------------------------------------------------------


def write_model(models_dir: Path) -> None:
    """Files that pass for MajicFLUX: right names, whole, nearly empty."""
    for kind, file in MAJICFLUS_V1.files.items():
        place = models_dir / str(file.repo) / file.path
        names = [*file.needs, *([] if kind.startswith("tokenizer") else ["model.safetensors"])]
        for path in [place / name for name in names] if file.is_folder else [place]:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".safetensors":
                save_file({"weight": numpy.ones((1024, 1024), numpy.float16)}, path)
            else:
                path.write_text("{}")


@pytest.mark.usefixtures("no_gpu")
def test_without_a_card_the_demo_draws_on_the_cpu(clean_place: Path) -> None:
    findings = check.check_machine(PipelineConfig(models_dir=clean_place), is_running=False)
    assert marks(findings) == "•✔✔✔"
    assert "demo" in only(findings, "model").text
    assert "CPU" in only(findings, "gpu").text


@pytest.mark.usefixtures("no_gpu")
def test_a_big_model_without_a_card_is_a_problem(clean_place: Path) -> None:
    findings = check.check_machine(PipelineConfig(models_dir=clean_place, model="flux1-dev"), is_running=False)
    assert only(findings, "gpu").mark is Mark.PROBLEM
    assert "driver" in only(findings, "gpu").way_out


@pytest.mark.usefixtures("gpu")
def test_a_card_without_the_models_files_draws_the_demo_and_says_how_to_change_that(clean_place: Path) -> None:
    findings = check.check_machine(PipelineConfig(models_dir=clean_place), is_running=False)
    assert only(findings, "gpu").text == "Test RTX, 8192 MiB, driver 1.2"
    assert only(findings, "model").mark is Mark.NOTE
    assert only(findings, "model").way_out.startswith("imagine-bot fetch majicflus-v1")


@pytest.mark.usefixtures("gpu")
def test_every_file_that_is_missing_or_cut_off_is_named(clean_place: Path) -> None:
    write_model(clean_place)
    vae = clean_place / "black-forest-labs" / "FLUX.1-dev" / "ae.safetensors"
    vae.write_bytes(vae.read_bytes()[:-7])
    (clean_place / "MAILAND" / "majicflus_v1" / "majicflus_v134.safetensors").unlink()
    findings = check.check_machine(PipelineConfig(models_dir=clean_place, model="majicflus-v1"), is_running=False)
    flaws = [finding for finding in findings if finding.topic == "files"]
    assert marks(flaws) == "✘✘"
    assert {flaw.way_out for flaw in flaws} == {"imagine-bot fetch majicflus-v1"}
    assert any("majicflus_v134.safetensors is absent" in flaw.text for flaw in flaws)
    assert any("ae.safetensors is not whole" in flaw.text for flaw in flaws)


@pytest.mark.usefixtures("gpu")
def test_memory_is_counted_where_weights_rest(clean_place: Path) -> None:
    """1 MiB of weights in each of four files, all of which fits on the card."""
    write_model(clean_place)
    findings = check.check_machine(PipelineConfig(models_dir=clean_place), is_running=False)
    assert marks(findings) == "✔✔✔✔✔•"
    assert "majicflus-v1" in only(findings, "model").text
    assert only(findings, "memory").text.startswith("1000 MiB needed")
    assert only(findings, "gpu memory").text == "2000 MiB needed, 7600 MiB free, of which 7004 MiB are used"
    assert "loaded once" in only(findings, "speed").text


@pytest.mark.usefixtures("gpu")
def test_big_model_of_other_parts_is_checked_as_well(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(clean_place)
    parts = {kind: file for kind, file in MAJICFLUS_V1.files.items() if kind != "dit"} | {
        "unet": MAJICFLUS_V1.files["dit"]
    }
    components = {"unet": FLUX.components["dit"], **FLUX.components}
    other = replace(MAJICFLUS_V1, files=parts, architecture=replace(FLUX, components=components))
    monkeypatch.setattr(check, "choose_model", lambda _config: (other, "for a test"))
    findings = check.check_machine(PipelineConfig(models_dir=clean_place), is_running=False)
    assert only(findings, "memory").mark is Mark.OK


@pytest.mark.usefixtures("gpu")
def test_speed_is_told_from_what_was_measured_and_packed(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(clean_place)
    write_measured(clean_place)
    finding = only(check.check_machine(PipelineConfig(models_dir=clean_place), is_running=False), "speed")
    assert finding.mark is Mark.OK
    assert finding.text.startswith("int8: 4.")
    assert "streamed at every step at 12.5 GB/s; about " in finding.text
    assert "int8 110" in finding.text
    config = PipelineConfig(models_dir=clean_place, vram_limit_mib=2000)
    assert only(check.check_machine(config, is_running=False), "speed").mark is Mark.NOTE
    (clean_place / "packed" / "majicflus-v1.t5.int8.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    finding = only(check.check_machine(PipelineConfig(models_dir=clean_place), is_running=False), "speed")
    assert finding.mark is Mark.NOTE


@pytest.mark.usefixtures("gpu")
def test_read_only_folder_for_packed_weights_is_a_problem_until_they_are_there(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(clean_place)
    monkeypatch.setattr("pipeline.catalog.models.is_writable", lambda folder: folder == clean_place / "elsewhere")
    config = PipelineConfig(models_dir=clean_place)
    found = only(check.check_machine(config, is_running=False), "packed")
    assert found.mark is Mark.PROBLEM
    assert "17 GB" in found.text and str(clean_place / "packed") in found.text
    assert "packed_dir" in found.way_out
    elsewhere = config.model_copy(update={"packed_dir": clean_place / "elsewhere"})
    for each in (elsewhere, config):
        if each is config:
            write_measured(clean_place)
        assert not [one for one in check.check_machine(each, is_running=False) if one.topic == "packed"]


def write_measured(models_dir: Path) -> None:
    """What the first load of a large model leaves behind, with the sizes of FLUX.1 in 8 bits."""
    write_profile(
        models_dir / "packed",
        measured_card(gpu=CARD.name, driver=CARD.driver),
    )
    double = {f"blocks.{number}": 227 * 10**6 for number in range(19)}
    single = {f"single_blocks.{number}": 113 * 10**6 for number in range(38)}
    modulation = {f"{name}#modulation": 57 * 10**6 for name in (*double, *single)}
    parts = {
        "dit.int8": {"": 90 * 10**6, **double, **single, **modulation},
        "t5.int8": {"": 10**6, "shared": 263 * 10**6, **{f"encoder.block.{n}": 190 * 10**6 for n in range(24)}},
        "clip.bfloat16": {"": 10**6, "token_embedding": 76 * 10**6, "encoders.0": 14 * 10**6},
    }
    for part, sizes in parts.items():
        header = {name: {"dtype": "U8", "shape": [size], "data_offsets": [0, size]} for name, size in sizes.items()}
        text = json.dumps({"__metadata__": {"source": "x"}, **header}).encode()
        path = models_dir / "packed" / f"majicflus-v1.{part}.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("is_running", "mark"), [(False, Mark.PROBLEM), (True, Mark.NOTE)])
def test_too_little_memory_is_a_problem_unless_the_bot_itself_holds_it(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch, is_running: bool, mark: Mark
) -> None:
    write_model(clean_place)
    memory = psutil.virtual_memory()._replace(available=999 * 2**20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    config = PipelineConfig(models_dir=clean_place, vram_limit_mib=7700)
    findings = check.check_machine(config, is_running=is_running)
    assert only(findings, "memory").mark is mark
    assert only(findings, "gpu memory").mark is mark
    if mark is Mark.PROBLEM:
        assert "vram_limit_mib to at most 7600" in only(findings, "gpu memory").way_out


@pytest.mark.usefixtures("gpu")
def test_a_torch_without_cuda_beside_a_card_is_a_problem(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.device.gpu.torch_build", lambda: TorchBuild(version="2.15.0+cpu", cuda=None))
    finding = only(check.check_machine(PipelineConfig(models_dir=clean_place), is_running=False), "gpu")
    assert finding.mark is Mark.PROBLEM
    assert "PyTorch" in finding.text


@pytest.mark.usefixtures("enough_memory")
@pytest.mark.parametrize(("model", "way_out"), [("auto", 'device = "cpu"'), ("flux1-dev", 'model = "demo"')])
def test_card_or_driver_that_torch_cannot_use_is_a_problem_and_never_counts_as_one(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch, model: str, way_out: str
) -> None:
    old = replace(CARD, name="NVIDIA GeForce GTX 1070", driver="535.183.01", compute_capability=(6, 1))
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: old)
    write_model(clean_place)
    findings = check.check_machine(PipelineConfig(models_dir=clean_place, model=model), is_running=False)
    found = only(findings, "gpu")
    assert found.mark is Mark.PROBLEM
    assert "GTX 1070" in found.text and "535.183.01" in found.text and "6.1" in found.text
    assert "7.5" in found.way_out and found.way_out.endswith(way_out)
    assert not [finding for finding in findings if finding.topic == "gpu memory"]
    if model == "auto":
        assert "(demo)" in only(findings, "model").text


@pytest.mark.usefixtures("gpu")
def test_that_a_model_reads_no_chinese_is_noted_in_both_languages(clean_place: Path) -> None:
    write_model(clean_place)
    assert not [
        each
        for each in check.check_machine(PipelineConfig(models_dir=clean_place), is_running=False)
        if each.topic == "prompts"
    ]
    folder = clean_place / "black-forest-labs" / "FLUX.1-dev" / "tokenizer_2"
    shutil.rmtree(folder)
    write_tokenizer(clean_place)
    (folder / "tokenizer_config.json").write_text("{}")
    findings = check.check_machine(PipelineConfig(models_dir=clean_place), is_running=False)
    english, chinese = [each for each in findings if each.topic == "prompts"]
    assert english.mark is chinese.mark is Mark.NOTE
    assert "reads English: 3 of 3" in english.text and "只认识英文" in chinese.text


@pytest.mark.usefixtures("no_gpu")
def test_large_model_on_the_cpu_is_said_to_take_hours(clean_place: Path) -> None:
    config = PipelineConfig(models_dir=clean_place, model="flux1-dev", device="cpu")
    found = only(check.check_machine(config, is_running=False), "gpu")
    assert found.mark is Mark.NOTE
    assert "hours" in found.text


@pytest.mark.usefixtures("no_gpu")
def test_device_that_is_not_there_is_a_problem_with_both_ways_out(clean_place: Path) -> None:
    config = PipelineConfig(models_dir=clean_place, device="cuda")
    finding = only(check.check_machine(config, is_running=False), "gpu")
    assert finding.mark is Mark.PROBLEM
    assert "driver" in finding.way_out and finding.way_out.endswith('set [pipeline] device = "auto"')
    large = config.model_copy(update={"model": "flux1-dev"})
    finding = only(check.check_machine(large, is_running=False), "gpu")
    assert finding.way_out.endswith('set [pipeline] device = "auto" and set [pipeline] model = "demo"')


def test_an_unknown_model_is_a_problem_that_lists_the_known(clean_place: Path) -> None:
    [finding] = check.check_machine(PipelineConfig(models_dir=clean_place, model="fluxx"), is_running=False)
    assert finding.mark is Mark.PROBLEM
    assert finding.way_out == "set [pipeline] model to one of auto, majicflus-v1, flux1-dev, demo"


def test_the_demo_is_whole() -> None:
    assert check.files.missing(DEMO, Path("nowhere")) == []


# --- discord ----------------------------------------------------------------------------------------------


@pytest.fixture
async def discord_server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Discord]:
    monkeypatch.setattr(Route, "BASE", Route.BASE)  # put back after the test
    async with Discord() as server:
        yield server


async def ask(server: Discord, *, guilds: tuple[int, ...] = (), channels: tuple[int, ...] = ()) -> list[Finding]:
    section = DiscordConfig(api_url=server.api_base, allowed_guilds=guilds, allowed_channels=channels)
    return await check.check_discord(Config(discord=section), SecretStr(server.token))


async def test_the_bots_name_and_its_usable_channels_are_shown(discord_server: Discord) -> None:
    findings = await ask(discord_server)
    assert Mark.PROBLEM not in {finding.mark for finding in findings}
    assert discord_server.bot.username in findings[0].text
    assert f"#{discord_server.channel.name}" in only(findings, "server").text


async def test_what_the_bot_may_not_do_in_an_allowed_channel_is_named(discord_server: Discord) -> None:
    channel, bot = discord_server.channel, discord_server.bot
    discord_server.set_permissions(channel, bot, deny=Permission.ATTACH_FILES | Permission.EMBED_LINKS)
    finding = only(await ask(discord_server, channels=(int(channel.id),)), "channel")
    assert finding.mark is Mark.PROBLEM
    assert finding.text.endswith("lacks Embed Links, Attach Files")


async def test_without_an_allow_list_one_usable_channel_is_enough(discord_server: Discord) -> None:
    discord_server.add_channel("second")
    discord_server.set_permissions(discord_server.channel, discord_server.bot, deny=Permission.ATTACH_FILES)
    findings = await ask(discord_server)
    assert only(findings, "server").mark is Mark.OK
    assert only(findings, "channel").mark is Mark.NOTE


async def test_a_channel_that_nobody_knows_is_a_problem(discord_server: Discord) -> None:
    channels = (int(discord_server.channel.id), 42)
    finding = only(await ask(discord_server, channels=channels), "channel")
    assert (finding.mark, finding.text) == (Mark.PROBLEM, "42 is on none of the bot's servers")


async def test_a_server_without_the_bot_is_a_problem_with_the_invite_link(discord_server: Discord) -> None:
    finding = only(await ask(discord_server, guilds=(42,)), "server")
    assert finding.mark is Mark.PROBLEM
    assert "oauth2/authorize" in finding.way_out


async def test_a_refused_token_is_a_problem(discord_server: Discord) -> None:
    section = DiscordConfig(api_url=discord_server.api_base)
    [finding] = await check.check_discord(Config(discord=section), SecretStr("wrong"))
    assert finding.mark is Mark.PROBLEM
    assert finding.text == "the token is refused"
    assert "reset the token" in finding.way_out


@pytest.mark.parametrize("host", ["127.0.0.1:9", "nowhere.invalid"])
async def test_a_discord_that_does_not_answer_is_no_matter_of_the_token(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setattr(Route, "BASE", Route.BASE)
    section = DiscordConfig(api_url=f"http://{host}/api")
    [finding] = await check.check_discord(Config(discord=section), SecretStr("x"))
    assert finding.mark is Mark.PROBLEM
    assert finding.text.startswith(f"no connection to Discord (http://{host}/api)")
    assert "token" not in finding.text + finding.way_out


async def test_a_discord_that_is_silent_is_no_matter_of_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(Route, "BASE", Route.BASE)
    monkeypatch.setattr("discord.Client.login", hang)
    [finding] = await check.check_discord(Config(), SecretStr("x"))
    assert finding.text.startswith("no answer from Discord in 30 s")
    assert "token" not in finding.way_out


# --- the local page ---------------------------------------------------------------------------------------


def test_page_is_judged_like_a_start_of_it(clean_place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = ConsoleConfig(port=taken.getsockname()[1])
        finding = check.check_console(busy, is_running=False)
        assert (finding.mark, "[console] port" in finding.way_out) == (Mark.PROBLEM, True)
        assert check.check_console(busy, is_running=True).mark is Mark.OK
    assert check.check_console(busy, is_running=False).mark is Mark.OK
    open_to_all = check.check_console(ConsoleConfig(host="0.0.0.0", port=0), is_running=False)
    assert (open_to_all.mark, "no password" in open_to_all.text) == (Mark.PROBLEM, True)
    (clean_place / "password.txt").write_text("geheim\n")
    guarded = ConsoleConfig(host="0.0.0.0", port=0, password_file=Path("password.txt"))
    finding = check.check_console(guarded, is_running=False)
    assert (finding.mark, finding.text.endswith("with a password")) == (Mark.OK, True)
    assert check.check_console(ConsoleConfig(password_file=Path("none.txt")), is_running=False).mark is Mark.PROBLEM
    finding = check.check_console(ConsoleConfig(root_path="https://pictures.example"), is_running=True)
    assert (finding.mark, "no password" in finding.text) == (Mark.PROBLEM, True)
    finding = check.check_console(ConsoleConfig(root_path="/imagine"), is_running=True)
    assert (finding.mark, finding.text.endswith("shown by a proxy at /imagine")) == (Mark.OK, True)


# --- the page ---------------------------------------------------------------------------------------------


def test_local_page_is_shown_as_a_link() -> None:
    assert check.check_console(ConsoleConfig(), is_running=True).text == "the page: http://127.0.0.1:6006"
    assert check.check_console(ConsoleConfig(port=0), is_running=True).text == "the page: 127.0.0.1, any free port"


@pytest.fixture
def data_dir(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("IMAGINE_BOT__STORAGE__DATA_DIR", str(clean_place / "data"))
    monkeypatch.setenv("IMAGINE_BOT__STORAGE__MIN_FREE_MIB", "1")
    yield clean_place / "data"


@pytest.mark.usefixtures("no_gpu", "data_dir")
def test_the_page_ends_with_0_when_all_is_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", BOT_TOKEN)
    result = CliRunner().invoke(cli.app, ["check", "--offline"])
    assert result.exit_code == ExitCode.OK
    assert [line.split()[1] for line in result.stdout.splitlines() if line[:1] in {"✔", "•"}] == [
        "config", "token", "database", "disk", "gpu", "model", "files", "memory", "discord",
    ]  # fmt: skip
    assert BOT_TOKEN not in result.output


@pytest.mark.usefixtures("no_gpu", "data_dir")
def test_the_page_ends_with_1_and_a_way_out_for_every_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "client-secret")
    result = CliRunner().invoke(cli.app, ["check", "--offline"])
    assert result.exit_code == ExitCode.FAILED
    lines = result.stdout.splitlines()
    problems = [number for number, line in enumerate(lines) if line.startswith("✘")]
    assert problems
    assert all("→" in lines[number + 1] for number in problems)
    assert lines[-1] == f"{len(problems)} to mend"


@pytest.mark.parametrize(
    ("arguments", "environment", "says", "way_out"),
    [
        (["--config", "none.toml"], {}, "none.toml: there is no such file", "correct the path"),
        (["--config", "."], {}, ".: is a folder", "name a file: config.toml"),
        ([], {"IMAGINE_BOT__WORKR__X": "1"}, "unknown section", "environment variable IMAGINE_BOT__WORKR__X"),
        ([], {"IMAGINE_BOT__LIMITS__X": "1"}, "unknown key", "environment variable IMAGINE_BOT__LIMITS__X"),
    ],
)
def test_a_config_problem_that_is_no_line_has_its_own_way_out(
    clean_place: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    environment: dict[str, str],
    says: str,
    way_out: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(cli.app, ["check", *arguments])
    assert says in result.stdout
    assert way_out in result.stdout
    assert "mend this line" not in result.stdout


@pytest.mark.usefixtures("no_gpu")
def test_checking_leaves_nothing_behind(data_dir: Path) -> None:
    CliRunner().invoke(cli.app, ["check", "--offline"])
    assert not data_dir.exists()


async def test_commands_that_discord_does_not_offer_are_named(discord_server: Discord) -> None:
    finding = only(await ask(discord_server), "commands")
    assert (finding.mark, "/imagine, /queue, /cancel" in finding.text) == (Mark.NOTE, True)
    ours = [{"name": name, "description": "ours", "type": 1} for name in COMMANDS]
    discord_server.emu.commands.overwrite(None, ours[:-1])
    assert (
        only(await ask(discord_server), "commands").text
        == "Discord does not offer /admin on " + (only(await ask(discord_server), "server").text.partition(":")[0])
    )
    discord_server.emu.commands.overwrite(discord_server.guild.id, ours[-1:])
    assert "commands" not in {finding.topic for finding in await ask(discord_server)}
