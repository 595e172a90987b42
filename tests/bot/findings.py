"""What tests of every part's `preflight` share: a card, and ways to look at findings."""

from __future__ import annotations

from bot.findings import Finding
from pipeline.device.gpu import Gpu

CARD = Gpu(name="Test RTX", driver="1.2", total_mib=8192, free_mib=7600, compute_capability=(8, 6))


def marks(findings: list[Finding]) -> str:
    """All marks, in order."""
    return "".join(finding.mark.value for finding in findings)


def only(findings: list[Finding], topic: str) -> Finding:
    """The one finding of a topic."""
    [finding] = [finding for finding in findings if finding.topic == topic]
    return finding
