"""What moderators decide with /admin, or by deleting a message, holds in every command, button, form and menu."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.config import HoursConfig
from bot.errors import StoreUnavailable
from bot.frontends.discord_app.components import custom_id
from bot.jobs import Job, JobStatus, ReplyTo, UserKey
from bot.presentation.job_view import Action
from bot.requests.moderation import Moderation
from bot.scheduling.hours import QuietHours
from tests.bot.frontends.discord_app.conftest import Stage, Start
from tests.discord_server.driver import ClientRefused, Use
from tests.discord_server.permissions import Permission
from tests.discord_server.view import MessageView

REMOVED = "Image #1 was removed by a moderator: not here"


@pytest.fixture
def boss(stage: Stage) -> Any:
    return manager(stage)


def manager(stage: Stage) -> Any:
    permissions = Permission.MANAGE_GUILD | Permission.MANAGE_MESSAGES
    return stage.discord.add_user("boss", roles=[stage.discord.add_role("boss", permissions)])


def is_done(message: MessageView) -> bool:
    return message.content.startswith("✅") and bool(message.images)


async def told(use: Use) -> str:
    return (await use.wait(lambda message: message.ephemeral and not message.loading)).text


async def imagine(stage: Stage, user: Any = None, channel: Any = None, **options: Any) -> Use:
    values = {"prompt": "a red apple", "steps": 1, **options}
    return await stage.discord.slash(user or stage.discord.user, channel or stage.discord.channel, "imagine", **values)


async def admin(stage: Stage, user: Any, command: str, channel: Any = None, /, **options: Any) -> str:
    use = await stage.discord.slash(user, channel or stage.discord.channel, f"admin {command}", **options)
    return await told(use)


async def gone(stage: Stage, message: MessageView) -> None:
    async with asyncio.timeout(10):
        while any(each.id == message.id for each in stage.discord.messages(stage.discord.channel)):
            await asyncio.sleep(0.01)


# ── remove ──────────────────────────────────────────────────────────────────────────────────────────


async def test_removed_image_comes_back_by_no_way(stage: Stage, boss: Any) -> None:
    ann = stage.discord.user
    async with stage.drawing():
        message = await (await imagine(stage)).wait(is_done)
        menu = await (await stage.discord.click(message, "⋯ More")).wait(
            lambda answer: answer.ephemeral and answer.buttons
        )
        form = await stage.discord.click(message, "✏️ Edit")
        await form.wait_modal()
        use = await stage.discord.slash(ann, stage.discord.channel, "show", id=1)
        shown = await use.wait(lambda copy: bool(copy.images))
        path = await stage.service.image_file(await stage.job(1))
        assert path is not None and path.exists()

        said = await admin(stage, boss, "remove", id=1, reason="not here")
        assert said == "Image #1 was removed for good, and its prompt with it."
        await gone(stage, message)
        await gone(stage, shown)  # a copy, by /show
        assert not path.exists()

        assert REMOVED in await told(await stage.discord.slash(ann, stage.discord.channel, "show", id=1))
        for button in menu.buttons:  # of a menu that was open: each button of it
            use = await stage.discord.click(menu, button["label"])
            assert REMOVED in await told(use), button["label"]
        assert REMOVED in await told(await stage.discord.submit_modal(form, {"prompt": "a pear"}))
        page = await told(await stage.discord.slash(ann, stage.discord.channel, "history"))
        assert "red apple" not in page
    assert [job.id for job, _ in await stage.service.unfinished()] == []
    assert await stage.jobs.get(2) is None  # nothing was drawn from it
    assert (await stage.job(1)).spec.prompt == ""


async def test_buttons_of_a_message_that_is_still_open_say_that_the_image_was_removed(
    stage: Stage, boss: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage.drawing():
        message = await (await imagine(stage)).wait(is_done)
        stage.discord.fault("DELETE /channels/.*", times=99, code=50013)  # it cannot be taken back
        said = await admin(stage, boss, "remove", id=1, reason="not here")
        assert said.startswith("Image #1 was removed for good. Its message could not be deleted yet")
        for label in ("🔄 Again", "✏️ Edit", "🌱 Vary", "⋯ More"):
            assert REMOVED in await told(await stage.discord.click(message, label, boss)), label
    assert custom_id(Action.REROLL, 1) in {button["custom_id"] for button in message.buttons}
    assert await stage.jobs.get(2) is None


async def test_author_is_told_why_once(stage: Stage, boss: Any) -> None:
    async with stage.drawing():
        await (await imagine(stage)).wait(is_done)
    await admin(stage, boss, "remove", id=1, reason="<@1> *rude*")
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "quota")
    note = await use.wait(lambda message: "removed by a moderator" in message.text)
    assert r"#1 was removed by a moderator: \<\@1\> \*rude\*" in note.text and note.ephemeral
    assert await stage.service.undelivered(UserKey(frontend="discord", id=stage.discord.user.id)) == []


async def test_removed_image_that_waits_says_why_on_its_message_and_no_words(stage: Stage, boss: Any) -> None:
    use = await imagine(stage, prompt="a secret")
    await use.wait(lambda message: "⏳" in message.content)
    await admin(stage, boss, "remove", id=1, reason="not *here*")
    message = await stage.discord.wait_message(lambda message: "cancelled by a moderator" in message.content)
    assert r"cancelled by a moderator: not \*here\*" in message.content
    assert "secret" not in message.text and "The prompt was deleted." in message.text and not message.buttons


async def test_member_of_another_server_removes_nothing_and_twice_is_said(stage: Stage, boss: Any) -> None:
    async with stage.drawing():
        await (await imagine(stage)).wait(is_done)
    guild, channel = await stage.other_server()
    role = stage.discord.add_role("boss", Permission.MANAGE_GUILD, guild=guild)
    other = stage.discord.add_user("other boss", roles=[role], guild=guild)
    assert "belongs to somebody else" in await admin(stage, other, "remove", channel, id=1)
    assert not (await stage.job(1)).is_erased
    with pytest.raises(ClientRefused):
        await admin(stage, stage.discord.user, "remove", id=1)
    await admin(stage, boss, "remove", id=1)
    assert await admin(stage, boss, "remove", id=1) == "Image #1 was removed by a moderator."


async def test_moderators_delete_of_a_message_removes_its_image(stage: Stage, boss: Any) -> None:
    async with stage.drawing():
        message = await (await imagine(stage)).wait(is_done)
    with pytest.raises(ClientRefused):
        stage.discord.delete_message(message, stage.discord.user)  # an ordinary member cannot
    stage.discord.delete_message(message, boss)
    async with asyncio.timeout(10):
        while not (await stage.job(1)).is_erased:
            await asyncio.sleep(0.01)
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "show", id=1)
    assert "Image #1 was removed by a moderator." in await told(use)


async def test_own_delete_button_is_no_moderators(stage: Stage) -> None:
    async with stage.drawing():
        message = await (await imagine(stage)).wait(is_done)
        menu = await (await stage.discord.click(message, "⋯ More")).wait(
            lambda answer: answer.ephemeral and answer.buttons
        )
        delete = next(button["label"] for button in menu.buttons if "Delete" in button["label"])
        question = await (await stage.discord.click(menu, delete)).wait(lambda answer: bool(answer.buttons))
        label = next(button["label"] for button in question.buttons)
        await told(await stage.discord.click(question, label))
        await gone(stage, message)
    job = await stage.job(1)
    assert job.is_erased and job.moderated_reason is None


# ── bans ────────────────────────────────────────────────────────────────────────────────────────────


async def test_banned_person_draws_by_no_way_and_is_told_why(stage: Stage, boss: Any) -> None:
    ann = stage.discord.user
    async with stage.drawing():
        message = await (await imagine(stage)).wait(is_done)
        form = await stage.discord.click(message, "✏️ Edit")
        await form.wait_modal()
        menu = await (await stage.discord.click(message, "⋯ More")).wait(
            lambda answer: answer.ephemeral and answer.buttons
        )
    await (await imagine(stage, prompt="waits")).wait(lambda message: "⏳" in message.content)
    said = await admin(stage, boss, "ban", user=ann, until="2h", reason="spam")
    assert said.startswith(f"<@{ann.id}> may not draw until <t:") and said.endswith("Requests cancelled: 1.")
    card = await stage.discord.wait_message(lambda message: "cancelled by a moderator: spam" in message.content)
    assert "waits" in card.text
    for use in (
        await imagine(stage),
        await stage.discord.click(message, "🔄 Again"),
        await stage.discord.click(message, "🌱 Vary"),
        await stage.discord.submit_modal(form, {"prompt": "a pear"}),
        await stage.discord.click(menu, next(b["label"] for b in menu.buttons if "Same seed" in b["label"])),
        await stage.discord.slash(ann, stage.discord.channel, "show", id=1),
    ):
        answer = await told(use)
        assert "A moderator banned you from drawing: spam" in answer and "The ban ends <t:" in answer
    assert await stage.jobs.get(3) is None
    assert f"<@{ann.id}>" in await admin(stage, boss, "bans") and "spam" in await admin(stage, boss, "bans")
    assert await admin(stage, boss, "unban", user=ann) == f"<@{ann.id}> may draw again."
    assert await admin(stage, boss, "unban", user=ann) == f"<@{ann.id}> is not banned."
    assert "Banned: 0" in await admin(stage, boss, "bans")
    await (await imagine(stage)).wait(lambda message: "⏳" in message.content)


async def test_ban_until_a_moment_that_cannot_be_read_changes_nothing(stage: Stage, boss: Any) -> None:
    for until, said in (("soon", "cannot be read"), ("2020-01-01", "already over"), ("999999w", "ten years")):
        assert said in await admin(stage, boss, "ban", user=stage.discord.user, until=until)
    assert stage.service.moderation.bans.all == []


async def test_ban_until_a_day_is_read_in_the_operators_zone(stage: Stage, boss: Any) -> None:
    stage.queue.pauses.hours = QuietHours.of(HoursConfig(timezone="Pacific/Kiritimati"))
    await admin(stage, boss, "ban", user=stage.discord.user, until="2030-06-01")
    (ban,) = stage.service.moderation.bans.all
    assert ban.until_at == datetime(2030, 5, 31, 10, tzinfo=UTC).timestamp()


async def test_one_server_of_many_bans_nobody_and_lists_no_words(stage: Stage, boss: Any) -> None:
    await stage.other_server()
    for command, options in (
        ("ban", {"user": stage.discord.user}),
        ("unban", {"user": stage.discord.user}),
        ("bans", {}),
        ("words add", {"word": "nude"}),
        ("words remove", {"word": "nude"}),
    ):
        assert "`allowed_guilds` in `[discord]`" in await admin(stage, boss, command, **options), command
    assert stage.service.moderation.bans.all == [] and stage.service.moderation.words.all == ()


async def test_ban_that_cannot_be_written_says_so_and_holds_not(
    stage: Stage, boss: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(*_: object, **__: object) -> None:
        raise StoreUnavailable("locked", is_full=False)

    monkeypatch.setattr(stage.service.moderation.bans._store, "ban", locked)
    assert "My database is not available" in await admin(stage, boss, "ban", user=stage.discord.user)
    await (await imagine(stage)).wait(lambda message: "⏳" in message.content)


# ── words ───────────────────────────────────────────────────────────────────────────────────────────


async def test_listed_words_are_refused_in_command_button_and_form(stage: Stage, boss: Any) -> None:
    async with stage.drawing():
        message = await (await imagine(stage)).wait(is_done)
        form = await stage.discord.click(message, "✏️ Edit")
        await form.wait_modal()
    said = await admin(stage, boss, "words add", word="apple, 裸體")
    assert said == "Refused from now on (everywhere): apple, 裸體"
    assert "“apple” is on the list" in await told(await imagine(stage))
    assert "“a.p.p.l.e” reads like “apple”" in await told(await imagine(stage, prompt="an a.p.p.l.e --ar 16:9"))
    assert "“裸 体” reads like “裸體”" in await told(await imagine(stage, prompt="裸 体女人"))
    for label in ("🔄 Again", "🌱 Vary"):  # of an image whose words were allowed once
        assert "“apple” is on the list" in await told(await stage.discord.click(message, label))
    answer = await told(await stage.discord.submit_modal(form, {"prompt": "two A P P L E"}))
    assert "reads like “apple”" in answer and "two A P P L E" in answer  # nothing typed is lost
    assert await stage.jobs.get(2) is None
    await (await imagine(stage, prompt="pineapples --no apple")).wait(lambda message: "⏳" in message.content)
    page = await admin(stage, boss, "words list")
    assert "Words that are not drawn: 2" in page and "apple" in page and "裸體" in page
    caught = await admin(stage, boss, "words test", text="an @pple")
    assert caught == r"This would be refused (everywhere): “\@pple” is read as “apple”."
    assert "would be drawn" in await admin(stage, boss, "words test", text="pineapple")
    assert await admin(stage, boss, "words remove", word="APPLE") == "No longer refused: apple"
    assert await admin(stage, boss, "words remove", word="APPLE") == "This is not on the list."
    assert "needs at least two letters" in await admin(stage, boss, "words add", word="!!!")


async def test_some_words_are_for_age_restricted_channels(stage: Stage, boss: Any) -> None:
    adults = stage.discord.add_channel("adults", nsfw=True)
    thread = stage.discord.add_thread(adults, "a thread")
    await asyncio.sleep(0)
    said = await admin(stage, boss, "words add", word="nude", where="outside age-restricted channels")
    assert said == "Refused from now on (outside age-restricted channels): nude"
    assert "age-restricted channels only" in await told(await imagine(stage, prompt="a nude"))
    for channel in (adults, thread):
        await (await imagine(stage, channel=channel, prompt="a nude")).wait(lambda message: "⏳" in message.content)
    assert len(await stage.service.unfinished()) == 2


async def test_image_is_posted_again_only_where_its_words_may_draw(stage: Stage, boss: Any) -> None:
    discord, adults = stage.discord, stage.discord.add_channel("adults", nsfw=True)
    bob = discord.add_user("bob")
    async with stage.drawing():
        message = await (await imagine(stage, prompt="a nude")).wait(is_done)  # the word is not on the list yet
    await admin(stage, boss, "words add", word="nude", where="outside age-restricted channels")
    history = await (await discord.slash(discord.user, discord.channel, "history")).wait(
        lambda page: bool(page.components) and not page.loading
    )
    for user in (discord.user, bob):  # its person neither
        refused = await told(await discord.slash(user, discord.channel, "show", id=1))
        assert "age-restricted channels only" in refused
    live = discord._live(history)
    live.components = message.components
    live.components[0]["components"][0]["custom_id"] = custom_id(Action.POST, 1)
    answer = await told(await discord.click(discord.refresh(history), custom_id(Action.POST, 1)))
    assert "age-restricted channels only" in answer
    assert [each.id for each in discord.messages(discord.channel, bob) if each.images] == [message.id]
    await (await discord.slash(bob, adults, "show", id=1)).wait(lambda shown: shown.images)
    await admin(stage, boss, "words add", word="nude")  # everywhere, from now on
    assert "on the list" in await told(await discord.slash(bob, adults, "show", id=1))


async def test_image_of_an_age_restricted_channel_is_shown_in_such_channels_only(stage: Stage) -> None:
    discord, adults = stage.discord, stage.discord.add_channel("adults", nsfw=True)
    said, bob = "is shown in age-restricted channels only", discord.add_user("bob", locale="zh-TW")
    async with stage.drawing():
        await (await imagine(stage, channel=adults, prompt="a nude", size="draft")).wait(is_done)
        other = await (await imagine(stage)).wait(is_done)
        assert said in await told(await discord.slash(discord.user, discord.channel, "show", id=1))
        assert "有年齡限制的頻道裡畫的" in await told(await discord.slash(bob, discord.channel, "show", id=1))
        live = discord._live(other)
        for action in (Action.POST, Action.VARY, Action.UPSCALE, Action.FINAL, Action.START_FROM):  # forged
            live.components[0]["components"][0]["custom_id"] = custom_id(action, 1)
            pressed = await discord.click(discord.refresh(other), custom_id(action, 1))
            assert said in await told(pressed), action
        form = await discord.click(other, "✏️ Edit")
        (await form.wait_modal())["custom_id"] = "im2form:start_from:1"
        assert said in await told(await discord.submit_modal(form, {"prompt": "a pear"}))
        assert await stage.jobs.get(3) is None
        for channel, numbers in ((discord.channel, {2}), (adults, {1, 2})):  # what is suggested, its number too
            for typed in ("", "1", "2"):
                choices = await discord.autocomplete(discord.user, channel, "show", "id", typed)
                found = {choice["value"] for choice in choices}
                assert found == (numbers if not typed else numbers & {int(typed)}), (channel.name, typed)
        thread = discord.add_thread(adults, "a thread")
        for channel in (adults, thread):
            await (await discord.slash(bob, channel, "show", id=1)).wait(lambda shown: shown.images)
        discord.delete_channel(adults)  # its mark is noted with the image
        assert said in await told(await discord.slash(discord.user, discord.channel, "show", id=1))


async def test_image_of_an_earlier_release_has_the_mark_of_its_channel_of_today(stage: Stage) -> None:
    discord, adults = stage.discord, stage.discord.add_channel("adults", nsfw=True)
    async with stage.drawing():
        for channel in (adults, discord.channel):
            await (await imagine(stage, channel=channel)).wait(is_done)
    changed = "UPDATE jobs SET reply_address = json_remove(reply_address, '$.is_age_restricted')"
    await stage.jobs._database.fetch_all(changed)
    answer = await told(await discord.slash(discord.user, discord.channel, "show", id=1))
    assert "age-restricted channels only" in answer
    await (await discord.slash(discord.user, discord.channel, "show", id=2)).wait(lambda shown: shown.images)


@pytest.mark.parametrize("by_moderator", [True, False])
async def test_image_that_goes_while_it_is_posted_is_not_left_there(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, by_moderator: bool
) -> None:
    discord, service = stage.discord, stage.service
    async with stage.drawing():
        await (await imagine(stage)).wait(is_done)
    note_copy = service.moderation.note_copy

    async def noted_too_late(job: Job, reply_to: ReplyTo) -> None:
        if by_moderator:
            await service.moderation.remove(job.id, "not here", may=lambda _: True)
        else:
            await service.archive.erase(job.id, by=job.user)
        await note_copy(job, reply_to)

    monkeypatch.setattr(service.moderation, "note_copy", noted_too_late)
    answer = await told(await discord.slash(discord.user, discord.channel, "show", id=1))
    assert answer.startswith(REMOVED if by_moderator else "Image #1 was deleted")
    assert len([each for each in discord.messages(discord.channel) if each.images]) == 1  # the first, for now


async def test_long_list_is_a_file(stage: Stage, boss: Any) -> None:
    assert "The list is empty" in await admin(stage, boss, "words list")
    await stage.service.moderation.words.add(
        ",".join(f"word{number:04}abcdefghij" for number in range(400)).replace("0", "o"), is_restricted=True
    )
    use = await stage.discord.slash(boss, stage.discord.channel, "admin words list")
    answer = await use.wait(lambda message: message.ephemeral and not message.loading)
    assert "Words that are not drawn: 400" in answer.text and answer.attachments


async def test_purge_of_a_channel_judges_no_image(start: Start) -> None:
    async with start() as stage:
        async with stage.drawing():
            await (await imagine(stage)).wait(is_done)
        job = await stage.job(1)
        moderation: Moderation = stage.service.moderation
        await moderation.message_deleted("discord", job.reply_to.key, is_purge=True)
        assert (await stage.job(1)).status is JobStatus.DONE
