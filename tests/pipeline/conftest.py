"""What these tests need before any of their modules is imported."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as `create_engine` does; see `pipeline/models.py`

settings.register_profile("no deadline", deadline=None)  # a busy machine is not a bug
settings.load_profile("no deadline")
