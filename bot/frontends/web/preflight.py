"""What `check` reports about the local page: port, address and password. Serves nothing."""

from __future__ import annotations

from bot.config import ConsoleConfig, load_passwords
from bot.errors import ConfigError, FrontendUnavailable
from bot.findings import Finding, ok, problem
from bot.frontends.web.server import PORT_WAY_OUT, check_exposure, listen
from bot.logs import redact


def preflight(config: ConsoleConfig, *, is_running: bool) -> list[Finding]:
    """Check that the port is free, and that a page which others can reach has a password."""
    try:
        passwords = load_passwords(config)
        for secret in (passwords.page, passwords.operator):
            if secret is not None:
                redact(secret)
        check_exposure(config, passwords.page)
        if not is_running:
            listening, _ = listen(config)
            listening.close()
    except ConfigError as error:
        return [problem("console", "; ".join(error.problems), error.way_out)]
    except FrontendUnavailable as error:
        return [problem("console", error.reason.partition("\n")[0], PORT_WAY_OUT)]
    place = config.url(config.port) if config.port else f"{config.host}, any free port"
    if config.root_path:
        place += f", shown by a proxy at {config.root_path}"
    guarded = ", with a password" if passwords.page else ""
    guarded += ", with one for its operator" if passwords.operator else ""
    return [ok("console", f"the page: {place}{guarded}")]
