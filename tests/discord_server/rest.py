"""The handlers of the HTTP API, in the order of Discord's documentation.

Owns which permission and which state each request needs. Must not know transport, tokens or schemas:
server.py has checked them. A handler takes a Call and returns (status, JSON).
"""

from __future__ import annotations

from typing import Any

from tests.discord_server.errors import ApiError, Problem
from tests.discord_server.gateway import MESSAGE_CONTENT
from tests.discord_server.interactions import Callback, Interaction
from tests.discord_server.messages import REPLY, check_emoji
from tests.discord_server.permissions import Permission, in_guild
from tests.discord_server.render import redacted
from tests.discord_server.routes import Answer, Call, route
from tests.discord_server.world import (
    COMPONENTS_V2,
    SUPPRESS_EMBEDS,
    SUPPRESS_NOTIFICATIONS,
    Channel,
    Guild,
    Message,
)

# -- the application ----------------------------------------------------------------

COMMANDS = "/applications/{application_id}/commands"
GUILD_COMMANDS = "/applications/{application_id}/guilds/{guild_id}/commands"


@route("GET /gateway/bot")
def get_gateway_bot(call: Call) -> Answer:
    remaining = 1000 - call.emu.stats.identifies
    start = {"total": 1000, "remaining": remaining, "reset_after": 86400000, "max_concurrency": 1}
    return 200, {"url": call.emu.gateway_url, "shards": 1, "session_start_limit": start}


@route("GET /users/@me")
def get_me(call: Call) -> Answer:
    extra = {"mfa_enabled": False, "locale": "en-US", "verified": True, "email": None}
    return 200, call.emu.world.bot.payload() | extra


@route("GET /applications/@me", "GET /oauth2/applications/@me")
def get_application(call: Call) -> Answer:
    world = call.emu.world
    return 200, {
        "id": world.application_id, "name": world.bot.username, "icon": None, "description": "", "type": None,
        "bot": world.bot.payload(), "bot_public": False, "bot_require_code_grant": False, "summary": "",
        "verify_key": "0" * 64, "flags": 0, "flags_new": "0", "redirect_uris": [],
        "interactions_endpoint_url": None, "role_connections_verification_url": None,
        "owner": world.owner.payload(), "team": None, "approximate_guild_count": len(world.guilds),
        "approximate_user_install_count": 0, "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0, "eligible_oauth2_scopes": [], "integration_types_config": {"0": {}},
    }  # fmt: skip


@route(f"GET {COMMANDS}", f"GET {GUILD_COMMANDS}")
def list_commands(call: Call) -> Answer:
    found = call.emu.commands.all(_scope(call))
    if not call.flag("with_localizations"):
        found = [{k: v for k, v in c.items() if not k.endswith("_localizations")} for c in found]
    return 200, found


@route(f"PUT {COMMANDS}", f"PUT {GUILD_COMMANDS}")
def overwrite_commands(call: Call) -> Answer:
    return 200, call.emu.commands.overwrite(_scope(call), call.body or [])


def _scope(call: Call) -> str | None:
    """Return the guild whose commands the path names; None for the global ones."""
    if call.params["application_id"] != call.emu.world.application_id:
        raise ApiError("UNKNOWN_APPLICATION")
    return the_guild(call).id if "guild_id" in call.params else None


# -- guilds and users ---------------------------------------------------------------


def the_guild(call: Call) -> Guild:
    """Return the guild in the path, if the bot is in it."""
    world = call.emu.world
    guild = world.guilds.get(call.params["guild_id"])
    if guild is None:
        raise ApiError("UNKNOWN_GUILD")
    if world.bot.id not in guild.members:
        raise ApiError("MISSING_ACCESS")
    return guild


@route("GET /users/{user_id}")
def get_user(call: Call) -> Answer:
    user = call.emu.world.users.get(call.params["user_id"])
    if user is None:
        raise ApiError("UNKNOWN_USER")
    return 200, user.payload()


@route("GET /users/@me/guilds")
def list_my_guilds(call: Call) -> Answer:
    bot = call.emu.world.bot
    mine = [g for g in call.emu.world.guilds.values() if bot.id in g.members]
    fixed: dict[str, Any] = {"icon": None, "banner": None, "owner": False, "features": []}
    return 200, [
        {"id": g.id, "name": g.name, "permissions": str(int(in_guild(g, g.members[bot.id]))), **fixed} for g in mine
    ]


@route("GET /guilds/{guild_id}")
def get_guild(call: Call) -> Answer:
    guild = the_guild(call)
    counts = dict.fromkeys(("approximate_member_count", "approximate_presence_count"), len(guild.members))
    return 200, guild.payload() | (counts if call.flag("with_counts") else {})


@route("GET /guilds/{guild_id}/channels")
def list_channels(call: Call) -> Answer:
    return 200, [c.payload() for c in the_guild(call).channels.values() if not c.is_thread]


@route("GET /guilds/{guild_id}/members/{user_id}")
def get_member(call: Call) -> Answer:
    member = the_guild(call).members.get(call.params["user_id"])
    if member is None:
        raise ApiError("UNKNOWN_MEMBER")
    return 200, member.full()


