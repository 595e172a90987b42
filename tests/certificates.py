"""Certificates for servers under test."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path) -> ssl.SSLContext:
    """Write a certificate for this machine and its key; how a client comes to trust it."""
    if shutil.which("openssl") is None:
        pytest.skip(
            "a certificate is made with openssl, which is not installed (Debian, Ubuntu: apt-get install openssl)"
        )
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return ssl.create_default_context(cafile=str(folder / "certificate.pem"))
