"""/quota, and for moderators /admin quota and /admin channel: what people may, and what a channel draws with."""

from __future__ import annotations

from typing import Final

import discord
from discord import app_commands

from bot.frontends.discord_app.commands.options import ModelName, suggest_models
from bot.frontends.discord_app.commands.signatures import Command, make_command
from bot.frontends.discord_app.embeds import relative
from bot.frontends.discord_app.interactions import (
    InteractionContext,
    OptionsOutdated,
    allowance_of,
    person,
    reader,
    say,
    think,
)
from bot.frontends.discord_app.message_ref import FRONTEND, channel_ids, key_of
from bot.frontends.discord_app.translations import text
from bot.presentation.wording import ASPECT_KEYS, Wording
from bot.requests.channel_defaults import ASPECT, MODEL, PRIVATE
from bot.requests.models import MAX_TOLD
from pipeline.spec import Aspect

MAX_IMAGES: Final = 100_000

Images = app_commands.Range[int, 1, MAX_IMAGES]


class QuotaCommands:
    """The commands about what people may."""

    def __init__(self, context: InteractionContext) -> None:
        self._context = context

    def personal(self) -> Command:
        """Make /quota."""
        return make_command("quota", self.quota)

    def of_admin(self) -> list[Command]:
        """Make the subcommands of /admin."""
        quota = make_command("admin-quota", self.set_quota, user="quota-user", images="images")
        channel = make_command(
            "admin-channel",
            self.set_channel,
            model="channel-model",
            aspect="channel-aspect",
            private="channel-private",
            reset="channel-reset",
        )
        app_commands.choices(
            aspect=[app_commands.Choice(name=text(ASPECT_KEYS[each]), value=each.value) for each in Aspect]
        )(channel)
        channel.autocomplete("model")(suggest_models)
        return [quota, channel]

    async def quota(self, interaction: discord.Interaction) -> None:
        """Show what is left of one's limits."""
        await think(interaction)
        service, wording = self._context.service, reader(interaction)
        quota = await service.quota(person(interaction), await allowance_of(interaction))
        lines = [wording.say("quota-used", used=quota.used, limit=quota.limit)]
        if quota.resets_at is not None:
            lines.append(wording.say("quota-resets", resets_at=relative(quota.resets_at)))
        if await service.allowances.own_images(person(interaction)) is not None:
            lines.append(wording.say("quota-own"))
        lines.append(wording.say("quota-active", active=quota.active, active_limit=quota.active_limit))
        if quota.cooldown_s:
            lines.append(wording.say("quota-cooldown", cooldown_s=quota.cooldown_s))
        if quota.max_steps is not None:
            lines.append(wording.say("quota-steps", max_steps=quota.max_steps))
        if quota.models is not None:
            lines.append(wording.say("quota-models", models=self._titles(quota.models, wording)))
        lines += [wording.say("quota-sizes"), wording.say("quota-free")]
        await say(interaction, embed=discord.Embed(title=wording.say("quota-title"), description="\n".join(lines)))

    def _titles(self, names: tuple[str, ...], wording: Wording) -> str:
        titles = self._context.service.models.titles
        told = [titles.get(name, name) for name in names]
        more = ["…"] if len(told) > MAX_TOLD else []
        return wording.say("list-separator").join([*told[:MAX_TOLD], *more])

    async def set_quota(
        self, interaction: discord.Interaction, user: discord.User, images: Images | None = None
    ) -> None:
        """Set how many images a day one person may, on every server; without a number, leave it to their roles."""
        self._context.access.check_operator(interaction)
        await think(interaction)
        if images is not None and not 1 <= images <= MAX_IMAGES:  # of a modified client
            raise OptionsOutdated
        await self._context.service.allowances.set_own_images(key_of(user), images)
        wording, who = reader(interaction), f"<@{user.id}>"
        if images is None:
            await say(interaction, wording.say("admin-quota-reset", who=who))
        else:
            await say(interaction, wording.say("admin-quota-set", who=who, images=images))

    async def set_channel(
        self,
        interaction: discord.Interaction,
        model: ModelName | None = None,
        aspect: str | None = None,
        private: bool | None = None,
        reset: bool | None = None,
    ) -> None:
        """Change the defaults of this channel or thread, after forgetting them with `reset`, and show what holds."""
        self._context.access.check_manager(interaction)
        await think(interaction)
        service, (channel, parent) = self._context.service, channel_ids(interaction)
        if aspect is not None and aspect not in {each.value for each in Aspect}:
            raise OptionsOutdated
        if model is not None:
            model = service.models.demand_typed(model).name
        if reset:
            await service.channels.reset(FRONTEND, channel)
        await service.channels.set(FRONTEND, channel, model=model, aspect=aspect, private=private)
        await say(interaction, await self._channel_text(reader(interaction), channel, parent))

    async def _channel_text(self, wording: Wording, channel: str, parent: str | None) -> str:
        models = self._context.service.models
        holds = await self._context.service.channels.of(FRONTEND, channel, parent_id=parent)
        lines = [wording.say("channel-holds", channel=f"<#{channel}>")]
        model, aspect = holds.get(MODEL), holds.get(ASPECT)
        if model is None:
            lines.append(wording.say("channel-model-usual", model=models.usual.title))
        else:
            lines.append(wording.say("channel-model", model=models.titles[str(model)]))
        if isinstance(aspect, Aspect):
            lines.append(wording.say("channel-shape", shape=wording.say(ASPECT_KEYS[aspect])))
        else:
            lines.append(wording.say("channel-shape-usual"))
        lines.append(wording.say("channel-private" if holds.get(PRIVATE) else "channel-public"))
        lines.append(wording.say("channel-threads"))
        if parent is not None:
            lines[-1] = wording.say("channel-parent", parent=f"<#{parent}>")
        return "\n".join(lines)
