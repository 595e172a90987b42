"""How long a start takes, in multiples of `python -c "import torch"` on the same machine at the same time.

    uv run python -m tests.start_time [ROUNDS]

The commands take turns, so that whatever else the machine does hits all of them; the fastest of each counts. Seconds of
the CPU are said beside those on the clock: on a busy machine only they can be compared.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

ROUNDS: Final = 3
SCRIPT: Final = shutil.which("imagine-bot", path=str(Path(sys.executable).parent)) or "imagine-bot"
ROOT: Final = Path(__file__).parents[1]
GIVE_UP_S: Final = 300.0


class Took(NamedTuple):
    """Seconds on the clock, and of all cores together."""

    wall: float
    cpu: float


def run(command: list[str], folder: Path) -> Took:
    """One command from start to end."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    took = Took(time.perf_counter() - began, usage.ru_utime + usage.ru_stime)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return took


def start_page(folder: Path) -> Mapping[str, Took]:
    """The local page: until it answers, until it can be used, until the model is loaded as well."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    url, opener = f"http://127.0.0.1:{port}", build_opener(ProxyHandler({}))
    log = folder / "log.txt"
    began = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(
            [SCRIPT, "run"],
            cwd=folder,
            env={**environment(folder), "IMAGINE_BOT__CONSOLE__PORT": str(port)},
            stdout=output,
            stderr=output,
        )

    def until(is_there: Callable[[], bool]) -> Took:
        while not is_there():
            if process.poll() is not None or time.perf_counter() - began > GIVE_UP_S:
                raise RuntimeError(log.read_text())
            time.sleep(0.01)
        return Took(time.perf_counter() - began, cpu_of(process.pid))

    def answers(path: str) -> bool:
        try:
            with opener.open(url + path, timeout=GIVE_UP_S) as answer:
                return bool(answer.read())
        except (URLError, ConnectionError):
            return False

    try:
        return {
            "run: the starting page": until(lambda: answers("/")),
            "run: the page itself": until(lambda: answers("/theme.css")),  # held back until there is one
            "run: the model is loaded as well": until(lambda: "is loaded after" in log.read_text()),
        }
    finally:
        process.terminate()
        process.wait()


def cpu_of(pid: int) -> float:
    """Seconds of the CPU that a process has had; nothing where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def environment(folder: Path) -> dict[str, str]:
    """Nothing of whoever runs this but where programs are; data goes to `folder`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    ours = {"PYTHONPATH": str(ROOT), "IMAGINE_BOT__STORAGE__DATA_DIR": str(folder / "data")}
    return {**kept, **ours, "IMAGINE_BOT__PIPELINE__MODEL": "demo", "IMAGINE_BOT__STORAGE__MIN_FREE_MIB": "0"}


def main(rounds: int) -> None:
    """Measure, and print a table."""
    torch = f"{Path(sys.executable).name} -c 'import torch'"
    best: dict[str, list[Took]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            took = {torch: run([sys.executable, "-c", "import torch"], folder)}
            took["draw 'a red apple'"] = run([SCRIPT, "draw", "a red apple", "--seed", "1"], folder)
            took |= start_page(folder)
            took["--help"] = run([SCRIPT, "--help"], folder)
        for what, each in took.items():
            best.setdefault(what, []).append(each)
    unit = Took(*(min(each) for each in zip(*best[torch], strict=True)))
    print(f"{rounds} rounds, load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")  # noqa: T201
    print("| what | clock | × | CPU | × |\n|---|---|---|---|---|")  # noqa: T201
    for what, each in best.items():
        wall, cpu = (min(one) for one in zip(*each, strict=True))
        print(f"| {what} | {wall:.1f} s | {wall / unit.wall:.2f} | {cpu:.1f} s | {cpu / unit.cpu:.2f} |")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
