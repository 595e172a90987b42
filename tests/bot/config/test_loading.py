"""The config file: what loads, what is refused, and how the refusal reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from bot.config import (
    MAX_CONFIG_BYTES,
    ConsoleConfig,
    DiscordConfig,
    default_config_paths,
    load_config,
    load_passwords,
    load_token,
)
from bot.errors import ConfigError, ExitCode

ROOT = Path(__file__).parents[3]
BOT_TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.abcdefghijklmnopqrstuvwxyz0123456789AB"


pytestmark = pytest.mark.usefixtures("clean_place")


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, "utf-8")
    return path


def problems(path: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return caught.value.problems


def test_without_a_file_everything_has_a_default() -> None:
    config, path = load_config()
    assert path is None
    assert (config.limits.max_waiting, config.limits.max_active_per_user, config.limits.max_images_per_day) == (
        30,
        3,
        50,
    )
    assert config.discord.api_url == "https://discord.com/api/v10"
    assert config.pipeline.model == "auto"


def test_the_file_in_the_working_folder_wins_over_the_users(clean_place: Path) -> None:
    here, users = default_config_paths()
    users.parent.mkdir(parents=True)
    users.write_text("[limits]\nmax_waiting = 7\n")
    assert load_config()[0].limits.max_waiting == 7
    here.write_text("[limits]\nmax_waiting = 8\n")
    config, path = load_config()
    assert (config.limits.max_waiting, path) == (8, here)


def test_a_file_with_a_byte_order_mark_loads(clean_place: Path) -> None:
    path = clean_place / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf[limits]\r\nmax_waiting = 9\r\n")
    assert load_config(path)[0].limits.max_waiting == 9


def test_the_environment_wins_over_the_file(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(clean_place, "[limits]\nmax_waiting = 7\ncooldown_s = 1\n")
    monkeypatch.setenv("IMAGINE_BOT__LIMITS__MAX_WAITING", "11")
    monkeypatch.setenv("IMAGINE_BOT__DISCORD__ALLOWED_GUILDS", "[1, 2]")
    config, _ = load_config(path)
    assert (config.limits.max_waiting, config.limits.cooldown_s) == (11, 1)
    assert config.discord.allowed_guilds == (1, 2)


@pytest.mark.parametrize(
    ("text", "root_path"),
    [
        ("", ""),
        ("/", ""),
        ("/imagine", "/imagine"),
        ("/imagine/", "/imagine"),
        ("/a/b-c_d.e~1", "/a/b-c_d.e~1"),
        ("https://pictures.example", "https://pictures.example"),
        ("https://pictures.example/", "https://pictures.example"),
        ("http://pictures.example:8443/imagine/", "http://pictures.example:8443/imagine"),
        ("https://[2001:db8::1]:8443/imagine", "https://[2001:db8::1]:8443/imagine"),
    ],
)
def test_root_path_is_a_path_or_a_whole_address(text: str, root_path: str) -> None:
    assert ConsoleConfig(root_path=text).root_path == root_path


@pytest.mark.parametrize(
    "text",
    [
        "imagine",
        "//imagine",
        "/a//b",
        "/..",
        "/a/../b",
        "/a b",
        "/a?b",
        "/a#b",
        "/é",
        "/a%20b",
        "/a\\b",
        "/a;b",
        "/a\n",
        "a/",
    ]
    + [f"https://{rest}" for rest in ("", "/", "/x", "a b", "a@b", "a:99999", "a:0", "a:x", "a?b", "[::1", "é.example")]
    + ["ftp://a", "HTTPS:a", "pictures.example/imagine", "javascript://a"],
)
def test_root_path_that_is_neither_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValidationError, match=r"must be a path like /imagine, or a whole address like https://"):
        ConsoleConfig(root_path=text)


def test_all_problems_are_told_at_once_each_with_its_place(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        clean_place,
        """
        [limits]
        max_waitin = 3
        cooldown_s = -1
        max_active_per_user = "many"
        [limts]
        max_waiting = 3
        [pipeline]
        device = "tpu"
        """,
    )
    monkeypatch.setenv("IMAGINE_BOT__WORKR__MAX_ATTEMPTS", "1")
    told = problems(path)
    assert sorted(told) == sorted(
        [
            "IMAGINE_BOT__WORKR__MAX_ATTEMPTS: unknown section 'workr'; did you mean 'worker'?",
            f"{path}: [limits] max_waitin: unknown key; did you mean 'max_waiting'?",
            f"{path}: [limits] cooldown_s: must be at least 0, not -1",
            f"{path}: [limits] max_active_per_user: must be a whole number, not 'many'",
            f"{path}: [limts]: unknown section; did you mean 'limits'?",
            f"{path}: [pipeline] device: must be 'auto', 'cuda' or 'cpu', not 'tpu'",
        ]
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("limits = 3", "[limits]: must be a section with keys of its own, not 3"),
        ("[limits.max_waiting]\na = 1", "[limits] max_waiting"),
        ("[discord]\napi_url = 'ftp://x'", "must be an address like https://host/path"),
        ('[discord]\napi_url = "https://x\\n/api"', "must be an address like https://host/path"),
        ('[discord]\nproxy = "http://proxy\\n:3128"', "[discord] proxy: must be an address like http://host:3128"),
        ('[pipeline]\nendpoint = "https://a b"', "[pipeline] endpoint: must be an address like https://modelscope.cn"),
        ('[pipeline]\nendpoint = "https://a\\u200b"', "[pipeline] endpoint: must be an address"),
        ("[discord]\nallowed_channels = 5", "[discord] allowed_channels: must be a list, like [1, 2], not 5"),
        ("[discord]\nallowed_channels = [1, 'a']", "allowed_channels: entry 2 must be a whole number, not 'a'"),
        ("[limits]\nmax_waiting = 1.5", "[limits] max_waiting: must be a whole number, not 1.5"),
        ("[limits]\nmax_waiting = 0", "[limits] max_waiting: must be at least 1, not 0"),
        ("[limits]\nmax_waiting = 10001", "[limits] max_waiting: must be at most 10000, not 10001"),
        ("[limits]\nmax_waiting = '3'", "[limits] max_waiting: must be a whole number, not '3'"),
        ("[storage]\nhistory_days = true", "[storage] history_days: must be a whole number, not true"),
        ("[discord]\nallowed_guilds = [1, true]", "allowed_guilds: entry 2 must be a whole number, not true"),
        ("[console]\nport = '6006'", "[console] port: must be a whole number, not '6006'"),
        ("[console]\nenabled = 1", "[console] enabled: must be true or false, not 1"),
        ("[pipeline]\ncompile = 'yes'", "[pipeline] compile: must be true or false, not 'yes'"),
        ("[delivery]\nretry_first_s = '2'", "[delivery] retry_first_s: must be a number, not '2'"),
        ("[delivery]\nretry_first_s = true", "[delivery] retry_first_s: must be a number, not true"),
        ("[delivery]\nretry_first_s = 'x'", "[delivery] retry_first_s: must be a number, not 'x'"),
        ("[delivery]\nretry_first_s = 0", "[delivery] retry_first_s: must be more than 0"),
        ("[delivery]\nretry_first_s = 9\nretry_max_s = 8", "retry_max_s: must be at least retry_first_s, which is 9"),
        ("[delivery]\nretry_first_s = 400", "retry_max_s: must be at least retry_first_s, which is 400"),
        ("[storage]\ndata_dir = 3", "[storage] data_dir: must be a path in quotes, not 3"),
        ("[pipeline]\nmodel = 3", "[pipeline] model: must be text in quotes, not 3"),
        ("[pipeline]\nmodel = 'fluxx'", "must be the name of a model, not 'fluxx'; did you mean 'flux1-dev'?"),
        (
            "[pipeline]\nmodel = ''",
            "known: auto, majicflus-v1, flux1-dev, flux1-schnell, z-image-turbo, flux2-klein-4b, sdxl, sd15, demo",
        ),
        ("[delivery]\nretry_first_s = nan", "[delivery] retry_first_s"),
        ("[delivery]\nretry_max_s = inf", "[delivery] retry_max_s"),
        ("[log]\nlevel = 'loud'", "[log] level"),
        ("[pipeline]\nvram_limit_mib = 8", "[pipeline] vram_limit_mib"),
        ("[storage", "is not valid TOML"),
        ("a = 1\na = 2", "is not valid TOML"),
    ],
)
def test_a_wrong_value_is_named_with_its_file(clean_place: Path, text: str, says: str) -> None:
    path = write(clean_place, text)
    [told] = problems(path)
    assert told.startswith(f"{path}: ")
    assert says in told


def test_an_unknown_key_lists_the_known_ones_when_none_is_near(clean_place: Path) -> None:
    [told] = problems(write(clean_place, "[log]\nzzzzzz = 1"))
    assert told.endswith("known: level, format")


def test_a_wrong_value_in_the_environment_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGINE_BOT__LIMITS__MAX_WAITING", "lots")
    [told] = problems()
    assert told.startswith("IMAGINE_BOT__LIMITS__MAX_WAITING: [limits] max_waiting")


def test_the_environment_has_text_for_everything_and_wins_over_a_wrong_type(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGINE_BOT__CONSOLE__ENABLED", "1")
    monkeypatch.setenv("IMAGINE_BOT__LIMITS__MAX_WAITING", "4")
    config, _ = load_config(write(clean_place, "[limits]\nmax_waiting = '3'\n[delivery]\nretry_first_s = 2\n"))
    assert (config.console.enabled, config.limits.max_waiting, config.delivery.retry_first_s) == (True, 4, 2.0)


def test_a_variable_that_names_no_key_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGINE_BOT__LIMITS", '{"max_waiting": 3}')
    assert problems() == ("IMAGINE_BOT__LIMITS: names no key; write IMAGINE_BOT__LIMITS__KEY",)


def test_a_list_in_the_environment_that_is_no_json_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGINE_BOT__DISCORD__ALLOWED_GUILDS", "1,2")
    [told] = problems()
    assert told == (
        "IMAGINE_BOT__DISCORD__ALLOWED_GUILDS: [discord] allowed_guilds: must be a list, like [1, 2], not '1,2'"
    )


def test_a_list_that_is_no_json_hides_no_other_problem(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGINE_BOT__DISCORD__ALLOWED_GUILDS", "[1")
    path = write(
        clean_place, "[delivery]\nretry_max_s = 1\ngive_up_after_s = 0\n[pipeline]\nmodel = 'x'\ndevice = 'x'\n"
    )
    assert len(problems(path)) == 5


@pytest.mark.parametrize("model", ["auto", "demo", "fake"])
def test_every_model_with_a_card_may_be_chosen(clean_place: Path, model: str) -> None:
    assert load_config(write(clean_place, f"[pipeline]\nmodel = '{model}'"))[0].pipeline.model == model


def test_reading_the_config_does_not_import_torch() -> None:
    code = "import sys, bot.config; bot.config.load_config(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


def test_a_missing_file_is_a_problem_only_if_it_was_named(clean_place: Path) -> None:
    assert load_config()[1] is None
    [told] = problems(clean_place / "other.toml")
    assert told.endswith("other.toml: there is no such file")


def test_a_folder_is_no_config_file(clean_place: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(clean_place)
    assert caught.value.problems == (f"{clean_place}: is a folder",)
    assert str(caught.value).endswith(f"→ name a file: {clean_place / 'config.toml'}")


def test_a_name_that_is_too_long_is_a_problem(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "x" * 300
    assert "cannot be read: File name too long" in problems(clean_place / name)[0]
    for key in ("STORAGE__DATA_DIR", "PIPELINE__MODELS_DIR", "PIPELINE__PACKED_DIR", "DISCORD__TOKEN_FILE"):
        for path in (name, f"{clean_place}/{name}/y", "x/" * 2030):
            monkeypatch.setenv(f"IMAGINE_BOT__{key}", path)
            assert "must be shorter" in problems()[0]
        monkeypatch.delenv(f"IMAGINE_BOT__{key}")
    monkeypatch.setenv("XDG_CONFIG_HOME", f"/{name}")
    monkeypatch.setenv("XDG_DATA_HOME", f"/{name}")
    assert sys.platform != "linux" or all("must be shorter" in each for each in problems())


@pytest.mark.skipif(sys.platform == "win32", reason="has no pipes with names")
def test_pipes_and_devices_are_read_as_neither_config_nor_secret(clean_place: Path) -> None:
    os.mkfifo(pipe := clean_place / "pipe")
    for path in (pipe, Path("/dev/zero")):
        assert f"{path}: cannot be read: it is a pipe or a device" in problems(path)[0]
        with pytest.raises(ConfigError, match=f"token_file: cannot read {path}: it is a pipe or a device"):
            load_token(DiscordConfig(token_file=path))
        with pytest.raises(ConfigError, match=f"password_file: cannot read {path}: it is a pipe or a device"):
            load_passwords(ConsoleConfig(password_file=path))


def test_a_config_of_megabytes_is_a_problem(clean_place: Path) -> None:
    path = write(clean_place, "#" * MAX_CONFIG_BYTES)
    load_config(path)
    path.write_text("#" * (MAX_CONFIG_BYTES + 1))
    assert problems(path) == (f"{path}: has more than 1024 KiB",)


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_they_do_anywhere(clean_place: Path, line_break: str) -> None:
    path = clean_place / "config.toml"
    path.write_bytes(f"[limits]{line_break}max_waiting = 7{line_break}".encode())
    assert load_config(path)[0].limits.max_waiting == 7


def test_a_file_that_is_no_text_is_a_problem(clean_place: Path) -> None:
    path = clean_place / "config.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert problems(path) == (f"{path}: cannot be read: it is not UTF-8 text",)


def test_sections_are_frozen() -> None:
    config, _ = load_config()
    with pytest.raises(ValidationError):
        config.limits.max_waiting = 1  # type: ignore[misc]


def test_folders_may_begin_with_a_tilde(clean_place: Path) -> None:
    path = write(clean_place, '[storage]\ndata_dir = "~/bot"\n[pipeline]\nmodels_dir = "~/models"\n')
    config, _ = load_config(path)
    assert config.storage.data_dir == Path("~/bot").expanduser()
    assert config.pipeline.models_dir == Path("~/models").expanduser()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows always names a home folder")
@pytest.mark.parametrize("is_named", [False, True])
def test_without_a_home_folder_one_line_says_which_folders_to_name(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch, is_named: bool
) -> None:
    """In a container, say: no HOME, and a user id that the system does not know."""

    def unknown(_uid: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    if is_named:
        monkeypatch.setenv("IMAGINE_BOT__STORAGE__DATA_DIR", str(clean_place))
        monkeypatch.setenv("IMAGINE_BOT__PIPELINE__MODELS_DIR", str(clean_place))
        assert load_config()[0].storage.data_dir == clean_place
        [told] = problems(write(clean_place, '[discord]\ntoken_file = "~/token"\n'))
        assert "must not begin with ~ where no home folder is known" in told
    else:
        with pytest.raises(ConfigError) as caught:
            load_config()
        assert "no home folder" in str(caught.value)
        assert "IMAGINE_BOT__STORAGE__DATA_DIR and IMAGINE_BOT__PIPELINE__MODELS_DIR" in caught.value.way_out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[storage]\ndata_dir = "D:\\bots\\new"', "[storage] data_dir: must hold no control characters"),
        ('[pipeline]\nmodels_dir = "D:\\temp"', "[pipeline] models_dir: must hold no control characters"),
        ('[pipeline]\npacked_dir = "D:\\fast"', "[pipeline] packed_dir: must hold no control characters"),
        ('[discord]\ntoken_file = "a\\u0000b"', "[discord] token_file: must hold no control characters"),
        ('[console]\npassword_file = "a\\u0085b"', "[console] password_file: must hold no control characters"),
        ('[storage]\ndata_dir = "C:\\Users\\me"', "is not valid TOML"),
        ('[storage]\ndata_dir = "C:\\data"', "is not valid TOML"),
        ('[moderation]\nimage_check = ["D:\\new\\tools.exe"]', "image_check: must hold no control characters"),
    ],
)
def test_windows_paths_in_double_quotes_are_refused_with_the_way_to_write_them(
    clean_place: Path, text: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(clean_place, text))
    assert says in str(caught.value)
    assert "write Windows paths in single quotes, 'D:\\bots', or with /" in str(caught.value)


def test_windows_paths_in_single_quotes_load(clean_place: Path) -> None:
    config, _ = load_config(write(clean_place, "[storage]\ndata_dir = 'D:\\bots\\new'\n"))
    assert str(config.storage.data_dir) == "D:\\bots\\new"


DIGITS = "9" * 5000


@pytest.mark.parametrize(
    "text",
    [
        f"[discord]\nallowed_guilds = {'[' * 5000}{']' * 5000}",
        f"[limits]\nmax_waiting = {'{a = ' * 5000}1{'}' * 5000}",
        f"[limits]\n{'a.' * 5000}a = 1",
        f"[{'a.' * 5000}a]",
        f"[limits]\nmax_waiting = {DIGITS}",
        f"[limits]\nmax_waiting = 0x{DIGITS}",
        f"[discord]\nallowed_guilds = [0x{DIGITS}]",
        f"[limits]\nmax_waiting = {DIGITS[:4000]}",
        f"[delivery]\nretry_max_s = {DIGITS}.0",
        f"[limits]\nmax_waiting = '{DIGITS}'",
        f"unknown = 0x{DIGITS}",
    ],
    ids=range(11),
)
def test_deep_nesting_and_endless_numbers_are_told_in_a_sentence(clean_place: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(clean_place, text))
    assert len(str(caught.value)) < 600 + len(str(clean_place))


@pytest.mark.parametrize("value", [DIGITS, "[" * 5000, f"[{DIGITS}]", "[1e999999]", "{}"])
def test_wild_values_in_the_environment_are_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("IMAGINE_BOT__DISCORD__ALLOWED_GUILDS", value)
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("host", ["\\u202e", "a\\u0000b", "a b\\n"])
def test_a_host_that_no_system_can_look_up_is_a_problem(clean_place: Path, host: str) -> None:
    [told] = problems(write(clean_place, f'[console]\nhost = "{host}"'))
    assert "[console] host: must be the name or the number of an address" in told


def test_a_config_error_asks_the_supervisor_not_to_restart() -> None:
    assert ConfigError(["x"]).exit_code is ExitCode.USAGE


def test_a_token_in_the_config_file_is_refused_without_being_shown(clean_place: Path) -> None:
    for text in (f'[discord]\ntoken = "{BOT_TOKEN}"', f'DISCORD_TOKEN = "{BOT_TOKEN}"'):
        [told] = problems(write(clean_place, text))
        assert "a token does not belong in this file: set DISCORD_TOKEN" in told
        assert "token_file" in told
        assert BOT_TOKEN not in told


def test_a_token_in_the_place_of_something_else_is_not_shown(clean_place: Path) -> None:
    [told] = problems(write(clean_place, f'discord = "{BOT_TOKEN}"'))
    assert told.endswith("must be a section with keys of its own, not this token")


# --- own models -------------------------------------------------------------------------------------------


def test_own_models_stand_in_sections_of_their_own(clean_place: Path) -> None:
    text = """
        [pipeline]
        model = "photo"
        [[models]]
        name = "photo"
        files = ['D:\\ComfyUI\\models\\photo.safetensors', "~/x.gguf"]
        cfg_scale = 5
        [[models]]
        name = "demo"
        steps = 4
        """
    photo, demo = load_config(write(clean_place, text))[0].pipeline.models
    assert photo.files == (Path("D:\\ComfyUI\\models\\photo.safetensors"), Path("~/x.gguf").expanduser())
    assert (photo.cfg_scale, demo.steps, demo.files) == (5.0, 4, ())


def test_all_problems_of_own_models_are_told_at_once_each_with_its_place(clean_place: Path) -> None:
    path = write(
        clean_place,
        """
        [pipeline]
        device = "tpu"
        [[models]]
        name = "a"
        files = ["D:\\temp"]
        stps = 3
        steps = "3"
        [[models]]
        name = "B b"
        cfg_scale = 99
        sampler = "eulr"
        [[models]]
        steps = 4
        """,
    )
    hint = "write Windows paths in single quotes, 'D:\\bots', or with /, \"D:/bots\""
    assert sorted(problems(path)) == sorted(
        [
            f"{path}: [pipeline] device: must be 'auto', 'cuda' or 'cpu', not 'tpu'",
            f"{path}: [[models]] number 1, files: entry 1 must hold no control characters, not 'D:\\temp'; {hint}",
            f"{path}: [[models]] number 1, stps: unknown key; did you mean 'steps'?",
            f"{path}: [[models]] number 1, steps: must be a whole number, not '3'",
            f"{path}: [[models]] number 2, name: must be up to 40 small letters, digits, dots and dashes, as in "
            "'my-flux.q4', not 'B b'",
            f"{path}: [[models]] number 2, cfg_scale: must be at most 30.0, not 99",
            f"{path}: [[models]] number 2, sampler: must be 'dpmpp-2m-karras', 'euler' or 'ddim', not 'eulr'",
            f"{path}: [[models]] number 3, name: must be there, for example name = 'my-model'",
        ]
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[models]\nname = 'a'", "[models]: must be written with two brackets, [[models]], once for each model"),
        ("models = [1]", "[models]: must be written with two brackets"),
        ("[[model]]\nname = 'a'", "[model]: unknown section; did you mean 'models'?"),
        ("[pipeline]\nmodels = []", "[pipeline] models: own models are sections of their own: write [[models]]"),
        ("[[models]]\nname = 'a'\nfiles = ['x']\n" * 2, "must have names of their own: a stands there twice"),
        ("[[models]]\nname = 'demo'\nfiles = ['x']", "names of their own: 'demo' is a model of this program"),
        ("[[models]]\nname = 'dem'", "or be models that are there: 'dem' is neither; did you mean 'demo'?"),
        ("[[models]]\nname = 'auto'\nfiles = ['x']", "number 1, name: must be up to 40"),
        ("[[models]]\nname = 'a'\nfiles = 'x'", "number 1, files: must be a list"),
        ("[[models]]\nname = 'a'\nfiles = []\nvae = ['x']", "number 1, vae: must be a path in quotes"),
        ("[[models]]\nname = 'a'\nfiles = ['x']\ntitle = ''", "number 1, title: must be one line of text"),
        ("[pipeline]\nmodel = 'mie'\n[[models]]\nname = 'mine'\nfiles = ['x']", "not 'mie'; did you mean 'mine'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_own_models_is_one_line(clean_place: Path, text: str, says: str) -> None:
    [told] = problems(write(clean_place, text))
    assert says in told


def test_own_models_in_the_environment_are_refused_with_where_they_belong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGINE_BOT__MODELS", "[]")
    assert problems() == ("IMAGINE_BOT__MODELS: own models are named in the file, as [[models]]",)


def test_loras_stand_in_sections_of_their_own(clean_place: Path) -> None:
    text = """
        [[loras]]
        name = "ink"
        file = "~/ink.safetensors"
        triggers = ["inkstyle"]
        weight = 0.8
        [[loras]]
        name = "turbo"
        file = 'turbo.safetensors'
        weight = 1
        speed = "fast"
        steps = 8
        """
    ink, turbo = load_config(write(clean_place, text))[0].pipeline.loras
    assert (ink.file, ink.triggers, ink.weight) == (Path("~/ink.safetensors").expanduser(), ("inkstyle",), 0.8)
    assert (turbo.file, turbo.speed, turbo.steps, turbo.triggers) == (Path("turbo.safetensors"), "fast", 8, None)


LORA = "[[loras]]\nname = 'ink'\nfile = 'ink.safetensors'\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[loras]\nname = 'a'", "[loras]: must be written with two brackets, [[loras]], once for each LoRA"),
        ("loras = [1]", "[loras]: must be written with two brackets"),
        ("[pipeline]\nloras = []", "[pipeline] loras: LoRAs are sections of their own: write [[loras]]"),
        ("[[loras]]\nname = 'ink'", "[[loras]] number 1, file: must be there, for example file = 'my-lora'"),
        (LORA * 2, "must have names of their own: ink stands there twice"),
        (LORA + "weight = 5", "number 1, weight: must be a number from -4 to 4, not 0"),
        (LORA + "weight = nan", "number 1, weight: must be a number from -4 to 4, not 0"),
        (LORA + "weight = 'x'", "number 1, weight: must be a"),
        (LORA + "wieght = 1", "number 1, wieght: unknown key; did you mean 'weight'?"),
        (LORA + "steps = 8", '[[loras]] number 1: must have both of speed = "fast" and steps, or neither'),
        (LORA + "speed = 'fast'\nsteps = 90", "number 1, steps: must be at most 50"),
        (LORA + "triggers = 'a'", "number 1, triggers: must be a list"),
        ("[[loras]]\nname = '../x'\nfile = 'x'", "number 1, name: must be up to 40 small letters"),
    ],
)
def test_what_is_wrong_with_loras_is_one_line(clean_place: Path, text: str, says: str) -> None:
    [told] = problems(write(clean_place, text))
    assert says in told


def test_loras_in_the_environment_are_refused_with_where_they_belong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGINE_BOT__LORAS", "[]")
    assert problems() == ("IMAGINE_BOT__LORAS: LoRAs are named in the file, as [[loras]]",)


def test_model_that_was_added_may_be_the_usual_one_even_if_its_file_is_gone(clean_place: Path) -> None:
    models_dir = clean_place / "models"
    models_dir.mkdir()
    (models_dir / "added-models.json").write_text('{"version": 1, "models": [{"name": "mine", "files": ["/gone"]}]}')
    text = f"[pipeline]\nmodel = 'mine'\nmodels_dir = '{models_dir}'"
    assert load_config(write(clean_place, text))[0].pipeline.model == "mine"


# --- presets ---------------------------------------------------------------------------------------------


def test_presets_stand_in_sections_with_their_names(clean_place: Path) -> None:
    text = """
        [presets.night]
        suffix = "at night"
        aspect = "landscape"
        steps = 3
        strength = "60%"
        [presets."Team red 红"]
        negative_prompt = ""
        size = "448x448"
        cfg_scale = 4
        loras = "ink:0.8, film"
        """
    presets = load_config(write(clean_place, text))[0].presets
    assert presets["night"].values() == {"suffix": "at night", "aspect": "landscape", "steps": 3, "strength": 0.6}
    assert presets["Team red 红"].values() == {
        "negative_prompt": "", "size": "448x448", "cfg_scale": 4.0, "loras": "ink:0.8, film",
    }  # fmt: skip


def test_all_problems_of_presets_are_told_at_once_each_with_its_place(clean_place: Path) -> None:
    path = write(
        clean_place,
        """
        [presets.a]
        steps = 99
        step = 4
        cfg_scale = true
        aspect = "round"
        size = "huge"
        strength = 0
        prefix = 3
        [presets.b]
        strength = "much"
        sampler = "fast"
        [presets.c]
        [presets."@everyone"]
        steps = 3
        """,
    )
    strength = "must be subtle, medium, strong, or a number over 0, at most 1"
    name = "must have a name of 1 to 32 letters, digits, emoji, spaces or dashes, like [presets.night]"
    samplers = "must be 'dpmpp-2m-karras', 'euler' or 'ddim'"
    assert sorted(problems(path)) == sorted(
        [
            f"{path}: [presets.a] steps: must be at most 50, not 99",
            f"{path}: [presets.a] step: unknown key; did you mean 'steps'?",
            f"{path}: [presets.a] cfg_scale: must be a number, not true",
            f"{path}: [presets.a] aspect: must be 'square', 'portrait', 'landscape', 'phone' or 'wide', not 'round'",
            f"{path}: [presets.a] size: must be draft, normal, large, or a width and a height like 448x448, not 'huge'",
            f"{path}: [presets.a] strength: {strength}, not 0",
            f"{path}: [presets.a] prefix: must be text in quotes, not 3",
            f"{path}: [presets.b] strength: {strength}, not 'much'",
            f"{path}: [presets.b] sampler: {samplers}, not 'fast'",
            f"{path}: [presets.c]: must have a key at least, for example suffix = 'at night', not {{}}",
            f"{path}: [presets.@everyone]: {name}",
        ]
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("presets = 3", "[presets]: must be sections with the names of presets, like [presets.night]"),
        ("[presets]\nnight = 'dark'", "[presets.night]: must be a section with keys of its own, not 'dark'"),
        ("[presets.a]\nmodel = 'dem'", "[presets.a] model: 'dem' is no model here; did you mean 'demo'?"),
        ("[presets.a]\nmodel = ''", "[presets.a] model: '' is no model here"),
        ("[presets.a]\nsuffix = ''", "[presets.a]: must have a key at least"),
        (f"[presets.a]\nsuffix = '{'x' * 501}'", "[presets.a] suffix: must have at most 500 characters"),
        ("[presets.a]\nstrength = true", "[presets.a] strength: must be subtle, medium"),
        ("[presets.a]\nstrength = nan", "[presets.a] strength: must be subtle, medium"),
        ("[presets.a]\nstrength = [1]", "[presets.a] strength: must be subtle, medium"),
        ("[presets.a]\nsize = ' '", "[presets.a] size: must be a size"),
        ("[presets.a]\nguidance = inf", "[presets.a] guidance: must be"),
        (
            "[presets.night]\nsteps = 1\n[presets.'NIGHT ']\nsteps = 2",
            "[presets.NIGHT ]: must have a name of its own; [presets.night] is the same",
        ),
        (
            "".join(f"[presets.{number}]\nsteps = 1\n" for number in range(26)),
            "[presets]: must be at most 25 sections, not 26",
        ),
    ],
)
def test_preset_that_cannot_be_is_refused_with_a_hint(clean_place: Path, text: str, says: str) -> None:
    assert says in "\n".join(problems(write(clean_place, text)))


def test_presets_are_not_read_from_the_environment(clean_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGINE_BOT__PRESETS__NIGHT__STEPS", "3")
    assert problems(write(clean_place, ""))[0].endswith("presets are named in the file, as [presets.night]")


# --- roles and hours --------------------------------------------------------------------------------------


def test_roles_stand_in_sections_of_their_own(clean_place: Path) -> None:
    text = """
        [roles.123456789012345678]
        max_images_per_day = 5
        models = ["demo"]
        [roles.1]
        """
    roles = load_config(write(clean_place, text))[0].roles
    assert list(roles) == [123456789012345678, 1]
    assert roles[123456789012345678].models == ("demo",) and roles[1].max_images_per_day is None


def test_all_problems_of_roles_are_told_at_once_each_with_its_place(clean_place: Path) -> None:
    path = write(
        clean_place,
        """
        [roles.1]
        max_images_per_day = "many"
        max_steps = 99
        modls = ["demo"]
        max_active = true
        [roles.2]
        models = ["dem", "demo", ""]
        [roles.3]
        models = [3]
        """,
    )
    assert sorted(problems(path)) == sorted(
        [
            f"{path}: [roles.1] max_images_per_day: must be a whole number, not 'many'",
            f"{path}: [roles.1] max_steps: must be at most 50, not 99",
            f"{path}: [roles.1] modls: unknown key; did you mean 'models'?",
            f"{path}: [roles.1] max_active: must be a whole number, not true",
            f"{path}: [roles.3] models: entry 1 must be text in quotes, not 3",
        ]
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("roles = 3", "[roles]: must be sections with the ids of roles, like [roles.123456789012345678]"),
        ("[[roles]]\na = 1", "[roles]: must be sections with the ids of roles"),
        ("[roles]\n5 = 5", "[roles.5]: must be a section with keys of its own, not 5"),
        ("[roles.admins]", "[roles.admins]: must be the id of a role, like [roles.123456789012345678]"),
        ("[roles.0]", "[roles.0]: must be the id of a role"),
        ("[roles.01]", "[roles.01]: must be the id of a role"),
        (f"[roles.{2**63}]", "must be the id of a role"),
        ('[roles."1 "]', "must be the id of a role"),
        ("[roles.1]\nmax_active = 0", "[roles.1] max_active: must be at least 1, not 0"),
        ("[roles.1]\nmodels = []", "models: must name a model, not []; leave the key out to allow all of them"),
        ("[roles.1]\nmodels = 'demo'", "[roles.1] models: must be a list"),
        ("[roles.1]\nmodels = ['dem']", "[roles.1] models: 'dem' is no model here; did you mean 'demo'?"),
        ("[roles.1]\nmodels = ['']", "[roles.1] models: '' is no model here; known: majicflus-v1"),
        ("[roles.1]\ntoken = 'x'", "[roles.1] token: a token does not belong in this file"),
        ("[role.1]", "[role]: unknown section; did you mean 'roles'?"),
    ],
)
def test_what_is_wrong_with_roles_is_one_line(clean_place: Path, text: str, says: str) -> None:
    [told] = problems(write(clean_place, text))
    assert says in told


def test_every_unknown_model_of_roles_is_told(clean_place: Path) -> None:
    told = problems(write(clean_place, "[roles.1]\nmodels = ['demoo', 'sdx']\n[roles.2]\nmodels = ['sd']"))
    assert [line.partition(": [")[2].partition(" is no")[0] for line in told] == [
        "roles.1] models: 'demoo'", "roles.1] models: 'sdx'", "roles.2] models: 'sd'",
    ]  # fmt: skip


def test_roles_in_the_environment_are_refused_with_where_they_belong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGINE_BOT__ROLES__1__MAX_STEPS", "3")
    [told] = problems()
    assert told.endswith("roles are named in the file, as [roles.123456789012345678]")


@pytest.mark.parametrize("spans", [["23:00-07:30"], [], [" 9:05 – 12:00 ", "12:00-13:00", "22:00-24:00"]])
def test_quiet_hours_are_spans_of_a_day(clean_place: Path, spans: list[str]) -> None:
    config, _ = load_config(write(clean_place, f"[hours]\nquiet = {spans}\ntimezone = 'Europe/Berlin'"))
    assert config.hours.quiet == tuple(spans)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("quiet = '23:00-07:30'", "[hours] quiet: must be a list"),
        ("quiet = [23]", "[hours] quiet: entry 1 must be text in quotes, not 23"),
        ("quiet = ['']", 'must be spans like "23:00-07:30"'),
        ("quiet = ['night']", 'must be spans like "23:00-07:30"'),
        ("quiet = ['23:00']", 'must be spans like "23:00-07:30"'),
        ("quiet = ['23:00-07:30-08:00']", 'must be spans like "23:00-07:30"'),
        ("quiet = ['２３:00-07:30']", 'must be spans like "23:00-07:30"'),
        ("quiet = ['25:00-07:30']", "must be times of a day, from 00:00 to 24:00"),
        ("quiet = ['24:00-07:30']", "must be times of a day, from 00:00 to 24:00"),
        ("quiet = ['23:60-07:30']", "must be times of a day, from 00:00 to 24:00"),
        ("quiet = ['23:00-24:01']", "must be times of a day, from 00:00 to 24:00"),
        ("quiet = ['08:00-08:00']", "must end at another time than it begins"),
        ("quiet = ['00:00-24:00']", "must end at another time than it begins"),
        ("quiet = ['00:00-12:00', '12:00-24:00']", "must leave a part of the day"),
        ("quiet = ['20:00-08:00', '07:00-20:30']", "must leave a part of the day"),
        (f"quiet = {['01:00-02:00'] * 51}", "must have at most 50 entries"),
        ("timezone = 'Europe/Berln'", "a time zone, not 'Europe/Berln'; did you mean 'Europe/Berlin'?"),
        ("timezone = ''", "must be the name of a time zone, not ''; for example 'Europe/Berlin'"),
        ("timezone = '../etc/passwd'", "must be the name of a time zone"),
        ("timezone = 8", "must be text in quotes"),
        ("quite = []", "[hours] quite: unknown key; did you mean 'quiet'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_hours_is_one_line(clean_place: Path, text: str, says: str) -> None:
    [told] = problems(write(clean_place, f"[hours]\n{text}"))
    assert says in told


@pytest.mark.parametrize(
    "loras",
    ["", " ", ",", "Ink", "ink:0", "ink:4.1", "ink:nan", "ink:1e0", "ink:0.00001", "ink:", "ink:0,8", "a,b,c,d",
     "ink, ink:1", "../x", "<lora:ink:1>", "x" * 41, "a" * 100_000],
)  # fmt: skip
def test_loras_of_a_preset_that_make_no_sense_are_refused(clean_place: Path, loras: str) -> None:
    path = write(clean_place, f'[presets.a]\nloras = "{loras}"')
    (said,) = problems(path)
    assert said.startswith(f"{path}: [presets.a] loras: must be ")


def test_loras_of_a_preset_are_text(clean_place: Path) -> None:
    assert "[presets.a] loras: must be text" in problems(write(clean_place, "[presets.a]\nloras = 3"))[0]
