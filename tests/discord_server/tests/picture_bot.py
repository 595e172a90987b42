"""A small picture bot on discord.py, only there to try the emulator against the real library.

It finds Discord the way the project's bot does: the API's address is a setting, the gateway's comes from
GET /gateway/bot. `DISCORD_TOKEN` and `DISCORD_API` are its environment.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import re
import signal
from typing import Any

import discord
import yarl
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route
from PIL import Image

log = logging.getLogger("picture_bot")
COLOURS = {"red": (200, 0, 0), "blue": (0, 0, 200)}


def png(colour: str) -> discord.File:
    raw = io.BytesIO()
    Image.new("RGB", (32, 16), COLOURS.get(colour, (9, 9, 9))).save(raw, "PNG")
    raw.seek(0)
    return discord.File(raw, "picture.png")


class Translator(app_commands.Translator):
    async def translate(
        self,
        string: app_commands.locale_str,
        locale: discord.Locale,
        context: app_commands.TranslationContext[Any, Any],
    ) -> str | None:
        return {"draw": "绘画", "prompt": "提示词"}.get(string.message) if locale.value == "zh-CN" else None


class Again(discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"again:(?P<colour>\w+)"):
    """A button that works after a restart: its state is in the custom id."""

    def __init__(self, colour: str) -> None:
        super().__init__(discord.ui.Button(label="Again", custom_id=f"again:{colour}"))
        self.colour = colour

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Again:
        return cls(match["colour"])

    async def callback(self, interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        await interaction.followup.send("again", file=png(self.colour), ephemeral=True)


class Rename(discord.ui.Modal, title="Rename"):
    name: discord.ui.Label[Any] = discord.ui.Label(text="New name", component=discord.ui.TextInput(max_length=20))

    async def on_submit(self, interaction: discord.Interaction) -> None:
        assert isinstance(self.name.component, discord.ui.TextInput)
        await interaction.response.send_message(f"renamed {self.name.component.value}", ephemeral=True)


class Edit(discord.ui.Modal, title="Edit"):
    """A form with everything in it that a picture's form needs."""

    note: discord.ui.TextDisplay[Any] = discord.ui.TextDisplay("Change what you like.")
    prompt: discord.ui.Label[Any] = discord.ui.Label(
        text="Prompt", component=discord.ui.TextInput(style=discord.TextStyle.paragraph, default="a cat")
    )
    colour: discord.ui.Label[Any] = discord.ui.Label(
        text="Colour",
        component=discord.ui.Select(options=[discord.SelectOption(label=c.title(), value=c) for c in COLOURS]),
    )
    start: discord.ui.Label[Any] = discord.ui.Label(text="Start from", component=discord.ui.FileUpload(required=False))

    async def on_submit(self, interaction: discord.Interaction) -> None:
        prompt, colour, start = self.prompt.component, self.colour.component, self.start.component
        assert isinstance(prompt, discord.ui.TextInput)
        assert isinstance(colour, discord.ui.Select)
        assert isinstance(start, discord.ui.FileUpload)
        files = [f"{a.filename} {len(await a.read())}" for a in start.values]
        await interaction.response.send_message(f"{prompt.value} {colour.values} {files}")


class Which(discord.ui.View):
    """A select menu above a message."""

    @discord.ui.select(
        custom_id="which",
        placeholder="Which one?",
        options=[discord.SelectOption(label=f"Picture {n}", value=str(n), default=n == 1) for n in (1, 2)],
    )
    async def which(self, interaction: discord.Interaction, select: discord.ui.Select[Which]) -> None:
        await interaction.response.edit_message(content=f"picture {select.values[0]}")


class Controls(discord.ui.View):
    def __init__(self) -> None:
        super().__init__(timeout=None)
        self.add_item(Again("blue"))

    @discord.ui.button(label="Rename", custom_id="rename")
    async def rename(self, interaction: discord.Interaction, _: discord.ui.Button[Controls]) -> None:
        await interaction.response.send_modal(Rename())


class Bot(discord.AutoShardedClient):
    def __init__(self) -> None:
        super().__init__(intents=discord.Intents(guilds=True, guild_messages=True, dm_messages=True, reactions=True))
        self.tree = app_commands.CommandTree(self)

    async def setup_hook(self) -> None:
        # A session that cannot be resumed is made anew at discord.py's built-in address, not at
        # the one GET /gateway/bot gave (shard.py, Shard.reidentify).
        _, gateway_url, _ = await self.http.get_bot_gateway()
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)
        self.add_dynamic_items(Again)
        self.add_view(Controls())
        await self.tree.set_translator(Translator())
        await self.tree.sync()

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        log.info("deleted %s", event.message_id)

    async def on_message(self, message: discord.Message) -> None:
        assert self.user is not None
        if message.author.bot or not (message.guild is None or self.user in message.mentions):
            return
        await message.reply(f"you said {message.content}", mention_author=False)

    async def on_raw_reaction_add(self, payload: discord.RawReactionActionEvent) -> None:
        assert self.user is not None
        if payload.user_id != self.user.id:
            channel = self.get_partial_messageable(payload.channel_id)
            await channel.get_partial_message(payload.message_id).add_reaction("✅")

    async def on_resumed(self) -> None:
        log.info("resumed")


