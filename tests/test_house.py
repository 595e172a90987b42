"""The house rules that a machine can check: floors, light imports, documents that agree with the code."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import grimp
import pytest
import typer
from pydantic import BaseModel

from bot.__main__ import app
from bot.config import Config, PresetConfig, RoleConfig, load_config
from bot.errors import ExitCode
from pipeline.config import LoraEntry, ModelEntry

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "config.example.toml"
MAX_LINES = 400


def read(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text("utf-8")


def fields() -> Iterator[tuple[str, str, Any]]:
    """Section, key and default of everything that can be configured."""
    for section, values in Config():
        if section in ("roles", "presets"):  # sections of their own
            continue
        assert isinstance(values, BaseModel)
        for key, default in values:
            if key not in ("models", "loras"):  # sections of their own
                yield section, key, default


def sections(text: str, header: str) -> dict[str, str]:
    """Parts of a document by the section that `header` names in its first group."""
    found = list(re.finditer(header, text, re.MULTILINE))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return {match[1]: text[match.end() : end] for match, end in zip(found, ends, strict=True)}


# --- imports ----------------------------------------------------------------------------------------------


def test_imports_keep_to_their_floors() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions and for type checkers count, too."""
    graph = grimp.build_graph("bot", "pipeline", "training", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError


TORCHY = (
    "bot.__main__",
    "pipeline.bench.baselines",
    "pipeline.bench.engine_timing",
    "pipeline.bench.isolation",
    "pipeline.bench.model_timing",
    "pipeline.bench.random_",
    "pipeline.bench.stable_diffusion_timing",
    "pipeline.translation.language_model",
    "pipeline.bench.stopwatch",
    "pipeline.bench.tenants",
    "pipeline.demo",
    "pipeline.families.",
    "pipeline.runtime.",
    "pipeline.streaming.",
)
IMPORTING = f"""
import importlib, json, pkgutil, sys, bot, pipeline

LATER = {{
    "all but the Discord front end": ("bot.frontends.discord_app", "bot.app", "bot.frontends.web.gradio_", *{TORCHY}),
    "all but the page itself": ("bot.frontends.web.gradio_page", *{TORCHY}),
    "all but what torch is for": {TORCHY},
}}
names = [
    each.name for package in (bot, pipeline) for each in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
]
seen = {{}}
for what, later in LATER.items():
    for name in names:
        if not name.startswith(later):
            importlib.import_module(name)
    seen[what] = [name for name in sys.modules if "." not in name]
print(json.dumps(seen))
"""


# The first of those that ask for it waits for more than two seconds, on a busy machine for many more.
imports_everything = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """The libraries that are imported after ever larger parts of our own modules, in one process."""
    done = subprocess.run([sys.executable, "-c", IMPORTING], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {what: set(names) for what, names in json.loads(done.stdout.splitlines()[-1]).items()}


@imports_everything
def test_importing_both_packages_does_not_import_torch(imported: dict[str, set[str]]) -> None:
    """Every module but the engines and what they are made of, which are imported when an engine is made."""
    assert not {"torch", "diffsynth", "transformers", "modelscope"} & imported["all but what torch is for"]


@imports_everything
def test_only_the_discord_front_end_imports_discord(imported: dict[str, set[str]]) -> None:
    assert "discord" not in imported["all but the Discord front end"]
    assert "discord" in imported["all but the page itself"]


@imports_everything
def test_importing_everything_but_the_page_itself_does_not_import_gradio(imported: dict[str, set[str]]) -> None:
    assert "gradio" not in imported["all but the page itself"]
    assert "gradio" in imported["all but what torch is for"]


# --- configuration ----------------------------------------------------------------------------------------


def test_the_example_config_loads_and_equals_the_defaults() -> None:
    assert load_config(EXAMPLE)[0] == Config()


def test_the_example_config_names_every_key_and_no_other() -> None:
    by_section = sections(EXAMPLE.read_text("utf-8"), r"^\[(\w+)\]$")
    named = {
        (section, key) for section, text in by_section.items() for key in re.findall(r"^(?:# )?(\w+) = ", text, re.M)
    }
    assert named == {(section, key) for section, key, _ in fields()}


def test_the_example_config_explains_every_key_on_its_line() -> None:
    lines = [line for line in EXAMPLE.read_text("utf-8").splitlines() if re.match(r"(?:# )?\w+ = ", line)]
    assert [line for line in lines if not re.search(r"\S\s+# \w.{10}", line)] == []


def test_the_example_config_and_the_operators_page_explain_every_key_of_own_models(tmp_path: Path) -> None:
    example = EXAMPLE.read_text("utf-8").partition("#   [[models]]\n")[2].partition("\n\n")[0]
    path = tmp_path / "config.toml"
    path.write_text("[[models]]\n" + re.sub(r"^#   ", "", example, flags=re.MULTILINE), "utf-8")
    [entry] = load_config(path)[0].pipeline.models
    assert entry.model_fields_set == set(ModelEntry.model_fields)
    rows = re.findall(
        r"^\| `(\w+)` \|",
        read("docs", "configuration.md").partition("## `[[models]]`\n")[2].partition("\n## ")[0],
        re.MULTILINE,
    )
    assert rows == list(ModelEntry.model_fields)


def test_the_example_config_and_the_operators_page_explain_every_key_of_loras(tmp_path: Path) -> None:
    example = EXAMPLE.read_text("utf-8").partition("#   [[loras]]\n")[2].partition("\n\n")[0]
    path = tmp_path / "config.toml"
    path.write_text("[[loras]]\n" + re.sub(r"^#   ", "", example, flags=re.MULTILINE), "utf-8")
    [entry] = load_config(path)[0].pipeline.loras
    assert entry.model_fields_set == set(LoraEntry.model_fields)
    page = read("docs", "configuration.md").partition("## `[[loras]]`\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(LoraEntry.model_fields)


def test_the_example_config_and_the_operators_page_explain_every_key_of_roles(tmp_path: Path) -> None:
    example = EXAMPLE.read_text("utf-8").partition("#   [roles.")[2].partition("\n\n")[0]
    path = tmp_path / "config.toml"
    path.write_text("[roles." + re.sub(r"^#   ", "", example, flags=re.MULTILINE), "utf-8")
    [role] = load_config(path)[0].roles.values()
    assert role.model_fields_set == set(RoleConfig.model_fields)
    page = read("docs", "configuration.md").partition("## `[roles.ID]`\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(RoleConfig.model_fields)


def test_the_example_config_and_the_operators_page_explain_every_key_of_presets(tmp_path: Path) -> None:
    example = EXAMPLE.read_text("utf-8").partition("#   [presets.")[2].partition("\n\n")[0]
    path = tmp_path / "config.toml"
    path.write_text("[presets." + re.sub(r"^#   ", "", example, flags=re.MULTILINE), "utf-8")
    [preset] = load_config(path)[0].presets.values()
    assert preset.model_fields_set == set(PresetConfig.model_fields)
    page = read("docs", "configuration.md").partition("## `[presets.NAME]`\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(PresetConfig.model_fields)


def test_uncommenting_the_example_config_still_loads(tmp_path: Path) -> None:
    text = re.sub(r"^# (\w+ = )", r"\1", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)
    path = tmp_path / "config.toml"
    path.write_text(text, "utf-8")
    config, _ = load_config(path)
    assert config.discord.token_file == Path("token.txt")


def test_the_operators_page_has_every_key_with_its_default() -> None:
    by_section = sections(read("docs", "configuration.md"), r"^## `\[+([\w.]+)\]+`$")
    rows = {
        (section, key): default
        for section, text in by_section.items()
        if section not in ("models", "loras", "roles.ID", "presets.NAME")
        for key, default in re.findall(r"^\| `(\w+)` \| (.+?) \|", text, re.MULTILINE)
    }
    assert rows.keys() == {(section, key) for section, key, _ in fields()}
    for section, key, default in fields():
        if isinstance(default, str | int | float) and key != "api_url":
            assert rows[section, key].strip("`") == json.dumps(default), f"[{section}] {key}"


# --- commands and documents -------------------------------------------------------------------------------


def commands() -> dict[str, Any]:
    return dict(typer.main.get_group(app).commands)


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_has_help_and_is_in_the_readme(name: str) -> None:
    command = commands()[name]
    assert command.help
    assert all(parameter.help for parameter in command.params)
    for document in ("README.md", "README.zh-CN.md"):
        assert f"`imagine-bot {name}" in read(document)


def test_every_exit_code_is_in_the_operators_page() -> None:
    text = read("docs", "operating.md")
    assert [code for code in ExitCode if f"\n| {code.value} | " not in text] == []


def test_the_two_commands_stand_in_both_readmes() -> None:
    for document in ("README.md", "README.zh-CN.md"):
        text = read(document)
        assert "    pip install uv && uv run imagine-bot run\n" in text
        assert "    pip install uv && uv run pytest\n" in text


@pytest.mark.parametrize(
    "document", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
)
def test_links_between_documents_lead_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        place = path.parent / file if file else path
        assert place.is_file(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", place.read_text("utf-8"), re.MULTILINE)
            places = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in {*places, *re.findall(r'<a id="([\w-]+)"></a>', place.read_text("utf-8"))}, target


def test_every_promise_names_a_test_that_there_is() -> None:
    promises = [line for line in read("docs", "security.md").splitlines() if line.startswith("| ") and "::" in line]
    assert len(promises) > 25
    for promise in promises:
        found = re.search(r"`(tests/\S+\.py)::(test_\w+)` \|$", promise)
        assert found is not None, promise
        assert f"def {found[2]}(" in read(found[1]), promise


def test_the_service_is_not_restarted_where_that_cannot_help() -> None:
    hopeless = f"{ExitCode.USAGE.value} {ExitCode.ALREADY_RUNNING.value}"
    assert f"\nRestartPreventExitStatus={hopeless}\n" in read("contrib", "imagine-bot.service")
    assert "$final = 0, 2, 4, 130" in read("contrib", "imagine-bot.ps1")


# --- what is in the repository ----------------------------------------------------------------------------


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return done.stdout.splitlines()


def test_nothing_is_tracked_that_belongs_to_one_machine() -> None:
    personal = re.compile(r"(^|/)(uv\.lock|config\.toml|token(\.\w+)?|\.env|.*\.(pyc|db|log|part|rejected))$")
    assert [path for path in tracked() if personal.search(path)] == []


def test_weights_are_tracked_only_where_they_ship() -> None:
    weights = [path for path in tracked() if path.endswith((".safetensors", ".bin", ".pt", ".ckpt"))]
    assert [
        path for path in weights if not path.startswith("pipeline/demo/") or not path.endswith(".safetensors")
    ] == []


def test_both_packages_and_the_script_are_in_the_distribution() -> None:
    project = tomllib.loads(read("pyproject.toml"))
    assert project["project"]["scripts"] == {"imagine-bot": "bot.__main__:main"}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["bot", "pipeline"]


def test_long_file_says_why_it_is_long() -> None:
    silent = []
    for folder in ("bot", "pipeline", "training"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            source = path.read_text("utf-8")
            told = ast.get_docstring(ast.parse(source)) or ""
            if len(source.splitlines()) > MAX_LINES and "Longer than other files" not in told:
                silent.append(path.relative_to(ROOT))
    assert silent == []