# -- channels -----------------------------------------------------------------------


def the_channel(call: Call, *needed: Permission) -> Channel:
    """Return the channel in the path, if the bot sees it and has the permissions."""
    world = call.emu.world
    channel = world.channels.get(call.params["channel_id"])
    if channel is None:
        raise ApiError("UNKNOWN_CHANNEL")
    has = world.permissions(channel, world.bot)
    if Permission.VIEW_CHANNEL not in has:
        raise ApiError("MISSING_ACCESS")
    if any(permission not in has for permission in needed):
        raise ApiError("MISSING_PERMISSIONS")
    return channel


@route("GET /channels/{channel_id}")
def get_channel(call: Call) -> Answer:
    return 200, the_channel(call).payload()


@route("POST /channels/{channel_id}/typing")
def start_typing(call: Call) -> Answer:
    the_channel(call, Permission.SEND_MESSAGES)
    return 204, None


@route("POST /users/@me/channels")
def open_dm(call: Call) -> Answer:
    """Open a DM. This works with closed DMs too; posting there is what fails."""
    user = call.emu.world.users.get(str(call.body.get("recipient_id")))
    if user is None or user.bot:
        raise ApiError("UNKNOWN_USER" if user is None else "CANNOT_DM")
    return 200, call.emu.world.dm(user).payload()


# -- messages -----------------------------------------------------------------------

MESSAGES = "/channels/{channel_id}/messages"
MESSAGE = f"{MESSAGES}/{{message_id}}"
SETTABLE_FLAGS = SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS | COMPONENTS_V2


def the_message(call: Call, channel: Channel) -> Message:
    """Return the message in the path; ephemeral ones cannot be reached through their channel."""
    message = channel.messages.get(call.params["message_id"])
    if message is None or message.ephemeral:
        raise ApiError("UNKNOWN_MESSAGE")
    return message


@route(f"POST {MESSAGES}")
def create_message(call: Call) -> Answer:
    body = call.body or {}
    channel = _channel_to_write(call)
    if channel.guild is None and not all(u.dms_open for u in channel.recipients):
        raise ApiError("CANNOT_DM")
    reference = _referenced(call, channel)
    if body.get("enforce_nonce") and body.get("nonce") is not None:
        earlier = (m for m in channel.messages.values() if str(m.nonce) == str(body["nonce"]))
        if duplicate := next(earlier, None):
            return 200, call.emu.messages.payload(duplicate)
    if channel.archived:
        call.emu.set_archived(channel, archived=False)  # posting wakes a thread
    message = call.emu.messages.create(
        channel, call.emu.world.bot, body, call.files, flags=(body.get("flags") or 0) & SETTABLE_FLAGS,
        kind=REPLY if reference else 0, reference=reference,
    )  # fmt: skip
    return 200, call.emu.messages.payload(message)


def _channel_to_write(call: Call) -> Channel:
    channel = the_channel(call)
    needed = [Permission.SEND_MESSAGES_IN_THREADS if channel.is_thread else Permission.SEND_MESSAGES]
    if call.files:
        needed.append(Permission.ATTACH_FILES)
    if (call.body or {}).get("embeds"):
        needed.append(Permission.EMBED_LINKS)
    if channel.locked:
        needed.append(Permission.MANAGE_THREADS)
    return the_channel(call, *needed)