bot = Bot()


@bot.tree.command(name=app_commands.locale_str("draw"), description="Draw a picture")
@app_commands.describe(prompt="What to draw")
@app_commands.rename(prompt=app_commands.locale_str("prompt"))
async def draw(interaction: discord.Interaction, prompt: str, colour: str = "red", framed: bool = False) -> None:
    await interaction.response.defer()
    await interaction.edit_original_response(content="queued", view=Controls())
    card = await interaction.original_response()
    assert isinstance(interaction.channel, discord.TextChannel)
    # From here on as the bot itself, as a job does that outlives the interaction's token.
    message = interaction.channel.get_partial_message(card.id)
    embed = discord.Embed(title=prompt, description=f"{interaction.locale} {interaction.guild_locale}")
    if framed:
        embed.set_image(url="attachment://picture.png")
    await message.edit(content="done", embed=embed, attachments=[png(colour)])


@draw.autocomplete("colour")
async def colours(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
    return [app_commands.Choice(name=c.title(), value=c) for c in COLOURS if current in c]


@bot.tree.command(description="Post in the channel, send a DM")
async def post(interaction: discord.Interaction) -> None:
    await interaction.response.send_message("posting", ephemeral=True)
    outcome = []
    for target in (interaction.channel, interaction.user):
        assert isinstance(target, discord.abc.Messageable)
        try:
            await target.send("posted", nonce="n1", allowed_mentions=discord.AllowedMentions.none())
            outcome.append("ok")
        except discord.HTTPException as error:
            outcome.append(f"{error.status} {error.code}")
    await interaction.edit_original_response(content=", ".join(outcome))


@bot.tree.command(description="Edit until that fails")
async def outlive(interaction: discord.Interaction) -> None:
    await interaction.response.defer()
    while True:
        try:
            await interaction.edit_original_response(content="still here")
        except discord.HTTPException as error:
            log.info("ended by %s %s", error.status, error.code)
            return
        await asyncio.sleep(0.05)


@bot.tree.command(description="Open a form")
async def edit(interaction: discord.Interaction) -> None:
    await interaction.response.send_modal(Edit())


@bot.tree.command(description="Two pictures to choose from")
async def pair(interaction: discord.Interaction, start: discord.Attachment | None = None) -> None:
    """Post two described pictures; describe the second anew and put the start picture in the first one's place."""
    names = {"a.png": "red", "b.png": "blue"}
    files = [discord.File(png(c).fp, name, description=f"all {c}") for name, c in names.items()]
    await interaction.response.send_message("pair", files=files, view=Which())
    message = await interaction.original_response()
    if start is not None:
        second = message.attachments[1]
        second.description = "still blue"
        await message.edit(attachments=[second, await start.to_file(description="yours")])


@bot.tree.context_menu(name="Image info")
async def image_info(interaction: discord.Interaction, message: discord.Message) -> None:
    alts = [a.description for a in message.attachments]
    await interaction.response.send_message(f"{message.author.name}: {message.content} {alts}", ephemeral=True)


@bot.tree.context_menu(name="Who is it")
async def who_is_it(interaction: discord.Interaction, member: discord.Member) -> None:
    await interaction.response.send_message(member.name, ephemeral=True)


class Admin(app_commands.Group):
    limits = app_commands.Group(name="limits", description="Limits")

    @limits.command(name="set", description="Set a limit")
    @app_commands.choices(kind=[app_commands.Choice(name="Per day", value="day")])
    async def set_limit(
        self, interaction: discord.Interaction, kind: app_commands.Choice[str], user: discord.User
    ) -> None:
        await interaction.response.send_message(f"{user.name} {kind.value}", ephemeral=True)


bot.tree.add_command(
    Admin(name="admin", description="Admin", default_permissions=discord.Permissions(manage_guild=True))
)


async def main() -> None:
    Route.BASE = os.environ["DISCORD_API"]
    discord.utils.setup_logging(level=logging.INFO)
    async with bot:
        stop = asyncio.get_running_loop().create_task(bot.start(os.environ["DISCORD_TOKEN"]))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.cancel)
        try:
            await stop
        except asyncio.CancelledError:
            log.info("stopping")


if __name__ == "__main__":
    asyncio.run(main())
