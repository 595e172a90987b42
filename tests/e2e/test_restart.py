"""Whatever ends the process, at whatever moment: nothing is lost and nothing comes twice."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bot.errors import ExitCode
from tests.discord_server import BotProcess, Discord, Use
from tests.e2e.conftest import imagine, imagine_in_order, is_final, is_result, rows, wait_row

RUNNING = "[step=0.2]"


async def restart(bot: BotProcess) -> None:
    await bot.start()
    await bot.wait_ready()


async def test_kill_while_drawing_and_waiting_keeps_the_order_and_draws_everything_once(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    uses = await imagine_in_order(discord, ["[step=0.5] 0", "[step=0.2] 1", "[step=0.2] 2"], steps=6)
    await wait_row(data_dir, status="running")
    assert [row["status"] for row in rows(data_dir)] == ["running", "queued", "queued"]
    await bot.kill()
    await restart(bot)
    told = await uses[2].wait(lambda message: "restarted" in message.text, timeout=15)
    assert not told.images
    finished = [await use.wait(is_result, timeout=20) for use in uses]
    assert len({message.id for message in finished}) == 3
    done = rows(data_dir)
    assert [row["attempts"] for row in done] == [2, 1, 1]
    assert [row["finished_at"] for row in done] == sorted(row["finished_at"] for row in done)
    assert len(discord.messages(discord.channel)) == 3
    discord.assert_clean()


async def test_job_that_dies_with_the_process_twice_is_failed_and_the_next_one_runs(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    poison, innocent = await imagine_in_order(discord, ["[hang] [step=0.05]", "innocent"])
    for attempt in (1, 2):
        await wait_row(data_dir, status="running", attempts=attempt)
        await bot.kill()
        await bot.start()
    await bot.wait_ready()
    message = await poison.wait(is_final, timeout=15)
    assert "restarted twice" in message.text
    await innocent.wait(is_result, timeout=15)
    assert [(row["status"], row["failure_code"]) for row in rows(data_dir)] == [
        ("failed", "interrupted"),
        ("done", None),
    ]


async def test_kill_between_drawing_and_delivering_delivers_once(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    use = await imagine(discord, RUNNING, steps=4)
    await use.wait(lambda message: message.buttons)
    discord.fault(r"PATCH /channels/\d+/messages/\d+", times=float("inf"), hang=30)
    await wait_row(data_dir, delivery="pending")
    await bot.kill()
    discord.clear_faults()
    await restart(bot)
    await use.wait(is_result, timeout=15)
    await bot.stop()
    (row,) = rows(data_dir)
    assert (row["status"], row["delivery"], row["attempts"]) == ("done", "delivered", 1)
    assert len(discord.messages(discord.channel)) == 1


async def test_kill_after_a_new_message_was_posted_does_not_post_it_again(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    use = await imagine(discord, RUNNING, steps=4)
    await use.wait(lambda message: message.buttons)
    discord.fault(r"PATCH /channels/\d+/messages/\d+", times=float("inf"), code=50013)
    discord.fault(r"POST /channels/\d+/messages$", times=1, hang=30, applied=True)
    await discord.wait_message(is_result, timeout=15)
    await bot.kill()
    await restart(bot)
    await wait_row(data_dir, delivery="delivered")
    assert sum(bool(message.images) for message in discord.messages(discord.channel)) == 1


@pytest.mark.parametrize("is_applied", [False, True], ids=["Discord did not hear it", "Discord heard it"])
async def test_kill_before_the_first_answer_posts_the_picture_anew(
    discord: Discord, bot: BotProcess, data_dir: Path, is_applied: bool
) -> None:
    discord.fault(r"POST /interactions/.*", times=1, hang=30, applied=is_applied)
    await imagine(discord, "[step=1]", steps=3)
    await wait_row(data_dir, status="running")
    await bot.kill()
    discord.clear_faults()
    await restart(bot)
    message = await discord.wait_message(is_result, timeout=20)
    assert message.pings == [discord.user.id]
    await wait_row(data_dir, delivery="delivered", reply_key=message.id)
    assert sum(bool(each.images) for each in discord.messages(discord.channel)) == 1


async def test_cancel_survives_a_kill(discord: Discord, bot: BotProcess, data_dir: Path) -> None:
    use = await imagine(discord, "[step=3]", steps=4)
    card = await use.wait(lambda message: message.buttons)
    await wait_row(data_dir, status="running")
    await (await discord.click(card, "Cancel")).wait()
    await bot.kill()
    await restart(bot)
    await use.wait(lambda message: "cancelled" in message.text and is_final(message), timeout=15)


async def test_buttons_work_after_a_restart(discord: Discord, bot: BotProcess) -> None:
    use = await imagine(discord, "[hang] [step=0.05]")
    card = await use.wait(lambda message: message.buttons)
    await bot.kill()
    await restart(bot)
    await discord.click(card, "Cancel")
    await use.wait(lambda message: "cancelled" in message.text and is_final(message), timeout=15)


async def test_sigterm_stops_at_the_next_step_and_keeps_the_place(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    uses = await imagine_in_order(discord, [f"[step=0.5] {number}" for number in range(2)], steps=6)
    await wait_row(data_dir, status="running")
    started = time.monotonic()
    assert await bot.stop(timeout=20) == ExitCode.OK
    assert time.monotonic() - started < 20
    assert [(row["status"], row["attempts"], row["interruptions"]) for row in rows(data_dir)] == [
        ("queued", 0, 1),
        ("queued", 0, 0),
    ]
    await restart(bot)
    for use in uses:
        await use.wait(is_result, timeout=20)
    discord.assert_clean()


async def test_ctrl_c_ends_as_cleanly_as_sigterm(discord: Discord, bot: BotProcess, data_dir: Path) -> None:
    await imagine(discord, "[step=0.5]", steps=6)
    await wait_row(data_dir, status="running")
    bot._signal(signal.SIGINT)
    assert await bot.wait_exit(timeout=20) == ExitCode.OK
    assert "Traceback" not in bot.output
    assert rows(data_dir)[0]["status"] == "queued"


async def test_sigterm_does_not_wait_for_an_engine_that_hangs(discord: Discord, make_bot, data_dir: Path) -> None:
    async with make_bot(worker__stop_grace_s=1) as bot:
        await bot.wait_ready()
        await imagine(discord, "[step=60]")
        await wait_row(data_dir, status="running")
        assert await bot.stop(timeout=20) == ExitCode.OK
    (row,) = rows(data_dir)
    assert (row["status"], row["attempts"], row["interruptions"]) == ("queued", 0, 1)


async def test_cancel_promised_while_stopping_is_kept(discord: Discord, bot: BotProcess, data_dir: Path) -> None:
    use = await imagine(discord, "[step=4]", steps=2)
    card = await use.wait(lambda message: message.buttons)
    await wait_row(data_dir, status="running")
    bot._signal(signal.SIGTERM)
    await (await discord.click(card, "Cancel")).wait()
    assert await bot.wait_exit(timeout=20) == ExitCode.OK
    await restart(bot)
    await use.wait(lambda message: "cancelled" in message.text and is_final(message), timeout=15)


async def test_answer_under_way_while_stopping_is_given(discord: Discord, bot: BotProcess, data_dir: Path) -> None:
    await imagine(discord, RUNNING, steps=50)
    await wait_row(data_dir, status="running")
    slow = discord.fault(r"POST /interactions/\d+/[^/]+/callback", times=1, slow=1.5)
    asked = await discord.slash(discord.user, discord.channel, "history")
    await slow.wait_spent()
    bot._signal(signal.SIGTERM)
    assert "No images yet" in (await asked.wait()).text
    assert await bot.wait_exit(timeout=20) == ExitCode.OK


async def test_database_locked_by_another_program_holds_up_and_loses_nothing(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    use = await imagine(discord, "[step=0.3]", steps=3)
    await wait_row(data_dir, status="running")
    with closing(sqlite3.connect(data_dir / "imagine-bot.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await bot.wait_log("cannot be used, trying again", timeout=20)
        other.execute("COMMIT")
    await use.wait(is_result, timeout=30)
    assert bot.returncode is None


async def test_sigterm_ends_in_time_though_the_database_stays_locked_and_the_next_start_draws_the_job(
    discord: Discord, make_bot: Callable[..., BotProcess], data_dir: Path
) -> None:
    async with make_bot(worker__stop_grace_s=1) as bot:
        await bot.wait_ready()
        await imagine(discord, "[step=0.2]", steps=5)
        await wait_row(data_dir, status="running")
        with closing(sqlite3.connect(data_dir / "imagine-bot.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
            assert await bot.stop(timeout=20) == ExitCode.OK
            assert time.monotonic() - started < 11  # a second of grace, and at most ten after it
            other.execute("ROLLBACK")
        assert "Traceback" not in bot.output
        assert [(row["status"], row["attempts"]) for row in rows(data_dir)] == [("running", 1)]
        await restart(bot)
        # If not even where its message stands could be stored, the image comes in a new one.
        await wait_row(data_dir, delivery="delivered")
    assert [(row["status"], row["attempts"]) for row in rows(data_dir)] == [("done", 2)]
    assert [len(message.images) for message in discord.messages(discord.channel) if message.images] == [1]
    discord.assert_clean()


async def test_sigterm_refuses_new_requests_politely(discord: Discord, bot: BotProcess, data_dir: Path) -> None:
    drawing = await imagine(discord, "[step=4]", steps=2)
    await drawing.wait(lambda message: "🎨" in message.text)  # its step has begun, which cannot be stopped
    bot._signal(signal.SIGTERM)
    await bot.wait_log("stopping: no new requests")
    refused = await imagine(discord)
    assert "restarting" in (await refused.wait(lambda message: message.ephemeral)).text
    assert await bot.wait_exit(timeout=20) == ExitCode.OK
    assert len(rows(data_dir)) == 1


async def test_dead_engine_ends_the_process_with_its_own_code(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    use = await imagine(discord, "[dead]")
    assert await bot.wait_exit(timeout=20) == ExitCode.ENGINE_DEAD
    await bot.start()  # the supervisor
    assert await bot.wait_exit(timeout=20) == ExitCode.ENGINE_DEAD
    await restart(bot)
    await use.wait(is_final, timeout=15)
    assert rows(data_dir)[0]["failure_code"] == "interrupted"
    await (await imagine(discord, "after it")).wait(is_result)


async def test_hung_engine_fails_the_job_and_ends_the_process(discord: Discord, make_bot, data_dir: Path) -> None:
    async with make_bot(worker__job_timeout_s=1, worker__stop_grace_s=1) as bot:
        await bot.wait_ready()
        use = await imagine(discord, "[step=60]")
        assert await bot.wait_exit(timeout=20) == ExitCode.ENGINE_DEAD
        await restart(bot)
        assert "too long" in (await use.wait(is_final, timeout=15)).text


async def test_second_copy_on_the_same_database_is_refused(discord: Discord, bot: BotProcess, make_bot) -> None:
    async with make_bot() as second:
        assert await second.wait_exit(timeout=20) == ExitCode.ALREADY_RUNNING
        assert "already using" in second.output and "Traceback" not in second.output
    await (await imagine(discord)).wait(is_result)


async def test_newer_database_is_refused(discord: Discord, make_bot, data_dir: Path) -> None:
    data_dir.mkdir()
    with closing(sqlite3.connect(data_dir / "imagine-bot.db")) as connection:
        connection.execute("PRAGMA user_version = 999")
    async with make_bot() as bot:
        assert await bot.wait_exit(timeout=20) == ExitCode.USAGE
        assert "999" in bot.output and "Traceback" not in bot.output


async def test_refused_token_ends_the_process_with_one_clear_sentence(discord: Discord, make_bot) -> None:
    bot = make_bot()
    old, discord.config.token = discord.config.token, "another.token.altogether"
    async with bot:
        assert await bot.wait_exit(timeout=20) == ExitCode.USAGE
        assert "token" in bot.output and "Traceback" not in bot.output and old not in bot.output


async def test_missing_model_files_end_the_process_with_the_way_out(discord: Discord, make_bot, tmp_path: Path) -> None:
    async with make_bot(pipeline__model="flux1-dev", pipeline__models_dir=tmp_path / "none") as bot:
        assert await bot.wait_exit(timeout=30) == ExitCode.USAGE
        assert "fetch" in bot.output and "Traceback" not in bot.output


@pytest.mark.parametrize("rounds", [range(3), range(3, 6)], ids=["early", "late"])
async def test_jobs_with_a_kill_every_ten_are_all_delivered_exactly_once(
    discord: Discord, make_bot: Callable[..., BotProcess], data_dir: Path, rounds: range
) -> None:
    """Sixty in all, with six kills, each at another moment."""
    channels = [discord.add_channel(f"art-{number}") for number in range(5)]
    uses: list[Use] = []
    async with make_bot() as bot:
        await bot.wait_ready()
        await discord.wait_command("imagine")
        for round_number in rounds:
            for number in range(10):
                use = await discord.slash(
                    discord.user,
                    channels[number % 5],
                    "imagine",
                    prompt=f"[step=0.03] {round_number}-{number}",
                    steps=2,
                )
                uses.append(use)
            await asyncio.gather(*(use.wait(lambda message: not message.loading) for use in uses[-10:]))
            await asyncio.sleep(0.1 * round_number)  # another moment each time
            await bot.kill()
            await restart(bot)
        for use in uses:
            await use.wait(lambda message: message.images or "restarted twice" in message.text, timeout=45)
        # A kill between an edit and its note in the table repeats the edit: wait until that has settled.
        while any(row["delivery"] == "pending" for row in rows(data_dir)):
            await asyncio.sleep(0.1)
        await bot.stop()
    table = rows(data_dir)
    count = 10 * len(rounds)
    assert len(table) == count
    assert Counter(row["delivery"] for row in table) == {"delivered": count}
    messages = [message for channel in channels for message in discord.messages(channel)]
    assert len(messages) == count  # each on its own card, none twice
    assert all(row["attempts"] == 2 for row in table if row["status"] != "done")  # two kills met the same job
    assert sum(bool(message.images) for message in messages) == sum(row["status"] == "done" for row in table)
    discord.assert_clean()


async def test_identical_request_is_answered_with_the_stored_image_and_survives_a_kill(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    first = await imagine(discord, RUNNING, steps=4, seed=7)
    await first.wait(is_result, timeout=15)
    discord.fault(r"PATCH /channels/\d+/messages/\d+", times=float("inf"), hang=30)
    await imagine(discord, RUNNING, steps=4, seed=7)
    await wait_row(data_dir, 1, delivery="pending")
    await bot.kill()
    discord.clear_faults()
    await restart(bot)
    await wait_row(data_dir, 1, delivery="delivered")
    assert sum("already here" in message.text for message in discord.messages(discord.channel)) == 1
    one, two = rows(data_dir)
    assert (two["status"], two["cost"], two["ran_s"], two["repeat_of"]) == ("done", 0, 0, one["id"])
    assert sum(bool(each.images) for each in discord.messages(discord.channel)) == 2
