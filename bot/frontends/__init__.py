"""Where requests come from: `discord_app/` and `web/`. Both use `bot/requests`, not each other."""
