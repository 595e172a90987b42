"""A backup brings back what it holds, whoever made it; and nothing that goes wrong costs what was there."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from bot.errors import AlreadyRunning, BackupFailed, BackupUnusable, DatabaseUnusable
from bot.jobs import Request, UserKey
from bot.store.backups import restoring, writing
from bot.store.backups.erased import FILE_NAME, erased_people, note_erased
from bot.store.backups.manifest import MANIFEST_NAME
from bot.store.backups.restoring import restore_backup
from bot.store.backups.writing import Backup, Stopped, make_backup
from bot.store.database import DATABASE_NAME, Database
from bot.store.erasure_store import ErasureStore
from bot.store.image_store import IMAGES_FOLDER, ImageStore
from bot.store.job_store import JobStore
from bot.store.key_value_store import SettingStore
from bot.store.lock import lock_path
from bot.store.moderation_store import Ban, ListedWord, ModerationStore
from bot.store.preflight import look
from bot.store.pseudonyms import KEY_SETTING, Pseudonyms
from bot.store.schema import migrations
from bot.store.usage_store import Measurement
from pipeline import ImageSpec
from tests.bot.store.test_migration import FIXTURE

PNG = b"\x89PNG\r\n\x1a\n"
SOURCE = sha256(b"source").hexdigest()
KEYS = [sha256(word).hexdigest() for word in (b"one", b"two")]


@dataclass
class Home:
    """A data folder in which two people drew."""

    folder: Path
    spec: ImageSpec
    make_request: Callable[..., Request]

    @property
    def database(self) -> Path:
        return self.folder / DATABASE_NAME

    async def draw(self, *users: str, **changes: Any) -> list[str]:
        paths = []
        async with Database.open(self.database) as database:
            settings = SettingStore(database)
            jobs = JobStore(database, pseudonym_of=(await Pseudonyms.open(settings)).of)
            images = ImageStore(self.folder / IMAGES_FOLDER)
            from bot.config import LimitsConfig

            limits = LimitsConfig(
                max_waiting=10_000, max_active_per_user=1000, max_images_per_day=100_000, cooldown_s=0
            )
            for user in users:
                spec = replace(self.spec, prompt=f"by {user}", **changes)
                job = await jobs.insert(self.make_request(user), spec, size_class=1, limits=limits, now=1)
                assert job is not None
                await jobs.claim(job.id, now=2)
                path = await images.write(job.id, PNG + f"{user} {job.id}".encode())
                paths.append(path)
                measured = Measurement(step_s=1.0, fixed_s=1.0)
                await jobs.finish(job.id, image_path=path, image_bytes=9, ran_s=1.0, measured=measured, now=3)
            await settings.set("process.running_since", "5")
        return paths

    async def people(self) -> dict[int, str]:
        async with Database.open(self.database) as database:
            rows = await database.fetch_all("SELECT id, user_id FROM jobs WHERE status = 'done'")
            return {row["id"]: row["user_id"] for row in rows}

    def files(self) -> dict[str, bytes]:
        folder = self.folder / IMAGES_FOLDER
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


@pytest.fixture
async def home(tmp_path: Path, spec: ImageSpec, make_request: Callable[..., Request]) -> Home:
    home = Home(tmp_path / "data", spec, make_request)
    await home.draw("ann", "bob")
    images = ImageStore(home.folder / IMAGES_FOLDER)
    for key in (SOURCE, *KEYS):
        await images.write_source(key, PNG + key.encode())
    await home.draw("ann", source=SOURCE, strength=0.5)
    await home.draw("bob", references=",".join(KEYS))
    return home


@pytest.fixture
def backup(home: Home, tmp_path: Path) -> Path:
    return make_backup(home.folder, tmp_path / "out" / "backup.zip", release="x").path


def remade(backup: Path, change: Callable[[dict[str, bytes], dict[str, Any]], None], path: Path | None = None) -> Path:
    """The same backup, as a stranger made it."""
    with zipfile.ZipFile(backup) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop(MANIFEST_NAME))
    change(files, manifest)
    path = path or backup.with_name("hostile.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(MANIFEST_NAME, json.dumps(manifest))
    return path


def listed(files: dict[str, bytes], manifest: dict[str, Any], name: str, content: bytes) -> None:
    files[name] = content
    manifest["files"][name] = {"bytes": len(content), "sha256": sha256(content).hexdigest()}


async def test_backup_brings_everything_back_into_an_empty_folder(home: Home, backup: Path, tmp_path: Path) -> None:
    before, people = home.files(), await home.people()
    other = replace(home, folder=tmp_path / "other")
    restored = restore_backup(backup, other.folder)
    assert (restored.images, restored.aside, restored.erased_again) == (len(before), None, 0)
    assert other.files() == before and len(before) == 7
    assert await other.people() == people
    assert (other.folder.stat().st_mode & 0o777, other.database.stat().st_mode & 0o077) == (0o700, 0)
    assert not list(other.folder.glob(".restore-*"))


async def test_backup_is_made_while_the_bot_works_and_writes(home: Home, tmp_path: Path) -> None:
    async with Database.open(home.database) as database:
        await SettingStore(database).set("in the -wal file", "yes")
        made = make_backup(home.folder, tmp_path / "live.zip", release="x")
        await SettingStore(database).set("after", "yes")
    assert made.images == 7 and made.missing == () and made.path.stat().st_mode & 0o077 == 0
    other = replace(home, folder=tmp_path / "other")
    restore_backup(made.path, other.folder)
    async with Database.open(other.database) as database:
        settings = SettingStore(database)
        assert await settings.get("in the -wal file") == "yes" and await settings.get("after") is None
        assert await settings.get("process.running_since") is None, "no crash is told of a backup"


def test_backup_holds_no_images_that_no_row_names_and_says_which_are_gone(home: Home, tmp_path: Path) -> None:
    stray = home.folder / IMAGES_FOLDER / "00000" / "77-aa.png"
    stray.write_bytes(PNG)
    gone = next(path for path in home.files() if path.startswith("00000/1-"))
    (home.folder / IMAGES_FOLDER / gone).unlink()
    made = make_backup(home.folder, tmp_path / "b.zip", release="x")
    assert made.missing == (gone,)
    assert f"{IMAGES_FOLDER}/00000/77-aa.png" not in zipfile.ZipFile(made.path).namelist()


def test_rows_that_name_files_elsewhere_take_nothing_into_a_backup(home: Home, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    with closing(sqlite3.connect(home.database)) as connection:
        connection.execute("UPDATE jobs SET image_path = '../../secret.png' WHERE id = 1")
        connection.commit()
    names = zipfile.ZipFile(make_backup(home.folder, tmp_path / "b.zip", release="x").path).namelist()
    assert not [name for name in names if "secret" in name]


def test_without_images_the_database_alone_is_kept(home: Home, tmp_path: Path) -> None:
    made = make_backup(home.folder, tmp_path / "b.zip", release="x", with_images=False)
    assert zipfile.ZipFile(made.path).namelist() == [DATABASE_NAME, MANIFEST_NAME]


@pytest.mark.parametrize("trouble", ["no database", "exists", "stopped", "no room", "damaged", "folder is a file"])
def test_backup_that_cannot_be_made_leaves_nothing(
    trouble: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, kinds = tmp_path / "out" / "b.zip", BackupFailed
    options: dict[str, Any] = {}
    target.parent.mkdir()
    if trouble == "no database":
        shutil.rmtree(home.folder)
    elif trouble == "exists":
        target.write_bytes(b"mine")
    elif trouble == "stopped":
        options["should_stop"], kinds = lambda: True, Stopped  # type: ignore[assignment]
    elif trouble == "no room":
        options["min_free_bytes"] = 2**60
    elif trouble == "damaged":
        content = bytearray(home.database.read_bytes())
        content[4096:12288] = bytes(8192)
        home.database.write_bytes(content)
    else:
        target = target.parent / "file" / "b.zip"
        target.parent.write_bytes(b"")
    with pytest.raises(kinds):
        make_backup(home.folder, target, release="x", **options)
    left = [path for path in (tmp_path / "out").rglob("*") if path.name != "file"]
    assert left == ([target] if trouble == "exists" else [])
    assert trouble != "exists" or target.read_bytes() == b"mine"


def test_backup_that_reads_back_differently_is_none(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = writing._add

    def lie(*args: Any) -> Any:
        return write(*args).model_copy(update={"sha256": "0" * 64})

    monkeypatch.setattr(writing, "_add", lie)
    with pytest.raises(BackupFailed, match="disk may be broken"):
        make_backup(home.folder, tmp_path / "b.zip", release="x")
    assert not (tmp_path / "b.zip").exists()


async def test_restore_replaces_nothing_without_being_told_to(home: Home, backup: Path) -> None:
    await home.draw("later")
    before = home.database.read_bytes()
    with pytest.raises(BackupUnusable, match="--overwrite"):
        restore_backup(backup, home.folder)
    assert home.database.read_bytes() == before


async def test_what_was_there_is_kept_as_a_copy_and_numbers_go_on(home: Home, backup: Path) -> None:
    await home.draw("later")
    restored = restore_backup(backup, home.folder, may_overwrite=True)
    assert 5 not in await home.people()
    assert restored.aside is not None and restored.aside.name.startswith(f"imagine-bot.v{migrations()[-1].version}.")
    with closing(sqlite3.connect(restored.aside)) as connection:
        assert connection.execute("SELECT user_id FROM jobs WHERE id = 5").fetchone() == ("later",)
    await home.draw("newest")
    assert max(await home.people()) == 6, "number 5 stands on a message on Discord"


def test_running_bot_is_never_restored_under(home: Home, backup: Path) -> None:
    with FileLock(lock_path(home.database)), pytest.raises(AlreadyRunning):
        restore_backup(backup, home.folder, may_overwrite=True)


async def test_people_erased_since_are_erased_again(home: Home, backup: Path) -> None:
    async with Database.open(home.database) as database:
        pseudonyms = await Pseudonyms.open(SettingStore(database))
    ann, bob = (UserKey(frontend="test", id=name) for name in ("ann", "bob"))
    made_at = json.loads(zipfile.ZipFile(backup).read(MANIFEST_NAME))["made_at"]
    note_erased(home.folder, pseudonyms.of(ann), now=made_at)
    note_erased(home.folder, pseudonyms.of(bob), now=made_at - 1)  # and he came back before the backup
    restored = restore_backup(backup, home.folder, may_overwrite=True)
    assert restored.erased_again == 1
    async with Database.open(home.database) as database:
        assert await ErasureStore(database).pending() == [ann]
    assert set(erased_people(home.folder)) == {pseudonyms.of(ann), pseudonyms.of(bob)}, "for the next restore"


@pytest.mark.parametrize("which", ["deleted", "removed"])
async def test_image_that_is_gone_since_does_not_come_back(home: Home, backup: Path, which: str) -> None:
    """Neither its row nor its file, though the backup has both; the others do."""
    before = home.files()
    async with Database.open(home.database) as database:
        jobs, images = JobStore(database), ImageStore(home.folder / IMAGES_FOLDER)
        job, other = await jobs.get(3), await jobs.get(1)
        assert job is not None and job.image_path is not None and other is not None and job.spec.source == SOURCE
        if which == "deleted":
            await images.delete(job.image_path)
            await jobs.erase(job.id, now=9)
        else:
            decisions = ModerationStore(database)
            await images.delete(job.image_path)
            assert await decisions.remove(job, "rude", now=9) is not None
        await images.delete_source(SOURCE)
        await images.delete(str(other.image_path))  # by accident
    restored = restore_backup(backup, home.folder, may_overwrite=True)
    assert set(before) - set(home.files()) == {job.image_path, f"sources/{SOURCE[:2]}/{SOURCE}.png"}
    assert restored.images == len(before) - 2
    async with Database.open(home.database) as database:
        again = await JobStore(database).get(job.id)
    assert again is not None and again.is_erased and (again.image_path, again.spec.prompt) == (None, "")
    assert again.moderated_reason == (None if which == "deleted" else "rude")


async def decide(home: Home, *people: str, words: tuple[str, ...] = ()) -> None:
    """Let these bans and words hold, and no others."""
    async with Database.open(home.database) as database:
        store, pseudonyms = ModerationStore(database), await Pseudonyms.open(SettingStore(database))
        for ban in await store.bans():
            await store.unban(ban.person)
        for word in await store.words():
            await store.remove_word(word.word)
        for name in people:
            person = pseudonyms.of(UserKey(frontend="test", id=name))
            await store.ban(
                Ban(person=person, user_frontend="test", user_id=name, reason="", banned_at=1, until_at=None)
            )
        for word in words:
            await store.put_word(ListedWord(word=word, is_restricted=False), now=1)


async def decided(home: Home) -> tuple[set[str | None], set[str]]:
    async with Database.open(home.database) as database:
        store = ModerationStore(database)
        return {ban.user_id for ban in await store.bans()}, {word.word for word in await store.words()}


@pytest.mark.parametrize("state", ["whole", "damaged", "of another bot", "of an earlier release", "gone"])
async def test_bans_and_words_are_those_of_now_if_they_can_be_told(home: Home, tmp_path: Path, state: str) -> None:
    await decide(home, "ann", "bob", words=("rude", "old"))
    made = make_backup(home.folder, tmp_path / "b.zip", release="x").path
    await decide(home, "bob", "eve", words=("rude", "new"))
    match state:
        case "damaged":
            home.database.write_bytes(b"garbage" * 1000)
        case "of another bot":
            with closing(sqlite3.connect(home.database, isolation_level=None)) as connection:
                connection.execute("UPDATE settings SET value = 'ab' WHERE key = ?", (KEY_SETTING,))
        case "of an earlier release":
            with closing(sqlite3.connect(home.database, isolation_level=None)) as connection:
                connection.execute("DROP TABLE blocked_words")
        case "gone":
            home.database.unlink()
    restore_backup(made, home.folder, may_overwrite=True)
    then = ({"ann", "bob"}, {"rude", "old"})
    assert await decided(home) == (({"bob", "eve"}, {"rude", "new"}) if state == "whole" else then)


@pytest.mark.parametrize("name", ["bot #1", "what?", "100%25", "a&mode=rwc", "图片 ü"])
async def test_folder_of_any_name_is_backed_up_and_restored(home: Home, tmp_path: Path, name: str) -> None:
    """SQLite takes addresses for files, in which `#` and `?` mean something."""
    folder = tmp_path / name
    home.folder.rename(folder)
    made = make_backup(folder, tmp_path / "b.zip", release="x")
    assert made.images == 7 and not made.missing
    restore_backup(made.path, folder, may_overwrite=True)
    assert len(await replace(home, folder=folder).people()) == 4
    assert look(folder / DATABASE_NAME).last_number == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "b.zip"])


def test_list_of_the_erased_goes_with_the_backup(home: Home, tmp_path: Path) -> None:
    note_erased(home.folder, "ab" * 32, now=7)
    made = make_backup(home.folder, tmp_path / "b.zip", release="x")
    restore_backup(made.path, tmp_path / "other")
    assert erased_people(tmp_path / "other") == {"ab" * 32: 7}


def test_damaged_list_of_the_erased_is_read_as_far_as_it_can_be(tmp_path: Path) -> None:
    assert erased_people(tmp_path) == {}
    note_erased(tmp_path, "ab" * 32, now=7)
    with (tmp_path / FILE_NAME).open("ab") as file:
        file.write(b"\xff\x00 broken" + b"cd" * 32 + b" 99999999999999999999\n" + b"ef" * 20)
    note_erased(tmp_path, "12" * 32, now=8)
    note_erased(tmp_path, "12" * 32, now=3)
    assert erased_people(tmp_path) == {"ab" * 32: 7, "12" * 32: 8}


def _traversal(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    listed(files, manifest, "images/../../../evil.png", PNG)


def _absolute(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    listed(files, manifest, "/tmp/evil.png", PNG)


def _backslash(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    listed(files, manifest, "images\\..\\evil.png", PNG)


def _other_file(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    listed(files, manifest, "config.toml", b"x")


def _no_image(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    listed(files, manifest, "images/00000/9-aa.png", b"<html>")


def _unlisted(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    files["images/00000/9-aa.png"] = PNG


def _not_there(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    listed(files, manifest, "images/00000/9-aa.png", PNG)
    del files["images/00000/9-aa.png"]


def _other_content(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    name = next(name for name in files if name.startswith("images/0"))
    files[name] = files[name][:-1] + b"!"


def _huge(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["files"][DATABASE_NAME]["bytes"] = 2**39


def _size_of_a_lie(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["files"][DATABASE_NAME]["bytes"] = True


def _newer(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["schema_version"] = migrations()[-1].version + 1


def _other_version(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["schema_version"] = 2


def _other_format(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["format"] = 2


def _no_database(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    del files[DATABASE_NAME], manifest["files"][DATABASE_NAME]


def _no_sqlite(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    listed(files, manifest, DATABASE_NAME, b"not a database" * 100)


def _list(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    manifest["files"] = [1, 2]


def _in_database(files: dict[str, bytes], manifest: dict[str, Any], statement: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(files[DATABASE_NAME])
        connection.executescript(statement)
        listed(files, manifest, DATABASE_NAME, connection.serialize())


def _trigger(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    _in_database(files, manifest, "CREATE TRIGGER evil AFTER INSERT ON jobs BEGIN DELETE FROM bans; END")


def _changed_trigger(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    statement = "CREATE TRIGGER copies_go_with_their_job AFTER DELETE ON jobs BEGIN DELETE FROM bans; END"
    _in_database(files, manifest, f"DROP TRIGGER copies_go_with_their_job; {statement}")


def _no_table(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    _in_database(files, manifest, "DROP TABLE bans")


HOSTILE = [
    _traversal, _absolute, _backslash, _other_file, _no_image, _unlisted, _not_there, _other_content, _huge,
    _size_of_a_lie, _newer, _other_version, _other_format, _no_database, _no_sqlite, _list, _trigger,
    _changed_trigger, _no_table,
]  # fmt: skip


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__)
def test_hostile_backup_is_refused_and_changes_nothing(change: Any, home: Home, backup: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in home.folder.rglob("*") if path.is_file()}
    with pytest.raises(BackupUnusable) as refused:
        restore_backup(remade(backup, change), home.folder, may_overwrite=True)
    assert "newer release" in str(refused.value) if change is _newer else True
    after = {path: path.read_bytes() for path in home.folder.rglob("*") if path.is_file()}
    after.pop(lock_path(home.database), None)
    before.pop(lock_path(home.database), None)
    assert after == before and not list(tmp_path.rglob("evil*"))


def _bomb() -> bytes:
    """A kilobyte that says it is small and unpacks to a hundred megabytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(DATABASE_NAME, bytes(100 * 2**20))
        manifest = {"release": "x", "made_at": 1, "schema_version": 1}
        manifest["files"] = {DATABASE_NAME: {"bytes": 100, "sha256": "0" * 64}}
        archive.writestr(MANIFEST_NAME, json.dumps(manifest))
    content = buffer.getvalue()
    return content.replace((100 * 2**20).to_bytes(4, "little"), (100).to_bytes(4, "little"))


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"text", _bomb(), PNG * 100, b"PK\x05\x06" + bytes(18)],
    ids=["empty", "short", "text", "bomb", "an image", "an empty archive"],
)
def test_file_that_is_no_backup_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    path.write_bytes(content)
    with pytest.raises(BackupUnusable):
        restore_backup(path, tmp_path / "data")
    assert sorted(each.name for each in (tmp_path / "data").iterdir()) == ["imagine-bot.lock"]


