"""/history and /show."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from bot.errors import StoreUnavailable
from bot.frontends.discord_app.contact_sheet import CELL_PX, GAP_PX
from bot.frontends.discord_app.history_pages import MAX_SEARCH, label
from bot.jobs import JobStatus, UserKey
from bot.presentation.wording import wording_for
from tests.bot.frontends.discord_app.conftest import Stage, Start
from tests.bot.frontends.discord_app.test_embeds import a_job
from tests.discord_server.driver import Use
from tests.discord_server.permissions import Permission
from tests.discord_server.view import MessageView

SHEET = "images.webp"


@pytest.fixture
async def stage(start: Start) -> AsyncIterator[Stage]:
    """A bot that draws."""
    async with start() as stage, stage.drawing():
        yield stage
        stage.discord.assert_clean()


async def ask(stage: Stage, command: str, user: Any = None, **options: Any) -> Use:
    return await stage.discord.slash(user or stage.discord.user, stage.discord.channel, command, **options)


async def private(use: Use) -> MessageView:
    return await use.wait(lambda message: message.ephemeral and not message.loading)


async def page(stage: Stage, user: Any = None, **options: Any) -> MessageView:
    return await private(await ask(stage, "history", user, **options))


async def draw(stage: Stage, *prompts: str, user: Any = None, **options: Any) -> None:
    for prompt in prompts:
        use = await ask(stage, "imagine", user, prompt=prompt, steps=1, **options)
        await use.wait(lambda message: message.images)


async def copy(stage: Stage, *prompts: str) -> None:
    """Have the first picture again, with other prompts."""
    run = stage.jobs._database.fetch_all
    columns = {row["name"] for row in await run("PRAGMA table_info(jobs)")} - {"id", "request_key", "spec"}
    same = ", ".join(sorted(columns))
    for prompt in prompts:
        await run(
            f"""
            INSERT INTO jobs (request_key, spec, {same})
            SELECT 'copy ' || (SELECT MAX(id) FROM jobs), json_set(spec, '$.prompt', :prompt), {same}
            FROM jobs WHERE id = 1
            """,
            {"prompt": prompt},
        )


async def pick(stage: Stage, message: MessageView, job_id: int) -> MessageView:
    use = await stage.discord.select(message, message.selects[0]["custom_id"], str(job_id))
    return await use.wait(lambda seen: f"Image #{job_id}" in seen.text)


def labels(message: MessageView) -> list[str]:
    return [button["label"] for button in message.buttons]


def lines(message: MessageView) -> list[str]:
    return str(message.embeds[0]["description"]).split("\n")


async def change(stage: Stage, job_id: int, **columns: Any) -> None:
    """Let a row be what another part of the bot makes of it."""
    settings = ", ".join(f"{name} = :{name}" for name in columns)
    await stage.jobs._database.fetch_all(f"UPDATE jobs SET {settings} WHERE id = :id", {"id": job_id, **columns})


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────


async def test_page_is_private_with_a_line_and_a_cell_for_each_picture(stage: Stage) -> None:
    await draw(stage, "a red apple", "a panda", seed=2356017)
    answer = await page(stage)
    first, second = lines(answer)
    assert first.startswith("**#2** · <t:") and first.endswith(" · seed 2356017 · a panda")
    assert second.startswith("**#1**") and second.endswith("a red apple")
    (sheet,) = answer.images
    assert sheet.description == "Small versions of #2, #1"
    with Image.open(io.BytesIO(sheet.data)) as image:
        assert (image.format, image.size) == ("WEBP", (2 * CELL_PX + GAP_PX, CELL_PX))
    assert labels(answer) == []
    assert [option["label"] for option in answer.selects[0]["options"]] == [
        "#2 · just now · seed 2356… · a panda",
        "#1 · just now · seed 2356… · a red apple",
    ]


async def test_ten_stand_on_a_page_and_buttons_lead_both_ways(stage: Stage) -> None:
    await draw(stage, "picture")
    await copy(stage, *(f"picture {number}" for number in range(2, 13)))
    first = await page(stage)
    assert [line.split("**")[1] for line in lines(first)] == [f"#{number}" for number in range(12, 2, -1)]
    assert labels(first) == ["Older", "Oldest"]
    older = await (await stage.discord.click(first, "Older")).wait(lambda message: "**#1**" in message.text)
    assert len(lines(older)) == 2 and labels(older) == ["Newest", "Newer"]
    newer = await (await stage.discord.click(older, "Newer")).wait(lambda message: "**#12**" in message.text)
    assert len(lines(newer)) == 10
    oldest = await (await stage.discord.click(newer, "Oldest")).wait(lambda message: "**#1**" in message.text)
    assert len(lines(oldest)) == 10 and labels(oldest) == ["Newest", "Newer"]
    await (await stage.discord.click(oldest, "Newest")).wait(lambda message: "**#12**" in message.text)


async def test_picked_picture_is_large_and_can_be_posted_changed_and_deleted(stage: Stage) -> None:
    await draw(stage, "a red apple", "a panda", seed=7)
    shown = await pick(stage, await page(stage), 1)
    assert shown.embeds[0]["title"] == "Image #1" and "#1 · seed 7 · 1 step" in shown.embeds[0]["footer"]["text"]
    assert shown.images[0].description == "a red apple" and shown.image_bytes(0).startswith(b"\x89PNG")
    assert labels(shown) == ["📣 Post here", "🔄 Again", "✏️ Edit", "🗑️ Delete", "Back to the list"]
    assert [option["value"] for option in shown.selects[0]["options"] if option["default"]] == ["1"]

    posted = await (await stage.discord.click(shown, "📣 Post here")).wait(lambda message: message.images)
    assert not posted.ephemeral and "Image #1 by <@" in posted.content and "/imagine prompt:a red apple" in posted.text
    form = await (await stage.discord.click(shown, "✏️ Edit")).wait_modal()
    assert "a red apple" in str(form)
    drawn = await (await stage.discord.click(shown, "🔄 Again")).wait(lambda message: message.images)
    assert "a red apple" in drawn.text and (await stage.job(3)).derived_from is not None
    back = await (await stage.discord.click(shown, "Back to the list")).wait(lambda seen: "**#2**" in seen.text)
    assert "**#1**" in back.text and back.images[0].description.startswith("Small versions")

    question = await private(await stage.discord.click(await pick(stage, back, 1), "🗑️ Delete"))
    erase = next(button["label"] for button in question.buttons)
    await (await stage.discord.click(question, erase)).wait(lambda message: "was deleted" in message.text)
    assert "**#1**" not in (await page(stage)).text
    again = await stage.discord.select(back, back.selects[0]["custom_id"], "1")  # of a page from before
    told = await again.wait(lambda message: "was deleted" in message.text)
    assert "**#2**" in told.text and "**#1**" not in told.text  # what is left of that page


async def test_picture_of_several_is_meant_alone_where_it_was_picked(stage: Stage) -> None:
    use = await ask(stage, "imagine", prompt="a fox", steps=1, count=2)
    await use.wait(lambda message: len(message.images) == 2)
    shown = await pick(stage, await page(stage), 2)
    await (await stage.discord.click(shown, "🔄 Again")).wait(lambda message: message.images)
    derived = (await stage.job(3)).derived_from
    assert derived is not None and derived.job_id == 2


async def test_marks_of_private_spoiler_kept_and_removed_pictures(stage: Stage) -> None:
    await draw(stage, "secret", "surprise", "best", "rude")
    await change(stage, 1, is_private=1)
    await change(stage, 2, is_spoiler=1)
    await change(stage, 3, is_kept=1)
    await stage.jobs.erase(4, now=int(time.time()))
    await change(stage, 4, moderated_reason="not *here*")
    answer = await page(stage)
    removed, kept, spoiler, secret = lines(answer)
    assert removed.startswith("**#4**") and removed.endswith("removed by a moderator: not \\*here\\*")
    assert "⭐" in kept and "🙈 spoiler" in spoiler and "🔒 private" in secret
    assert [option["value"] for option in answer.selects[0]["options"]] == ["3", "2", "1"]
    assert answer.images[0].description == "Small versions of #3, #2, #1"
    shown = await pick(stage, answer, 2)
    assert shown.attachments[0]["filename"].startswith("SPOILER_")  # embeds cannot hide theirs
    await change(stage, 4, moderated_reason="")
    assert lines(await page(stage))[0].endswith("removed by a moderator")


async def test_page_of_removed_pictures_alone_has_no_sheet(stage: Stage) -> None:
    await draw(stage, "rude")
    await stage.jobs.erase(1, now=int(time.time()))
    await change(stage, 1, moderated_reason="")
    answer = await page(stage)
    assert "removed by a moderator" in answer.text and not answer.images and not answer.selects


async def test_search_by_words_seed_and_day(stage: Stage) -> None:
    await draw(stage, "a red apple on a table", seed=42)
    await draw(stage, "a panda", seed=43)
    for search in ("TABLE apple", "seed:42", "42", "#1", "today red"):
        answer = await page(stage, search=search)
        assert "**#1**" in answer.text and "**#2**" not in answer.text, search
        assert f"with “{search}”" in answer.text
    today = time.strftime("%Y-%m-%d")
    assert lines(await page(stage, search=today))[0] == f"📅 {today}"
    assert lines(await page(stage, search=f"2001-01-01..{today}"))[0] == f"📅 2001-01-01 – {today}"
    nothing = (await page(stage, search="yesterday `x`")).content
    assert "None of your images matches" in nothing and "seed:42" in nothing and "2026-11-29" in nothing


async def test_longest_search_travels_through_every_button(stage: Stage) -> None:
    search = "red apple " * 4 + "red apples"
    assert len(search) == MAX_SEARCH
    await draw(stage, search)
    await copy(stage, *[search] * 10)
    first = await page(stage, search=search)
    older = await (await stage.discord.click(first, "Older")).wait(lambda message: "**#1**" in message.text)
    shown = await pick(stage, older, 1)
    back = await (await stage.discord.click(shown, "Back to the list")).wait(lambda seen: "**#1**" in seen.text)
    assert f"“{search}”" in back.text
    for message in (first, older, shown):
        for component in (*message.buttons, *message.selects):
            assert len(component["custom_id"]) <= 100


async def test_cut_search_says_so_and_goes_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.store.history_query.SEARCHED", 2)
    await draw(stage, "a fox")
    await copy(stage, "a cat", "a fox", "a cat", "a cat", "a cat")
    first = await page(stage, search="fox")
    assert "so far" in first.content and labels(first) == ["Search older", "Oldest"]
    older = await (await stage.discord.click(first, "Search older")).wait(lambda message: "**#3**" in message.text)
    assert "as far as #3" in older.text and "Search older" in labels(older)
    last = await (await stage.discord.click(older, "Search older")).wait(lambda message: "**#1**" in message.text)
    assert labels(last) == ["Newest", "Newer"]


async def test_newcomer_is_told_how_to_begin(stage: Stage) -> None:
    assert (await page(stage)).content.startswith("No images yet.")


async def test_page_of_pruned_files_has_empty_cells(stage: Stage) -> None:
    await draw(stage, "x")
    path = await stage.service.image_file(await stage.job(1))
    assert path is not None
    path.unlink()
    answer = await page(stage)
    assert len(answer.images) == 1
    shown = await pick(stage, answer, 1)
    assert "has expired and was removed" in shown.text and not shown.images
    assert labels(shown)[0] == "🔄 Again"


async def test_nobody_turns_to_pictures_of_somebody_else(stage: Stage) -> None:
    await draw(stage, "a secret")
    bob = stage.discord.add_user("bob")
    await draw(stage, "a panda", user=bob)
    own = await page(stage, bob)
    live = stage.discord.world.channels[own.channel_id].messages[own.id]
    live.components[0]["components"][0]["options"][0]["value"] = "1"
    use = await stage.discord.select(own, own.selects[0]["custom_id"], "1", bob)
    told = await use.wait(lambda message: "There is no image #1." in message.text)
    assert "secret" not in told.text and "**#2**" in told.text


@pytest.mark.parametrize("custom_id", ["im1:page::1:", "im1:page:::apple", "im1:page:2::", "im1:page:2:1:apple"])
async def test_button_of_an_earlier_release_turns_the_page(stage: Stage, custom_id: str) -> None:
    await draw(stage, "a red apple", "a panda")
    shown = await pick(stage, await page(stage), 2)
    live = stage.discord.world.channels[shown.channel_id].messages[shown.id]
    live.components[1]["components"][0]["custom_id"] = custom_id
    turned = await (await stage.discord.click(shown, custom_id)).wait(
        lambda message: "a red apple" in message.text and "#1" in message.text
    )
    assert "a panda" not in turned.text.partition("Image #1")[2] and turned.images


@pytest.mark.parametrize(
    "custom_id",
    ["im2:page:older:9999999999999999:", "im2:page:newer::", "im2:page:oldest:٣:x'\n", "im2:page:newest:7:%"],
)
async def test_button_with_anything_in_it_is_answered(stage: Stage, custom_id: str) -> None:
    await draw(stage, "a red apple")
    shown = await pick(stage, await page(stage), 1)
    live = stage.discord.world.channels[shown.channel_id].messages[shown.id]
    live.components[1]["components"][0]["custom_id"] = custom_id
    use = await stage.discord.click(shown, custom_id)
    answer = await use.wait(lambda message: "**#1**" in message.text or "None of your images" in message.text)
    assert answer.ephemeral


# ── posting ─────────────────────────────────────────────────────────────────────────────────────────


async def test_show_posts_ones_own_picture_again(stage: Stage) -> None:
    await draw(stage, "a red apple")
    shown = await (await ask(stage, "show", id=1)).wait(lambda message: message.images)
    assert not shown.ephemeral and not shown.pings and "/imagine prompt:a red apple" in shown.text
    assert shown.content == f"🖼️ Image #1 by <@{stage.discord.user.id}>"


async def test_show_posts_public_pictures_of_this_server_and_says_whose(stage: Stage) -> None:
    await draw(stage, "a red apple")
    bob = stage.discord.add_user("bob")
    shown = await (await ask(stage, "show", bob, id=1)).wait(lambda message: message.images)
    assert shown.content == f"🖼️ Image #1 by <@{stage.discord.user.id}> · posted by <@{bob.id}>"
    assert not shown.pings and labels(shown)[0] == "🔄 Again"


async def test_show_keeps_a_spoiler_a_spoiler(stage: Stage) -> None:
    await draw(stage, "a surprise")
    await change(stage, 1, is_spoiler=1)
    shown = await (await ask(stage, "show", id=1)).wait(lambda message: message.images)
    assert shown.attachments[0]["filename"].startswith("SPOILER_")


async def test_show_refuses_privately_and_leaves_nothing(stage: Stage) -> None:
    guild, channel = await stage.other_server()
    abroad = stage.discord.add_user("abroad", guild=guild)
    await draw(stage, "private", "erased", "of the page", "waits")
    await change(stage, 1, is_private=1)
    await stage.jobs.erase(2, now=int(time.time()))
    await change(stage, 3, user_frontend="console", reply_frontend="console")
    await change(stage, 4, status="failed", failure_code="timeout")
    use = await stage.discord.slash(abroad, channel, "imagine", prompt="elsewhere", steps=1)
    await use.wait(lambda message: message.images)
    bob = stage.discord.add_user("bob")
    before = len([message for message in stage.discord.messages(stage.discord.channel) if not message.ephemeral])
    expected = {
        1: "Image #1 belongs to somebody else.",
        2: "Image #2 was deleted, and its prompt with it.",
        3: "Image #3 was not drawn on this server.",
        4: "not available",
        5: "Image #5 was not drawn on this server.",
        77: "There is no image #77.",
    }
    for number, text in expected.items():
        answer = await private(await ask(stage, "show", bob, id=number))
        assert text in answer.content, number
    after = [message for message in stage.discord.messages(stage.discord.channel) if not message.ephemeral]
    assert len(after) == before


async def test_own_private_picture_may_be_posted_by_its_person(stage: Stage) -> None:
    await draw(stage, "mine alone")
    await change(stage, 1, is_private=1)
    assert not (await (await ask(stage, "show", id=1)).wait(lambda message: message.images)).ephemeral


async def test_show_of_a_pruned_file_says_so(stage: Stage) -> None:
    await draw(stage, "x")
    path = await stage.service.image_file(await stage.job(1))
    assert path is not None
    path.unlink()
    assert "has expired and was removed" in (await private(await ask(stage, "show", id=1))).content


# ── suggestions ─────────────────────────────────────────────────────────────────────────────────────


async def suggested(stage: Stage, typed: str = "", user: Any = None) -> list[int]:
    found = await stage.discord.autocomplete(user or stage.discord.user, stage.discord.channel, "show", "id", typed)
    return [choice["value"] for choice in found]


async def test_suggestions_are_ones_own_first_and_then_public_ones_of_this_server(stage: Stage) -> None:
    guild, channel = await stage.other_server()
    abroad = stage.discord.add_user("abroad", guild=guild)
    bob = stage.discord.add_user("bob")
    await draw(stage, "a red apple")
    await draw(stage, "a red fox", "a secret", "erased", user=bob)
    use = await stage.discord.slash(abroad, channel, "imagine", prompt="elsewhere", steps=1)
    await use.wait(lambda message: message.images)
    await change(stage, 3, is_private=1)
    await stage.jobs.erase(4, now=int(time.time()))
    assert await suggested(stage) == [1, 2]
    assert await suggested(stage, user=bob) == [3, 2, 1]
    assert await suggested(stage, "RED") == [1, 2] and await suggested(stage, "fox red") == [2]
    assert await suggested(stage, "2") == [2] and await suggested(stage, "#2") == [2]
    for hidden in ("3", "#4", "5", "secret", "elsewhere", "9" * 16, "9" * 40):
        assert await suggested(stage, hidden) == [], hidden
    assert await suggested(stage, "3", bob) == [3]


async def test_image_of_a_channel_that_one_cannot_see_is_neither_suggested_nor_shown(stage: Stage) -> None:
    discord, bob = stage.discord, stage.discord.add_user("bob")
    staff = discord.add_channel("staff")
    everybody = discord.guild.roles[discord.guild.id]
    use = await discord.slash(discord.user, staff, "imagine", prompt="a secret fox", steps=1)
    message = await use.wait(lambda message: message.images)
    assert await suggested(stage, user=bob) == [1]
    discord.set_permissions(staff, everybody, deny=Permission.VIEW_CHANNEL)
    discord.set_permissions(staff, discord.user, allow=Permission.VIEW_CHANNEL)
    discord.set_permissions(staff, discord.bot, allow=Permission.VIEW_CHANNEL)
    async with asyncio.timeout(5):
        while await suggested(stage, user=bob):
            await asyncio.sleep(0.05)
    assert await suggested(stage, "1", bob) == [] and await suggested(stage, "fox", bob) == []
    refused = await private(await ask(stage, "show", bob, id=1))
    assert "belongs to somebody else" in refused.text and "fox" not in refused.text
    copy = await (await ask(stage, "show", id=1)).wait(lambda shown: shown.images)  # its person shows it here
    info = await private(await discord.message_menu(bob, copy, "Image info"))
    assert "Image #1" in info.text
    assert message.channel_id == staff.id


async def test_broken_database_only_empties_the_suggestions(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await draw(stage, "a red apple")

    async def broken(*_: object, **__: object) -> None:
        raise StoreUnavailable("disk I/O error", is_full=False)

    monkeypatch.setattr(stage.service.histories, "shared", broken)
    assert await suggested(stage) == [1]  # what was found before it broke
    monkeypatch.setattr(stage.service.histories, "newest", broken)
    assert await suggested(stage) == []


def test_labels_tell_equal_prompts_apart_and_stay_inside_discords_limit() -> None:
    english, chinese = wording_for("en"), wording_for("zh-CN")
    job = a_job("a fox", id=35, status=JobStatus.DONE)
    job = replace(job, user=UserKey(frontend="discord", id="1"), finished_at=1_000_000)
    job = replace(job, spec=replace(job.spec, seed=2356017))
    assert label(job, english, now=1_000_120) == "#35 · 2 min · seed 2356… · a fox"
    assert label(job, english, now=1_000_000 + 7200) == "#35 · 2 h · seed 2356… · a fox"
    assert label(job, english, now=1_000_000 + 86_400) == "#35 · 1 day · seed 2356… · a fox"
    assert label(job, chinese, now=1_000_000 + 2 * 86_400) == "#35 · 2 天前 · 种子 2356… · a fox"
    assert label(job, english, now=0).startswith("#35 · just now")  # a clock that was set back
    long = replace(job, spec=replace(job.spec, prompt="🍎" * 2000))
    assert len(label(long, english, now=1_000_000).encode("utf-16-le")) <= 200
