"""`backup` and `restore` say what they did, and refuse in one sentence."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import Result

from bot.errors import ExitCode
from bot.store.backups.erased import note_erased
from bot.store.database import DATABASE_NAME, Database
from bot.store.key_value_store import SettingStore
from bot.store.lock import lock_path
from bot.store.pseudonyms import KEY_SETTING, pseudonym_of
from tests.bot.cli.command_line import invoke

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")
KEY = "ab" * 32


def refusal(result: Result) -> str:
    """The sentence of a refusal, before the line that says where more is said."""
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    said, more = result.stderr.splitlines()
    assert more == "→ more in docs/troubleshooting.md#backup"
    return str(said)


@pytest.fixture
def database(data_dir: Path) -> Path:
    async def make() -> None:
        async with Database.open(data_dir / DATABASE_NAME) as database:
            await SettingStore(database).set(KEY_SETTING, KEY)
            sql = "INSERT INTO user_settings (user_frontend, user_id, name, value) VALUES ('discord', '7', 'x', 'y')"
            await database.fetch_all(sql)

    asyncio.run(make())
    return data_dir / DATABASE_NAME


def test_backup_and_restore_say_what_they_did(database: Path, tmp_path: Path) -> None:
    file = tmp_path / "b.zip"
    made = invoke("backup", str(file))
    assert made.exit_code == ExitCode.OK
    assert "0 images" in made.stdout and "read back and verified" in made.stdout
    note_erased(database.parent, pseudonym_of(bytes.fromhex(KEY), "discord", "7"), now=2**33)
    assert "--overwrite" in refusal(invoke("restore", str(file)))
    restored = invoke("restore", "--overwrite", str(file))
    assert restored.exit_code == ExitCode.OK, restored.output
    assert "is kept as" in restored.stdout and "one person had everything deleted since" in restored.stdout
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT user_id FROM erasures").fetchall() == [("7",)]


def test_backup_without_a_name_is_put_here_or_into_the_folder(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("backup").exit_code == ExitCode.OK
    assert len(list(tmp_path.glob("imagine-bot-backup-*.zip"))) == 1
    (tmp_path / "folder").mkdir()
    assert invoke("backup", "--no-images", str(tmp_path / "folder")).exit_code == ExitCode.OK
    assert len(list((tmp_path / "folder").glob("imagine-bot-backup-*.zip"))) == 1


def test_backup_of_nothing_and_over_something_is_refused(data_dir: Path, tmp_path: Path) -> None:
    nothing = invoke("backup", str(tmp_path / "b.zip"))
    assert nothing.exit_code == ExitCode.FAILED and "there is no database" in nothing.stderr


def test_existing_file_is_never_overwritten(database: Path, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"mine")
    refused = invoke("backup", str(tmp_path / "b.zip"))
    assert refused.exit_code == ExitCode.FAILED and "is there already" in refused.stderr
    assert (tmp_path / "b.zip").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["missing.zip", "", ".", "\x1b[31m.zip"])
def test_file_that_is_none_is_refused_in_one_line(name: str, data_dir: Path, tmp_path: Path) -> None:
    assert "cannot be restored" in refusal(invoke("restore", str(tmp_path / name)))


def test_running_bot_is_not_restored_under(database: Path, tmp_path: Path) -> None:
    invoke("backup", str(tmp_path / "b.zip"))
    with FileLock(lock_path(database)):
        refused = invoke("restore", "--overwrite", str(tmp_path / "b.zip"))
    assert refused.exit_code == ExitCode.ALREADY_RUNNING


def test_one_image_is_no_images(database: Path, tmp_path: Path) -> None:
    """Nor is one that is missing."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(
            """
            INSERT INTO jobs (request_key, user_frontend, user_id, reply_frontend, reply_key, reply_address,
                              spec, model, size_class, status, queued_at, finished_at, image_path)
            VALUES ('k', 'discord', '8', 'discord', 'c', '{}', '{}', 'demo', 1, 'done', 1, 2, '00000/1-ab.png')
            """
        )
    made = invoke("backup", str(tmp_path / "b.zip"))
    assert "1 image that the database names could not be opened" in made.stdout and "0 images, " in made.stdout
