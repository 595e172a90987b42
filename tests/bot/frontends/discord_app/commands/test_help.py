"""/help explains the bot to one person, and its examples draw what they say, once, for whoever may."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import discord
import pytest

from bot.frontends.discord_app.command_ids import GLOBAL, CommandIds
from bot.frontends.discord_app.commands.help import (
    MAX_DESCRIPTION,
    MAX_FIELD,
    MAX_LABEL,
    ExampleButton,
    example_buttons,
    example_key,
)
from bot.jobs import JobStatus
from bot.presentation.wording import LANGUAGES, wording_for
from bot.requests.models import Models
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import DEMO, MODELS, find_model
from pipeline.catalog.unknown_words import unknown_words
from pipeline.catalog.vocabulary import find_unread
from tests.bot.frontends.discord_app.conftest import Stage, Start
from tests.dictionary import READS_ENGLISH
from tests.discord_server.driver import Use
from tests.discord_server.permissions import Permission
from tests.discord_server.view import MessageView

FAKE = find_model("fake")
EXAMPLES = FAKE.examples["en"]


async def helped(stage: Stage, user: object = None) -> MessageView:
    use = await stage.discord.slash(user or stage.discord.user, stage.discord.channel, "help")  # type: ignore[arg-type]
    return await use.wait(lambda message: message.embeds)


async def told(use: Use) -> str:
    return (await use.wait(lambda message: message.ephemeral and not message.loading)).content


async def jobs_of(stage: Stage) -> list[str]:
    return [job.spec.prompt for job, _ in await stage.service.unfinished()]


async def test_help_is_private_and_says_what_a_newcomer_asks(stage: Stage) -> None:
    message = await helped(stage)
    assert message.ephemeral
    assert [button["label"] for button in message.buttons] == list(EXAMPLES)
    assert "**0** of 1000" in message.text  # the limits of this stage
    assert "90 days" in message.text
    assert "any language" in message.text


async def test_licence_of_every_model_is_said_and_that_it_can_be_used_commercially_or_not(start: Start) -> None:
    own = replace(FAKE, name="own", title="[Own](x) *model*", licence="", licence_url="javascript:x")
    many = [replace(DEMO, name=f"own-{number}", title=f"Own model {number}") for number in range(40)]
    async with start(models=Models(usual=FAKE, others=(find_model("majicflus-v1"), own, *many))) as stage:
        field = next(each for each in (await helped(stage)).embeds[0]["fields"] if "licences" in each["name"])
        lines = field["value"].split("\n")
        licence = "[Apache\\-2.0](https://www.apache.org/licenses/LICENSE-2.0)"
        assert lines[0] == f"**Fake\\: a colour gradient** · {licence} · commercial use is allowed"
        assert lines[1].startswith("**MajicFLUX v1.34** · [") and lines[1].endswith("not for commercial use")
        assert "javascript" not in field["value"] and "\\[Own\\]" in lines[2]
        assert lines[-1] == f"… and {43 - (len(lines) - 1)} more"
        assert len(field["value"]) <= MAX_FIELD


async def test_commands_can_be_clicked_and_those_of_managers_are_theirs_alone(stage: Stage) -> None:
    commands = [command for command in stage.discord.emu.commands.all(None) if command["type"] == 1]
    registered = {command["name"]: command["id"] for command in commands}
    text = (await helped(stage)).text
    clickable = dict(re.findall(r"</([\w -]+):(\d+)>", text))
    assert all(id_ == registered[name.partition(" ")[0]] for name, id_ in clickable.items())
    assert {name.partition(" ")[0] for name in clickable} == registered.keys() - {"admin"}
    assert {"preset save", "privacy delete"} <= clickable.keys()  # a group itself cannot be used
    role = stage.discord.add_role("boss", Permission.MANAGE_GUILD)
    boss = stage.discord.add_user("boss", roles=[role])
    assert f"</admin pause:{registered['admin']}>" in (await helped(stage, boss)).text


@pytest.mark.parametrize(("locale", "name"), [("zh-CN", "你的额度"), ("zh-TW", "你的額度"), ("de", "Your limits")])
async def test_help_speaks_the_language_of_its_reader(locale: str, name: str, stage: Stage) -> None:
    reader = stage.discord.add_user("reader", locale=locale)
    assert name in (await helped(stage, reader)).text


async def test_example_draws_for_whoever_presses_it_in_public(stage: Stage) -> None:
    use = await stage.discord.click(await helped(stage), EXAMPLES[1])
    async with stage.drawing():
        done = await use.wait(lambda message: message.images)
    assert not done.ephemeral
    assert EXAMPLES[1] in done.text
    job = await stage.job(1)
    assert (job.status, job.user.id) == (JobStatus.DONE, str(stage.discord.user.id))


async def test_double_click_makes_one_job_and_two_buttons_make_two(stage: Stage) -> None:
    message = await helped(stage)
    uses = [await stage.discord.click(message, EXAMPLES[0]) for _ in range(3)]
    await uses[0].wait(lambda message: message.content.startswith("⏳"))
    other = await stage.discord.click(message, EXAMPLES[1])
    await other.wait(lambda message: message.content.startswith("⏳"))
    assert await jobs_of(stage) == [EXAMPLES[0], EXAMPLES[1]]


@pytest.mark.parametrize("key", ["0" * 12, "", "x" * 60, "../../etc", example_key(DEMO.examples["en"][0]), "‮\n"])
async def test_an_example_that_is_gone_or_forged_draws_nothing_and_says_so(key: str, stage: Stage) -> None:
    old = ExampleButton(key, label="old")
    view = discord.ui.View(timeout=None)
    view.add_item(old)
    channel = stage.client.get_partial_messageable(int(stage.discord.channel.id))
    await channel.send("from an earlier release", view=view)
    message = await stage.discord.wait_message(lambda message: message.buttons)
    assert "/help" in await told(await stage.discord.click(message, "old"))
    assert await jobs_of(stage) == []


async def test_a_press_that_was_refused_may_be_repeated_at_once(stage: Stage) -> None:
    message = await helped(stage)
    stage.discord.set_permissions(stage.discord.channel, stage.discord.bot, deny=Permission.ATTACH_FILES)
    assert "Attach Files" in await told(await stage.discord.click(message, EXAMPLES[0]))
    stage.discord.set_permissions(stage.discord.channel, stage.discord.bot, allow=Permission.ATTACH_FILES)
    use = await stage.discord.click(message, EXAMPLES[0])
    await use.wait(lambda message: message.content.startswith("⏳"))


async def test_a_stopping_process_takes_no_example(stage: Stage) -> None:
    message = await helped(stage)
    stage.service.stop_accepting()
    assert "restarting" in await told(await stage.discord.click(message, EXAMPLES[0]))
    assert await jobs_of(stage) == []


async def test_examples_keep_to_the_operators_channels(start: Start) -> None:
    async with start(allowed_channels=[1]) as stage:
        message = await helped(stage)
        assert "<#1>" in await told(await stage.discord.click(message, EXAMPLES[0]))
        assert await jobs_of(stage) == []


@pytest.mark.parametrize("language", LANGUAGES)
async def test_help_of_the_demo_fits_and_names_what_it_draws(language: str, stage: Stage) -> None:
    stage.service.models = Models(usual=DEMO)
    reader = stage.discord.add_user("reader", locale=language)
    message = await helped(stage, reader)
    [embed] = message.embeds
    assert len(embed["description"]) < MAX_DESCRIPTION / 2
    assert all(len(field["value"]) < MAX_FIELD for field in embed["fields"])
    assert "431" in message.text
    assert ("猫头鹰" if language.startswith("zh") else "owl, whale") in message.text
    assert [button["label"] for button in message.buttons] == list(DEMO.examples[language])


@pytest.mark.parametrize(
    ("locale", "prompt", "note"),
    [
        ("en-US", "Elon Musk and a cat by van Gogh", "The fake model does not know: Elon Musk, van Gogh. `/help`"),
        ("en-US", "a [pengiun](https://x.example) `on` fire", r"not know: pengiun (penguin?), https, x, example."),
        ("zh-CN", "马斯克和一只猫", "fake 模型不认识：马斯克。它会画什么，见 `/帮助`。"),
        ("zh-TW", "馬斯克和狐狸", "fake 模型不認得：馬斯克。它會畫什麼，請看 `/說明`。"),
    ],
)
async def test_unknown_words_are_named_while_waiting_and_when_finished(
    locale: str, prompt: str, note: str, start: Start, tmp_path: Path
) -> None:
    async with start(server={"guild_locale": locale}) as stage:
        stage.service.models = Models(usual=FAKE, unread=lambda spec: find_unread(DEMO, tmp_path, spec.prompt))
        use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt=prompt)
        waiting = await use.wait(lambda message: message.buttons)
        assert note in waiting.content
        other = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="狐狸")
        assert "⚠️" not in (await other.wait(lambda message: message.buttons)).content
        async with stage.drawing():
            assert note in (await use.wait(lambda message: message.images)).text
            assert "⚠️" not in (await other.wait(lambda message: message.images)).text


@pytest.mark.parametrize("card", [*MODELS.values(), FAKE], ids=lambda card: card.name)
def test_every_model_has_three_examples_that_fit_on_buttons_and_that_it_knows(card: ModelCard) -> None:
    for language in LANGUAGES:
        prompts = card.examples_for(language)
        assert len(prompts) == len({example_key(prompt) for prompt in prompts}) == 3
        assert all(len(prompt) <= MAX_LABEL for prompt in prompts)
        assert [unknown_words(card, prompt) for prompt in prompts] == [()] * 3


def test_a_model_without_examples_has_no_buttons() -> None:
    assert not example_buttons(replace(FAKE, examples={}), wording_for("en")).children


def test_commands_whose_ids_are_not_known_are_named() -> None:
    ids = CommandIds()
    assert ids.mention("imagine", 5, wording_for("en")) == "`/imagine`"
    assert ids.mention("admin pause", 5, wording_for("zh-CN")) == "`/管理 暂停`"
    assert ids.mention("of another release", 5, wording_for("en")) == "`/of another release`"


def test_ids_are_those_of_the_place() -> None:
    ids, wording = CommandIds(), wording_for("en")
    ids.note(GLOBAL, [{"name": "imagine", "id": "7"}])
    ids.note("5", [{"name": "imagine", "id": "8"}, {"name": "admin", "id": "9"}])
    assert ids.mention("imagine", 5, wording) == "</imagine:8>"
    assert ids.mention("admin pause", 5, wording) == "</admin pause:9>"
    assert ids.mention("imagine", 6, wording) == "</imagine:7>"
    assert ids.mention("imagine", None, wording) == "`/imagine`"


async def test_help_says_that_other_languages_are_translated(start: Start) -> None:
    for is_translated in (True, False):
        async with start(models=Models(usual=READS_ENGLISH, is_translated=is_translated)) as stage:
            use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "help")
            message = await use.wait(lambda message: message.embeds)
            assert ("are put into English" in message.text) is is_translated