def test_every_cut_and_flipped_byte_is_found_or_harmless(home: Home, backup: Path, tmp_path: Path) -> None:
    content = backup.read_bytes()
    wanted = home.files()
    for place in range(0, len(content), len(content) // 23):
        for number, broken in enumerate((content[:place], content[:place] + b"\x55" + content[place + 1 :])):
            path, folder = tmp_path / "broken.zip", tmp_path / f"data-{place}-{number}"
            path.write_bytes(broken)
            try:
                restore_backup(path, folder)
            except BackupUnusable:
                assert not (folder / DATABASE_NAME).exists()
            else:
                assert replace(home, folder=folder).files() == wanted


@pytest.mark.parametrize("path", ["missing.zip", "."])
def test_what_is_no_file_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(BackupUnusable):
        restore_backup(tmp_path / path, tmp_path / "data")


class Killed(BaseException):
    """A process that ends at once."""


@pytest.mark.parametrize("where", ["_unpack_file", "_check_database", "_ready", "_place_image", "_set_aside"])
async def test_restore_that_is_killed_leaves_what_was_there_and_works_again(
    where: str, home: Home, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await home.draw("later")
    people, files, calls = await home.people(), home.files(), 0
    function = getattr(restoring, where)

    def kill(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        result = function(*args)
        if calls == 2 or where in ("_check_database", "_ready", "_set_aside"):
            raise Killed
        return result

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(restoring, where, kill)
        restore_backup(backup, home.folder, may_overwrite=True)
    assert await home.people() == people and home.files() == files
    restore_backup(backup, home.folder, may_overwrite=True)
    assert sorted((await home.people()).values()) == ["ann", "ann", "bob", "bob"]


def test_leftovers_of_a_killed_restore_are_swept(home: Home, backup: Path, tmp_path: Path) -> None:
    leftover = home.folder / ".restore-abc"
    leftover.mkdir()
    (leftover / DATABASE_NAME).write_bytes(b"half")
    restore_backup(backup, home.folder, may_overwrite=True)
    assert not leftover.exists()


def test_damaged_database_is_replaced_and_kept_as_it_was(home: Home, backup: Path) -> None:
    home.database.write_bytes(b"garbage" * 1000)
    home.database.with_name(f"{DATABASE_NAME}-wal").write_bytes(b"its log")
    restored = restore_backup(backup, home.folder, may_overwrite=True)
    assert restored.aside is not None and restored.aside.read_bytes() == b"garbage" * 1000
    with closing(sqlite3.connect(home.database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_folder_that_cannot_be_used_is_told(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DatabaseUnusable):
        restore_backup(backup, tmp_path / "file" / "data")


async def test_backup_of_an_earlier_schema_is_restored_and_people_erased_since_are_found(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    with closing(sqlite3.connect(old / DATABASE_NAME)) as connection:
        connection.executescript(FIXTURE.read_text("utf-8"))
    made: Backup = make_backup(old, tmp_path / "b.zip", release="0.0.1")
    async with Database.open(old / DATABASE_NAME) as database:  # migrated, with a key from now on
        person = (await JobStore(database).get(1) or pytest.fail("no job")).user
        pseudonyms = await Pseudonyms.open(SettingStore(database))
    note_erased(old, pseudonyms.of(person), now=2**33)
    assert restore_backup(made.path, old, may_overwrite=True).erased_again == 1
    async with Database.open(old / DATABASE_NAME) as database:
        assert await ErasureStore(database).pending() == [person]
        assert (await Pseudonyms.open(SettingStore(database))).of(person) == pseudonyms.of(person)
