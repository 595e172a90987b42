"""What `pip`, `pipx` and `uv` install: the files of the wheel, its metadata, and the versions that it lets in."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from hatchling.metadata.spec import DEFAULT_METADATA_VERSION, get_core_metadata_constructors
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bot.cli.output import release

ROOT = Path(__file__).parents[1]
CALENDAR_VERSIONS = {"nvidia-ml-py", "structlog", "tzdata"}  # whose numbers say nothing of what breaks
PROJECT = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def builder() -> WheelBuilder:
    return WheelBuilder(str(ROOT))


@pytest.fixture(scope="module")
def metadata(builder: WheelBuilder) -> Metadata:
    text = get_core_metadata_constructors()[DEFAULT_METADATA_VERSION](builder.metadata)
    return Metadata.from_email(text, validate=True)  # an unknown licence, field or version raises


def shipped(builder: WheelBuilder) -> set[str]:
    return {Path(file.distribution_path).as_posix() for file in builder.recurse_included_files()}


def test_wheel_holds_every_file_of_both_packages_and_nothing_else(builder: WheelBuilder) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "bot", "pipeline"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert shipped(builder) == {name for name in listed.stdout.splitlines() if ROOT.joinpath(name).exists()}


def test_wheel_holds_what_the_program_cannot_work_without(builder: WheelBuilder) -> None:
    names = shipped(builder)
    for pattern in (
        r"pipeline/demo/weights/dit/.+\.safetensors",
        r"pipeline/demo/tokenizer_1/.+",
        r"pipeline/demo/references/cutouts\.png",
        r"pipeline/catalog/tokenizers/t5/.+",
        r"bot/store/migrations/0001_jobs\.sql",
        r"bot/frontends/web/assets/page\.(js|css)",
        r"bot/presentation/wording/zh-TW\.ftl",
    ):
        assert any(re.fullmatch(pattern, name) for name in names), pattern
    assert {name.partition("/")[0] for name in names} == {"bot", "pipeline"}  # no tests, no training, no docs


def test_metadata_names_licence_files_version_and_readme(metadata: Metadata) -> None:
    assert str(metadata.license_expression) == "Apache-2.0 AND MIT"  # SPDX, as PEP 639 has it
    assert metadata.license_files == ["LICENSE", "NOTICE"]
    assert all(ROOT.joinpath(name).is_file() for name in metadata.license_files)
    assert metadata.description_content_type == "text/markdown"
    assert str(metadata.requires_python) == ">=3.11"
    assert release() == f"imagine-bot {metadata.version}"


def test_newest_part_of_the_changelog_is_the_version_or_what_is_not_released() -> None:
    changelog = ROOT.joinpath("CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    version = Version(PROJECT["project"]["version"])
    released = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:]]
    assert all(released)
    numbers = [Version(heading[1]) for heading in released if heading]
    assert numbers == sorted(numbers, reverse=True)
    if headings[0] == "[Unreleased]":
        assert all(number <= version for number in numbers)
    else:
        assert headings[0].startswith(f"[{version}] - ")


@pytest.mark.parametrize("line", PROJECT["project"]["dependencies"])
def test_dependency_admits_the_tested_version_and_no_untried_major_one(line: str) -> None:
    """`pip`, `pipx` and `uv tool` take the newest version that is allowed, whatever the tests ran with."""
    wanted = Requirement(line)
    pins = {
        canonicalize_name(pin.name): Version(str(pin.specifier).removeprefix("=="))
        for pin in map(Requirement, PROJECT["tool"]["uv"]["constraint-dependencies"])
    }
    tested = pins[canonicalize_name(wanted.name)]
    assert tested in wanted.specifier
    next_major = f"{tested.major + 1}.0"
    assert (next_major in wanted.specifier) is (canonicalize_name(wanted.name) in CALENDAR_VERSIONS)


def test_nothing_names_a_package_index() -> None:
    """An index in the project would be asked by everybody; which PyTorch to install is the installer's choice."""
    assert not {"index", "sources", "index-url", "find-links"} & PROJECT["tool"]["uv"].keys()
