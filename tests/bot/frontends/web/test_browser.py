"""The page in a real Chromium: what a person sees and does. One page for all; every test is another person."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.async_api import expect

from tests.bot.frontends.web.conftest import PageProcess, Visit

pytestmark = pytest.mark.asyncio(loop_scope="session")
SLOW = "[step=0.3]"  # seconds per step of the fake engine


async def test_person_draws_watches_the_steps_and_gets_the_picture_with_its_seed(
    shared: PageProcess, visit: Visit
) -> None:
    async with visit(shared.url) as person:
        await person.draw(f"{SLOW} a red apple", steps=12)
        await expect(person.jobs).to_contain_text("Step")
        await expect(person.page.locator("progress[value]")).to_be_visible()
        await expect(person.page.locator("img.preview")).to_be_visible()
        await expect(person.page.locator(".queue")).to_contain_text("1 being drawn")
        await expect(person.picture).to_be_visible()
        await expect(person.jobs).to_have_count(0)
        text = await person.page.inner_text(".shown")
        assert "a red apple" in text and "seed" in text and "12 steps" in text
        await expect(person.thumbnails).to_have_count(1)


async def test_ctrl_enter_draws(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url) as person:
        await person.page.fill("#prompt textarea", "a red apple")
        await person.page.keyboard.press("Control+Enter")
        await expect(person.picture).to_be_visible()


async def test_cancel_stops_a_job_that_is_drawn_and_one_that_waits(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url) as person:
        await person.draw(f"[hang] {SLOW}")
        await person.draw("waiting")
        await expect(person.jobs).to_have_count(2)
        await expect(person.jobs.nth(1)).to_contain_text("You are next")
        await person.jobs.nth(1).get_by_role("button", name="Cancel").click()
        await expect(person.said).to_contain_text("cancelled")
        await expect(person.jobs).to_have_count(1)
        await person.jobs.get_by_role("button", name="Cancel").click()
        await expect(person.said).to_contain_text("stops at the next step")
        await expect(person.jobs).to_have_count(0)
        await expect(person.thumbnails).to_have_count(0)


async def test_failure_is_told_until_it_was_read(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url) as person:
        await person.draw("[oom]")
        await expect(person.jobs).to_contain_text("ran out of memory")
        await person.open()
        await expect(person.jobs).to_contain_text("ran out of memory")
        await person.jobs.get_by_role("button", name="OK").click()
        await expect(person.jobs).to_have_count(0)


async def test_two_people_see_their_own_pictures_and_each_other_in_the_queue(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url) as ann, visit(shared.url) as ben:
        await ann.page.click("#more button")
        await ann.page.fill("#name input, #name textarea", "Ann <b>")
        await ann.draw(f"{SLOW} of Ann", steps=20)
        await expect(ann.jobs).to_contain_text("Step")
        await ben.draw("of Ben")
        await expect(ben.jobs).to_contain_text("You are next")
        await ben.page.click(".queue summary")
        await expect(ben.page.locator(".queue")).to_contain_text("Ann <b>")
        await expect(ben.page.locator(".queue")).to_contain_text("1. you")
        assert "of Ann" not in await ben.page.inner_text(".living")
        await expect(ben.picture).to_be_visible()
        await expect(ann.picture).to_be_visible()
        assert "of Ben" in await ben.page.inner_text(".shown") and "of Ann" in await ann.page.inner_text(".shown")
        await expect(ann.thumbnails).to_have_count(1)
        await ann.open()  # the name is kept in the browser
        await ann.page.click("#more button")
        await expect(ann.page.locator("#name input, #name textarea")).to_have_value("Ann <b>")


async def test_reload_and_closing_the_tab_lose_nothing(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url) as person:
        begun = len(shared.lines)
        await person.draw(f"{SLOW} patience", steps=20)
        await expect(person.jobs).to_contain_text("Step")
        await person.page.reload()
        await expect(person.jobs).to_contain_text("patience")
        await person.page.close()
        await shared.wait_log("job ended", timeout=60, after=begun)
        person.page = await person.page.context.new_page()
        await person.open()
        await expect(person.thumbnails).to_have_count(1)


async def test_form_offers_the_shapes_and_sizes_of_the_chosen_model(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url) as person:
        large = person.page.locator("#size label", has_text="Large")
        portrait = person.page.locator("#aspect label", has_text="Portrait")
        await expect(large).to_be_visible()
        await expect(portrait).to_be_visible()
        await person.page.click("#model input")
        await person.page.get_by_role("option", name="Demo: emoji scenes").click()
        await expect(large).to_be_hidden()
        await expect(portrait).to_be_hidden()
        await expect(person.page.locator("#size label", has_text="Draft")).to_be_visible()
        await expect(person.page.locator("#steps input[type=number]")).to_have_value("8")
        await person.page.click("#model input")
        await person.page.get_by_role("option", name="Fake: a colour gradient").click()
        await expect(large).to_be_visible()
        # Whoever comes by with Tab leaves no open list behind.
        await person.page.locator("#model input").blur()
        await person.page.focus("#model input")
        await expect(person.page.locator("#model [role=listbox], .options").first).to_be_visible()
        await person.page.keyboard.press("Tab")
        await expect(person.page.locator(".options")).to_have_count(0)


async def test_setting_that_some_models_have_is_drawn_and_comes_back(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url) as person:
        await person.page.click("#more button")
        guidance = person.page.locator("#guidance input, #guidance textarea")
        await expect(guidance).to_have_value("")
        await expect(person.page.locator("#cfg-scale, #negative-prompt, #sampler, #clip-skip")).to_have_count(0)
        await guidance.fill("2.5")
        await person.draw("a red apple", steps=2)
        await expect(person.picture).to_be_visible()
        await guidance.fill("")
        await person.page.click(".shown [data-do=edit]")
        await expect(guidance).to_have_value("2.5")


async def test_exact_size_is_drawn_comes_back_and_gives_way_to_a_choice(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url) as person:
        await person.page.click("#more button")
        exact = person.page.locator("#exact-size input, #exact-size textarea")
        await exact.fill("448 × 320")
        await person.draw("a red apple", steps=2)
        await expect(person.page.locator(".shown")).to_contain_text("448 × 320")
        await exact.fill("")
        await person.page.click(".shown [data-do=edit]")
        await expect(exact).to_have_value("448x320")
        await person.page.locator("#size label", has_text="Draft").click()
        await expect(exact).to_have_value("")


async def test_settings_go_back_to_the_form_and_a_variation_starts_from_the_image(
    shared: PageProcess, visit: Visit
) -> None:
    async with visit(shared.url) as person:
        await person.page.fill("#seed input", "7")
        await person.page.locator("#aspect label").nth(1).click()
        await person.page.locator("#size label", has_text="Draft").click()
        await person.draw("a red apple", steps=3)
        await expect(person.picture).to_be_visible()
        await person.page.locator("#size label", has_text="Large").click()
        await person.draw("something else", steps=5)
        await expect(person.thumbnails).to_have_count(2)
        await person.thumbnails.nth(1).click()
        await expect(person.page.locator(".shown")).to_contain_text("a red apple")
        await expect(person.page.locator(".lightbox")).to_contain_text("a red apple")
        await person.page.keyboard.press("Escape")
        await person.page.click(".shown [data-do=edit]")
        await expect(person.page.locator("#prompt textarea")).to_have_value("a red apple")
        await expect(person.page.locator("#seed input")).to_have_value("7")
        await expect(person.page.locator("#steps input[type=number]")).to_have_value("3")
        await expect(person.page.locator("#aspect input").nth(1)).to_be_checked()
        await expect(person.page.locator("#size input").first).to_be_checked()
        await expect(person.page.locator(".shown")).to_contain_text("32 × 48")
        await person.page.click("#dice")
        await expect(person.page.locator("#seed input")).to_have_value("-1")
        await person.page.click("#keep")
        await expect(person.page.locator("#seed input")).to_have_value("7")
        await person.page.click(".shown [data-do=vary]")
        await expect(person.said).to_contain_text("Queued.")
        await expect(person.thumbnails).to_have_count(3)
        await expect(person.page.locator(".shown")).to_contain_text("from an image")
        assert await person.page.get_attribute(".shown .picture", "data-seed") != "7"


async def test_several_pictures_at_once_and_a_search(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url) as person:
        await person.page.fill("#count input[type=number]", "3")
        await person.draw("a lighthouse")
        await expect(person.said).to_contain_text("3 images queued")
        await expect(person.thumbnails).to_have_count(3)
        await person.page.fill("#count input[type=number]", "1")
        await person.draw("a whale")
        await expect(person.thumbnails).to_have_count(4)
        await person.page.fill(".gallery input", "whale")
        await expect(person.thumbnails).to_have_count(1)
        await person.page.fill(".gallery input", "giraffe")
        await expect(person.page.locator(".gallery .empty")).to_contain_text("giraffe")


async def test_picture_to_start_from(shared: PageProcess, visit: Visit, tmp_path: object) -> None:
    from pathlib import Path

    from PIL import Image

    assert isinstance(tmp_path, Path)
    Image.new("RGB", (90, 60), "green").save(tmp_path / "start.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    async with visit(shared.url) as person:
        await person.page.click("#more button")
        await person.page.set_input_files("#source input[type=file]", tmp_path / "start.jpg")
        await expect(person.page.locator("#source img")).to_be_visible()
        await person.page.check("#way input[value=start]")
        await person.draw("a red apple")
        await expect(person.page.locator(".shown")).to_contain_text("strength 0.6")
        await person.page.click(".shown [data-do=reroll]")
        await expect(person.thumbnails).to_have_count(2)
        await person.open()
        await person.page.click(".shown [data-do=edit]")
        await person.page.click("#more button")
        await expect(person.page.locator("#source img")).to_be_visible()
        await person.draw("a green apple")
        await expect(person.page.locator(".shown")).to_contain_text("a green apple")
        await expect(person.page.locator(".shown")).to_contain_text("strength 0.6")
        await person.open()
        await person.page.click("#more button")
        await person.page.set_input_files("#source input[type=file]", tmp_path / "broken.jpg")
        await expect(person.page.locator("#source img")).to_be_attached()
        await person.draw("a red apple")
        await expect(person.said).to_contain_text("PNG, JPEG or WebP")


async def test_pictures_that_are_dropped_are_edited_and_come_back_to_be_edited_again(
    shared: PageProcess, visit: Visit
) -> None:
    drop = """(field, colour) => {
        const canvas = Object.assign(document.createElement("canvas"), {width: 90, height: 60});
        const context = canvas.getContext("2d");
        context.fillStyle = colour;
        context.fillRect(0, 0, 90, 60);
        return new Promise(done => canvas.toBlob(blob => {
            const data = new DataTransfer();
            data.items.add(new File([blob], `${colour}.png`, {type: "image/png"}));
            const target = document.querySelector(`${field} button, ${field} [role=button]`);
            target.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
            done();
        }));
    }"""
    async with visit(shared.url) as person:
        await person.page.click("#more button")
        for field, colour in (("#source", "red"), ("#source-2", "lime"), ("#source-3", "blue")):
            await person.page.evaluate(f"([field, colour]) => ({drop})(field, colour)", [field, colour])
            await expect(person.page.locator(f"{field} img")).to_be_visible()
        await person.draw("make it night")
        await expect(person.page.locator(".shown")).to_contain_text("edited from 3 images")
        await expect(person.page.locator(".shown")).to_contain_text("96 × 64")
        await person.page.click("#source [aria-label='Remove Image'], #source [aria-label='Clear']")
        await person.page.click(".shown [data-do=edit]")
        await expect(person.page.locator("#source img")).to_be_visible()
        await person.draw("make it day")
        await expect(person.page.locator(".shown")).to_contain_text("make it day")
        await expect(person.page.locator(".shown")).to_contain_text("edited from 3 images")


async def test_refusal_is_said_in_red(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url) as person:
        await person.draw("   ")
        await expect(person.page.locator("#said .refusal")).to_contain_text("Write what to draw first.")
        await person.page.fill("#seed input", "4294967296")
        await person.draw("a red apple")
        await expect(person.page.locator("#said .refusal")).to_contain_text("The seed must be")


async def test_flags_in_the_prompt_beat_the_untouched_form_and_stay_said(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url) as person:
        await person.draw("a <b>cat</b> --ar 2:3 --seed 3 --steps 5 --v 6 <i>", steps=2)
        noted = person.page.locator("#said .noted")
        await expect(noted).to_have_text(
            [
                "Taken from your prompt: shape portrait, seed 3",
                "Not known here: --v 6",
                "Not taken from the prompt, because you set it elsewhere: --steps 5",
            ]
        )
        await expect(person.picture).to_be_visible()
        text = await person.page.inner_text(".shown")
        assert "a <b>cat</b> <i>" in text and "seed 3 · 2 steps · 64 × 96" in text
        await person.draw("a cat --seed x<b>")
        await expect(person.page.locator("#said .refusal")).to_contain_text("“--seed x<b>” in the prompt")
        await expect(noted).to_have_count(0)


async def test_download_holds_what_draws_it_again(shared: PageProcess, visit: Visit) -> None:
    from pipeline.images.png_metadata import read_spec

    async with visit(shared.url) as person:
        await person.page.fill("#seed input", "42")
        await person.draw("A red apple & <script>alert(1)</script>")
        await expect(person.picture).to_be_visible()
        async with person.page.expect_download() as waiting:
            await person.page.click(".shown a.button")
        download = await waiting.value
        assert download.suggested_filename == "a-red-apple-script-alert-1-script-42.png"
        spec = read_spec((await download.path()).read_bytes())
        assert spec is not None and (spec.seed, spec.prompt) == (42, "A red apple & <script>alert(1)</script>")


async def test_chinese_browser_gets_a_chinese_page(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url, locale="zh-CN") as person:
        await expect(person.page.locator("#draw")).to_have_text("开始画")
        await expect(person.page.locator(".gallery h2")).to_have_text("你的图片")
        await expect(person.page.locator("#aspect")).to_contain_text("横幅")
        await person.draw("一个红苹果")
        await expect(person.said).to_contain_text("已加入队列")
        await expect(person.page.locator(".shown")).to_contain_text("种子")
        # Nor is it heard in English.
        await person.page.click("#more > button")
        await expect(person.page.locator("#source [aria-label='粘贴图片']")).to_be_visible()
        heard = await person.page.evaluate(
            "[...document.querySelectorAll('#work [aria-label]')].map(each => each.ariaLabel)"
        )
        names = "Fake: a colour gradient|LoRA"
        assert [label for label in heard if re.search("[A-Za-z]{3}", re.sub(names, "", label))] == []


@pytest.mark.parametrize("locale", ["zh-TW", "zh-HK", "zh-Hant-HK"])
async def test_traditional_chinese_browser_gets_traditional_characters(
    locale: str, shared: PageProcess, visit: Visit
) -> None:
    async with visit(shared.url, locale=locale) as person:
        await expect(person.page.locator("#draw")).to_have_text("開始畫")
        await expect(person.page.locator(".gallery h2")).to_have_text("你的圖片")
        await expect(person.page.locator("#aspect")).to_contain_text("橫式")


async def test_phone_shows_everything_in_its_width(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True) as person:
        await person.draw("a red apple")
        await expect(person.picture).to_be_visible()
        width = await person.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360
        box = await person.page.locator("#draw").bounding_box()
        assert box is not None and box["height"] >= 36


async def test_another_person_sees_no_job_and_cancels_none(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url) as ann, visit(shared.url) as eve:
        await ann.draw(f"[hang] {SLOW}")
        number = await ann.jobs.get_attribute("data-key")
        answer = await eve.page.evaluate(
            f"fetch('/console/jobs/{number}/cancel', {{method: 'POST'}}).then(answer => answer.status)"
        )
        assert answer == 409
        async with httpx.AsyncClient(base_url=shared.url, trust_env=False) as script:
            assert (await script.get(f"/console/jobs/{number}")).status_code == 409
        await ann.jobs.get_by_role("button", name="Cancel").click()
        await expect(ann.jobs).to_have_count(0)


@pytest.mark.timeout(120)  # imports torch, beside whatever else this machine does
async def test_another_model_draws_the_next_picture(shared: PageProcess, visit: Visit) -> None:
    async with visit(shared.url) as person:
        await person.page.click("#model input")
        await person.page.get_by_role("option", name="Demo: emoji scenes").click()
        await person.draw("a red apple", steps=2)
        await expect(person.picture).to_be_visible(timeout=100_000)  # torch is imported first
        assert "256 × 256 · Demo: emoji scenes" in await person.page.inner_text(".shown")
        await person.page.click(".shown [data-do=edit]")
        await expect(person.page.locator("#model input")).to_have_value("Demo: emoji scenes")