def _referenced(call: Call, channel: Channel) -> Message | None:
    reference = (call.body or {}).get("message_reference")
    if not reference:
        return None
    if reference.get("type"):
        call.emu.violation("not_emulated", "forwarding messages is not emulated")
        raise ApiError("NOT_EMULATED")
    if Permission.READ_MESSAGE_HISTORY not in call.emu.world.permissions(channel, call.emu.world.bot):
        raise ApiError("CANNOT_REPLY")
    message = channel.messages.get(str(reference.get("message_id")))
    elsewhere = str(reference.get("channel_id") or channel.id) != channel.id
    if message is not None and not message.ephemeral and not elsewhere:
        return message
    if reference.get("fail_if_not_exists") is False:
        return None
    problem = Problem(("message_reference",), "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
    raise ApiError("INVALID_FORM_BODY", [problem])


@route(f"GET {MESSAGE}")
def get_message(call: Call) -> Answer:
    channel = the_channel(call, Permission.READ_MESSAGE_HISTORY)
    payload = call.emu.messages.payload(the_message(call, channel))
    may_read = channel.guild is None or call.emu.config.privileged_intents & MESSAGE_CONTENT
    return 200, payload if may_read else redacted(payload, call.emu.world.bot.id)


@route(f"PATCH {MESSAGE}")
def edit_message(call: Call) -> Answer:
    """Edit an own message. This needs no SEND_MESSAGES, but new files need ATTACH_FILES."""
    channel = the_channel(call, *([Permission.ATTACH_FILES] if call.files else []))
    message = the_message(call, channel)
    if message.author is not call.emu.world.bot:
        raise ApiError("NOT_YOUR_MESSAGE")
    if channel.archived:
        raise ApiError("THREAD_ARCHIVED")
    call.emu.messages.edit(message, call.body or {}, call.files)
    return 200, call.emu.messages.payload(message)


@route(f"DELETE {MESSAGE}")
def delete_message(call: Call) -> Answer:
    message = the_message(call, the_channel(call))
    if message.author is not call.emu.world.bot:
        the_channel(call, Permission.MANAGE_MESSAGES)
    call.emu.messages.delete(message)
    return 204, None


# -- reactions ----------------------------------------------------------------------

REACTIONS = f"{MESSAGE}/reactions"
REACTION = f"{REACTIONS}/{{emoji_name}}"
USERS_ASKED, MOST_USERS = 25, 100  # of a list of those who reacted: unless told, and at most


@route(f"PUT {REACTION}/@me")
def add_reaction(call: Call) -> Answer:
    """React. Joining in needs only sight of the message, being the first needs ADD_REACTIONS."""
    channel = the_channel(call, Permission.READ_MESSAGE_HISTORY)
    message, emoji = the_message(call, channel), call.params["emoji_name"]
    if emoji not in message.reactions:
        the_channel(call, Permission.ADD_REACTIONS)
    call.emu.messages.react(message, call.emu.world.bot, emoji)
    return 204, None


@route(f"DELETE {REACTION}/@me", f"DELETE {REACTION}/{{user_id}}")
def remove_reaction(call: Call) -> Answer:
    channel = the_channel(call, Permission.READ_MESSAGE_HISTORY)
    message, world = the_message(call, channel), call.emu.world
    user = world.users.get(call.params.get("user_id", world.bot.id))
    if user is None:
        raise ApiError("UNKNOWN_USER")
    if user is not world.bot:
        the_channel(call, Permission.MANAGE_MESSAGES)
    call.emu.messages.unreact(message, user, call.params["emoji_name"])
    return 204, None


@route(f"GET {REACTION}")
def list_reactions(call: Call) -> Answer:
    message = the_message(call, the_channel(call, Permission.READ_MESSAGE_HISTORY))
    check_emoji(call.params["emoji_name"])
    users = message.reactions.get(call.params["emoji_name"], [])
    after, most = int(call.query.get("after", 0)), min(int(call.query.get("limit", USERS_ASKED)), MOST_USERS)
    found = sorted((u for u in users if int(u.id) > after), key=lambda u: int(u.id))
    return 200, [u.payload() for u in found[:most]]


# -- interactions -------------------------------------------------------------------

CALLBACK = "/interactions/{interaction_id}/{interaction_token}/callback"
WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}"
ORIGINAL = f"{WEBHOOK}/messages/@original"
ANSWER = f"{WEBHOOK}/messages/{{message_id}}"


@route(f"POST {CALLBACK}", needs_auth=False)
def answer_interaction(call: Call) -> Answer:
    params, emu = call.params, call.emu
    interaction = emu.interactions.answer(params["interaction_id"], params["interaction_token"], call.body, call.files)
    if not call.flag("with_response"):
        return 204, None
    about: dict[str, Any] = {"id": interaction.id, "type": int(interaction.kind)}
    about["channel_id"] = interaction.channel.id
    if interaction.channel.guild:
        about["guild_id"] = interaction.channel.guild.id
    answer: dict[str, Any] = {"interaction": about}
    if interaction.original is not None:
        about |= {
            "response_message_id": interaction.original.id,
            "response_message_loading": interaction.original.loading,
            "response_message_ephemeral": interaction.original.ephemeral,
        }
        kind = call.body["type"]
        if kind in (Callback.MESSAGE, Callback.UPDATE):
            answer["resource"] = {"type": kind, "message": emu.messages.payload(interaction.original)}
    return 200, answer


def the_interaction(call: Call) -> Interaction:
    """Return the interaction whose webhook the path is."""
    return call.emu.interactions.by_webhook(call.params["webhook_id"], call.params["webhook_token"])


def the_answer(call: Call) -> Message:
    """Return the original answer or the follow-up in the path."""
    message_id = call.params.get("message_id", "@original")
    return call.emu.interactions.find_message(the_interaction(call), message_id)


@route(f"POST {WEBHOOK}", needs_auth=False)
def create_followup(call: Call) -> Answer:
    message = call.emu.interactions.followup(the_interaction(call), call.body or {}, call.files)
    return 200, call.emu.messages.payload(message)


@route(f"GET {ORIGINAL}", f"GET {ANSWER}", needs_auth=False)
def get_answer(call: Call) -> Answer:
    return 200, call.emu.messages.payload(the_answer(call))


@route(f"PATCH {ORIGINAL}", f"PATCH {ANSWER}", needs_auth=False)
def edit_answer(call: Call) -> Answer:
    message = the_answer(call)
    call.emu.messages.edit(message, call.body or {}, call.files)
    return 200, call.emu.messages.payload(message)


@route(f"DELETE {ORIGINAL}", f"DELETE {ANSWER}", needs_auth=False)
def delete_answer(call: Call) -> Answer:
    call.emu.messages.delete(the_answer(call))
    return 204, None
