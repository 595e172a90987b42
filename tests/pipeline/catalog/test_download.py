"""Fetching files: from a hub made of memory, and from a small web server that speaks ModelScope's language."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import ssl
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from modelscope_hub import errors as hub_errors

from pipeline.catalog import download as fetch_module
from pipeline.catalog import fetch_record
from pipeline.catalog.download import FetchProgress, fetch
from pipeline.catalog.files import missing, path_of
from pipeline.catalog.hub import HubFile
from pipeline.catalog.listing import list_wanted
from pipeline.catalog.model_card import MAIN_BRANCH, ModelFile
from pipeline.catalog.models import MAJICFLUS_V1
from pipeline.errors import DiskFull, FetchFailed, HubSilent
from pipeline.families.flux.architecture import FLUX
from tests.certificates import make_certificate
from tests.forward_proxy import ForwardProxy
from tests.pipeline.catalog import miniature_headers as heads
from tests.pipeline.catalog.test_files import CARD, REPO, card_of, safetensors

INDEX = json.dumps({"weight_map": {"a": "model-00001-of-00001.safetensors"}}).encode()
CONTENT = {
    "README.md": b"not asked for",
    "dit.safetensors": safetensors(3000),
    "t5/model-00001-of-00001.safetensors": safetensors(2000),
    "t5/model.safetensors.index.json": INDEX,
    "t5/pytorch_model.bin": b"\x80\x04.",
    "tokenizer/tokenizer.json": b"{}",
}
FETCHED = {name for name in CONTENT if not name.endswith((".md", ".bin"))}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class MemoryHub:
    """Serves CONTENT; `break_after` bytes in all it fails with `error`."""

    def __init__(self, *, break_after: int | None = None, error: Exception | None = None) -> None:
        self.content = dict(CONTENT)
        self.hashes = {name: sha256(content) for name, content in CONTENT.items()}
        self.break_after = break_after
        self.error = error or ConnectionError("connection reset")
        self.sent = 0
        self.asked: list[str] = []

    def list_files(self, repo: str, revision: str) -> list[HubFile]:
        assert (repo, revision) == (REPO, MAIN_BRANCH)
        return [
            HubFile(path=name, size_bytes=len(content), sha256=self.hashes.get(name))
            for name, content in self.content.items()
        ]

    def download(
        self, repo: str, revision: str, paths: Sequence[str], folder: Path, on_bytes: Callable[[int], None]
    ) -> None:
        for name in paths:
            self.asked.append(name)
            content = self.content[name]
            target = folder / name
            part = target.with_name(target.name + ".incomplete")
            target.parent.mkdir(parents=True, exist_ok=True)
            begun = part.stat().st_size if part.exists() else 0
            on_bytes(begun)
            with part.open("ab") as file:
                for at in range(begun, len(content), 500):
                    if self.break_after is not None and self.sent >= self.break_after:
                        raise self.error
                    piece = content[at : at + 500]
                    file.write(piece)
                    self.sent += len(piece)
                    on_bytes(len(piece))
            part.rename(target)


def fetched(tmp_path: Path) -> set[str]:
    folder = tmp_path / REPO
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {fetch_record.NAME}


def test_every_needed_file_is_fetched_and_nothing_else(tmp_path: Path) -> None:
    fetch(CARD, tmp_path, hub=MemoryHub())
    assert fetched(tmp_path) == FETCHED
    assert missing(CARD, tmp_path) == []


def test_progress_grows_to_the_total_twice(tmp_path: Path) -> None:
    seen: list[FetchProgress] = []
    fetch(CARD, tmp_path, hub=MemoryHub(), on_progress=seen.append)
    total = sum(len(CONTENT[name]) for name in FETCHED)
    for is_checking in (False, True):
        done = [progress.done_bytes for progress in seen if progress.is_checking is is_checking]
        assert done == sorted(done)
        assert done[-1] == total
    assert {progress.total_bytes for progress in seen} == {total}


def test_interrupted_fetch_is_named_and_resumed(tmp_path: Path) -> None:
    with pytest.raises(FetchFailed) as raised:
        fetch(CARD, tmp_path, hub=MemoryHub(break_after=1000))
    dit = tmp_path / REPO / "dit.safetensors"
    assert raised.value.reasons[dit] == f"connection reset (1000 of {len(CONTENT[dit.name])} bytes arrived)"
    assert set(raised.value.reasons) == {tmp_path / REPO / name for name in FETCHED}
    assert dit in {file.path for file in missing(CARD, tmp_path)}

    second = MemoryHub()
    fetch(CARD, tmp_path, hub=second)
    assert second.sent == sum(len(CONTENT[name]) for name in FETCHED) - 1000


def test_whole_files_are_not_fetched_again(tmp_path: Path) -> None:
    fetch(CARD, tmp_path, hub=MemoryHub())
    second = MemoryHub()
    fetch(CARD, tmp_path, hub=second)
    assert second.asked == []


def test_file_placed_by_hand_is_accepted(tmp_path: Path) -> None:
    folder = tmp_path / REPO
    folder.mkdir(parents=True)
    (folder / "dit.safetensors").write_bytes(CONTENT["dit.safetensors"])
    hub = MemoryHub()
    fetch(CARD, tmp_path, hub=hub)
    assert "dit.safetensors" not in hub.asked


def test_whole_file_with_other_content_is_put_aside_and_fetched_again(tmp_path: Path) -> None:
    fetch(CARD, tmp_path, hub=MemoryHub())
    dit = tmp_path / REPO / "dit.safetensors"
    dit.write_bytes(dit.read_bytes()[:-1] + b"!")
    assert missing(CARD, tmp_path) == []
    hub = MemoryHub()
    aside = fetch(CARD, tmp_path, hub=hub).aside
    assert hub.asked == ["dit.safetensors"]
    assert [path.name for path in aside] == ["dit.safetensors.rejected"]
    assert dit.read_bytes() == CONTENT["dit.safetensors"]


@pytest.mark.parametrize("name", ["dit.safetensors", "dit-Q8_0.gguf"])
def test_another_layout_that_can_be_drawn_with_is_left_in_its_place(tmp_path: Path, name: str) -> None:
    place = tmp_path / REPO / name
    write = heads.write_gguf if place.suffix == ".gguf" else heads.write_safetensors
    content = write(place, heads.flux()).read_bytes()
    card = replace(CARD, files={**CARD.files, "dit": replace(CARD.files["dit"], others=("dit*.gguf",))})
    assert fetch(card, tmp_path, hub=MemoryHub()).aside == ()
    assert place.read_bytes() == content
    assert [path.name for path in place.parent.glob("dit*")] == [name]


def test_what_only_has_the_name_of_another_layout_does_not_keep_the_file_from_being_fetched(tmp_path: Path) -> None:
    home = tmp_path / REPO
    others = {"dit": ModelFile(repo=REPO, path="dit.safetensors", others=("dit*.gguf", "dit*.safetensors", "dit/"))}
    card = card_of(others, FLUX)
    whole = heads.write_gguf(home / "z" / "dit.gguf", heads.flux())
    heads.write_safetensors(home / "dit-my-lora.safetensors", heads.lora("lora_unet_double_blocks_0_img_attn_proj"))
    (home / "dit-cut.gguf").write_bytes(whole.read_bytes()[:-500])
    (home / "dit").mkdir()
    (home / "dit" / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert [file.target.name for file in list_wanted(card, tmp_path, MemoryHub())] == ["dit.safetensors"]
    whole.rename(home / "dit-whole.gguf")
    assert path_of(card.files["dit"], tmp_path).name == "dit-whole.gguf"
    assert list_wanted(card, tmp_path, MemoryHub()) == []


def test_file_of_another_size_is_put_aside_and_never_deleted(tmp_path: Path) -> None:
    """Another version of the weights, say, that somebody placed."""
    dit = tmp_path / REPO / "dit.safetensors"
    for number, size in enumerate((10, 20, 30), start=1):
        mine = safetensors(size)
        dit.parent.mkdir(parents=True, exist_ok=True)
        dit.write_bytes(mine)
        [aside] = fetch(CARD, tmp_path, hub=MemoryHub()).aside
        assert aside.name == ("dit.safetensors.rejected" if number == 1 else f"dit.safetensors.rejected-{number}")
        assert aside.read_bytes() == mine
        assert dit.read_bytes() == CONTENT["dit.safetensors"]
    assert (tmp_path / REPO / "dit.safetensors.rejected").read_bytes() == safetensors(10)


def test_file_that_was_put_aside_is_named_if_the_right_one_does_not_come(tmp_path: Path) -> None:
    dit = tmp_path / REPO / "dit.safetensors"
    dit.parent.mkdir(parents=True)
    dit.write_bytes(b"mine")
    with pytest.raises(FetchFailed) as raised:
        fetch(CARD, tmp_path, hub=MemoryHub(break_after=0))
    assert [path.read_bytes() for path in raised.value.aside] == [b"mine"]


def test_nothing_is_put_aside_where_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dit = tmp_path / REPO / "dit.safetensors"
    dit.parent.mkdir(parents=True)
    dit.write_bytes(b"mine")
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda path: Usage(10, 10, 1000))
    with pytest.raises(DiskFull):
        fetch(CARD, tmp_path, hub=MemoryHub())
    assert dit.read_bytes() == b"mine"


def test_line_that_is_cut_again_and_again_is_taken_up_as_long_as_bytes_arrive(tmp_path: Path) -> None:
    class Flaky(MemoryHub):
        def download(
            self, repo: str, revision: str, paths: Sequence[str], folder: Path, on_bytes: Callable[[int], None]
        ) -> None:
            self.break_after = self.sent + 500
            missing = [path for path in paths if not (folder / path).is_file()]
            super().download(repo, revision, missing, folder, on_bytes)

    hub = Flaky()
    fetch(CARD, tmp_path, hub=hub)
    assert missing(CARD, tmp_path) == []
    assert hub.asked.count("dit.safetensors") > 5


def test_folder_that_cannot_be_written_is_said_before_the_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(fetch_module.tempfile, "TemporaryFile", refuse)
    hub = MemoryHub()
    with pytest.raises(FetchFailed, match=r"cannot be written \(Read-only file system\): let this user write there"):
        fetch(CARD, tmp_path, hub=hub)
    assert hub.asked == []


def test_part_that_is_left_over_beside_a_right_file_goes(tmp_path: Path) -> None:
    fetch(CARD, tmp_path, hub=MemoryHub())
    part = tmp_path / REPO / "dit.safetensors.incomplete"
    part.write_bytes(b"part")
    assert [file.path.name for file in missing(CARD, tmp_path)] == ["dit.safetensors"]
    fetch(CARD, tmp_path, hub=MemoryHub())
    assert missing(CARD, tmp_path) == []
    assert not part.exists()


def test_each_file_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    hash_really = fetch_module._sha256

    def note_and_hash(path: Path, on_bytes: Callable[[int], None]) -> str:
        hashed.append(path.name)
        return hash_really(path, on_bytes)

    monkeypatch.setattr(fetch_module, "_sha256", note_and_hash)
    folder = tmp_path / REPO
    folder.mkdir(parents=True)
    (folder / "dit.safetensors").write_bytes(CONTENT["dit.safetensors"])
    seen: list[FetchProgress] = []
    fetch(CARD, tmp_path, hub=MemoryHub(), on_progress=seen.append)
    assert sorted(hashed) == sorted(Path(name).name for name in FETCHED)
    assert seen[0].is_checking
    assert seen[0].done_bytes == len(CONTENT["dit.safetensors"])
    assert seen[-1].done_bytes == seen[-1].total_bytes


def test_file_with_another_hash_is_named_and_put_aside(tmp_path: Path) -> None:
    hub = MemoryHub()
    hub.hashes["dit.safetensors"] = sha256(b"something else")
    with pytest.raises(FetchFailed, match="another sha256") as raised:
        fetch(CARD, tmp_path, hub=hub)
    assert [path.name for path in raised.value.reasons] == ["dit.safetensors"]
    assert "dit.safetensors.rejected" in fetched(tmp_path)
    assert [file.path.name for file in missing(CARD, tmp_path)] == ["dit.safetensors"]
    fetch(CARD, tmp_path, hub=MemoryHub())


def test_file_without_a_listed_hash_is_checked_by_size(tmp_path: Path) -> None:
    hub = MemoryHub()
    hub.hashes.clear()
    fetch(CARD, tmp_path, hub=hub)
    assert fetched(tmp_path) == FETCHED


def test_short_file_is_named(tmp_path: Path) -> None:
    hub = MemoryHub()
    listing = hub.list_files(REPO, MAIN_BRANCH)
    hub.content["dit.safetensors"] = CONTENT["dit.safetensors"][:-10]
    hub.list_files = lambda repo, revision: listing  # type: ignore[method-assign]
    with pytest.raises(FetchFailed, match=r"dit\.safetensors: \d+ of \d+ bytes arrived"):
        fetch(CARD, tmp_path, hub=hub)


def test_file_that_the_hub_lacks_is_named_before_anything_is_fetched(tmp_path: Path) -> None:
    hub = MemoryHub()
    del hub.content["dit.safetensors"]
    with pytest.raises(FetchFailed, match=f"is not in {REPO}"):
        fetch(CARD, tmp_path, hub=hub)
    assert hub.asked == []


def test_listing_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    hub = MemoryHub()
    hub.content["t5/../../../evil.safetensors"] = b"x"
    fetch(CARD, tmp_path, hub=hub)
    assert fetched(tmp_path) == FETCHED


def test_unreachable_hub_is_asked_once_and_said_for_every_repository(tmp_path: Path) -> None:
    asked: list[str] = []

    class Unreachable(MemoryHub):
        def list_files(self, repo: str, revision: str) -> list[HubFile]:
            asked.append(repo)
            raise ConnectionError("no route to host\nwith details")

    with pytest.raises(HubSilent) as raised:
        fetch(MAJICFLUS_V1, tmp_path, hub=Unreachable())
    assert raised.value.reasons == dict.fromkeys(
        ("MAILAND/majicflus_v1", "black-forest-labs/FLUX.1-dev"), "no route to host"
    )
    assert len(asked) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (hub_errors.RequestTimeoutError("下载总时限已耗尽"), "no answer from the hub in time"),
        (hub_errors.NetworkError("Connection failed: _DownloadHTTPSConnectionPool(…)"), "no connection to the hub"),
        (hub_errors.NotExistError("x", status_code=404), "the hub does not have it (HTTP 404)"),
        (hub_errors.AuthenticationError("x", status_code=401), "the hub refuses access (HTTP 401)"),
        (hub_errors.PermissionDeniedError("x", status_code=403), "the hub refuses access (HTTP 403)"),
        (hub_errors.ServerError("x", status_code=502), "the hub answered with an error (HTTP 502)"),
        (hub_errors.FileIntegrityError("校验失败"), "File SHA256 checksum mismatch"),
        (
            hub_errors.FileDownloadError("x", failed_files={"a": hub_errors.RequestTimeoutError("下载总时限已耗尽")}),
            "no answer from the hub in time",
        ),
        (hub_errors.FileSizeMismatchError("x"), "the hub sends another size than it lists"),
        (hub_errors.NetworkError("ProxyError('Cannot connect to proxy')"), "no connection to the proxy"),
        (hub_errors.NetworkError("SSLError(CERTIFICATE_VERIFY_FAILED)"), "the hub's certificate cannot be verified"),
        (OSError(13, "Permission denied"), "[Errno 13] Permission denied"),
    ],
)
def test_errors_of_the_hubs_library_are_told_in_english(tmp_path: Path, error: Exception, says: str) -> None:
    with pytest.raises(FetchFailed) as raised:
        fetch(CARD, tmp_path, hub=MemoryHub(break_after=0, error=error))
    told = raised.value.reasons[tmp_path / REPO / "dit.safetensors"]
    assert told.startswith(says)
    assert told.isascii()
    assert ": " in told or isinstance(error, OSError)  # the way out


Usage = namedtuple("Usage", "total used free")


def test_full_disk_is_said_with_numbers_before_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda path: Usage(10, 10, 1000))
    hub = MemoryHub()
    with pytest.raises(DiskFull) as raised:
        fetch(CARD, tmp_path / "models", hub=hub)
    assert raised.value.folder == tmp_path
    assert raised.value.free_bytes == 1000
    assert raised.value.needed_bytes > 5000
    assert hub.asked == []


def test_bytes_that_arrived_before_need_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FetchFailed):
        fetch(CARD, tmp_path, hub=MemoryHub(break_after=1000))
    left = sum(len(CONTENT[name]) for name in FETCHED) - 1000 + fetch_module.MARGIN_BYTES
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda path: Usage(left, 0, left))
    fetch(CARD, tmp_path, hub=MemoryHub())


def test_disk_that_fills_up_meanwhile_is_said_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([10**12, 0])
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda path: Usage(0, 0, next(free)))
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(DiskFull):
        fetch(CARD, tmp_path, hub=MemoryHub(break_after=1000, error=full))


class Server(ThreadingHTTPServer):
    """The two routes of ModelScope that fetching needs, with ranges; can cut a body short once."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cut_next: str | None = None
        self.ranges: list[str] = []
        self.content = dict(CONTENT)
        self.status = 200  # of everything, if it is another
        self.is_portal = False  # everything is a log-in page
        self.is_slow = False
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_args: object) -> None:
        pass

    def do_GET(self) -> None:
        url = urlparse(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if self.server.is_portal:
            self.send_page()
        elif self.server.status != 200:
            self.send_json(self.server.status, {"Code": self.server.status, "Success": False, "Message": "no"})
        elif url.path.endswith(f"/models/{REPO}/repo/files"):
            self.send_listing(query.get("Root", "").strip("/"))
        elif url.path.endswith(f"/models/{REPO}/repo"):
            self.send_content(query["FilePath"])
        else:
            self.send_json(404, {"Code": 404, "Success": False, "Message": "not here"})

    def send_listing(self, root: str) -> None:
        entries = [
            {"Path": name, "Name": Path(name).name, "Size": len(body), "Sha256": sha256(body), "Type": "blob"}
            for name, body in CONTENT.items()
            if name.startswith(root)
        ]
        self.send_json(200, {"Code": 200, "Success": True, "Data": {"Files": entries}})

    def send_page(self) -> None:
        body = b"<html><body>Welcome to our hotel</body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_content(self, name: str) -> None:
        body = self.server.content[name]
        self.server.asked.append(name)
        begin = 0
        if match := re.match(r"bytes=(\d+)-", self.headers.get("Range", "")):
            begin = int(match[1])
            self.server.ranges.append(f"{name} {begin}")
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        if self.server.cut_next == name:
            self.server.cut_next = None
            self.wfile.write(body[begin : begin + 100])
            self.close_connection = True
        elif self.server.is_slow:
            for at in range(begin, len(body), 500):
                self.wfile.write(body[at : at + 500])
                self.wfile.flush()
                time.sleep(0.05)
        else:
            self.wfile.write(body[begin:])


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def endpoint(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))  # its locks
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return f"http://127.0.0.1:{server.server_port}"


def test_modelscope_fetches_through_its_own_library(
    endpoint: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[FetchProgress] = []
    fetch(CARD, tmp_path, endpoint=endpoint, on_progress=seen.append)
    assert missing(CARD, tmp_path) == []
    assert fetched(tmp_path) >= FETCHED
    assert "t5/pytorch_model.bin" not in fetched(tmp_path)
    assert seen[-1].done_bytes == seen[-1].total_bytes
    assert capfd.readouterr() == ("", "")


def test_modelscope_replaces_a_file_of_the_same_size(endpoint: str, tmp_path: Path) -> None:
    dit = tmp_path / REPO / "dit.safetensors"
    dit.parent.mkdir(parents=True)
    dit.write_bytes(CONTENT["dit.safetensors"][:-1] + b"!")
    assert fetch(CARD, tmp_path, endpoint=endpoint).aside == (dit.with_name("dit.safetensors.rejected"),)
    assert dit.read_bytes() == CONTENT["dit.safetensors"]


def test_modelscope_resumes_a_cut_body(endpoint: str, server: Server, tmp_path: Path) -> None:
    server.cut_next = "dit.safetensors"
    fetch(CARD, tmp_path, endpoint=endpoint)
    assert missing(CARD, tmp_path) == []
    assert server.ranges == ["dit.safetensors 100"]


def test_modelscope_leaves_a_file_of_another_size_beside_the_right_one(endpoint: str, tmp_path: Path) -> None:
    dit = tmp_path / REPO / "dit.safetensors"
    dit.parent.mkdir(parents=True)
    dit.write_bytes(b"another version")
    [aside] = fetch(CARD, tmp_path, endpoint=endpoint).aside
    assert aside.read_bytes() == b"another version"
    assert dit.read_bytes() == CONTENT["dit.safetensors"]


def test_modelscope_fetches_what_arrives_wrong_once_and_says_so(
    endpoint: str, server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.content["dit.safetensors"] = CONTENT["dit.safetensors"][:-1] + b"!"
    with pytest.raises(FetchFailed) as raised:
        fetch(CARD, tmp_path, endpoint=endpoint)
    assert server.asked.count("dit.safetensors") == 1
    [(path, reason)] = raised.value.reasons.items()
    assert path.name == "dit.safetensors" and "SHA256" in reason and "try again later" in reason
    assert not path.exists()
    assert capfd.readouterr() == ("", "")


def test_modelscope_gives_a_slow_line_the_time_it_needs(
    endpoint: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its library allows an hour for each file, which is made a tenth of a second here."""
    monkeypatch.setattr("modelscope_hub._download.DOWNLOAD_TOTAL_TIMEOUT", 0.1)
    server.is_slow = True
    fetch(CARD, tmp_path, endpoint=endpoint)
    assert missing(CARD, tmp_path) == []


@pytest.mark.parametrize(
    ("status", "says"), [(401, "MODELSCOPE_API_TOKEN"), (403, "MODELSCOPE_API_TOKEN"), (404, "endpoint")]
)
def test_modelscope_that_refuses_is_told_with_the_way_out(
    endpoint: str, server: Server, tmp_path: Path, status: int, says: str
) -> None:
    server.status = status
    with pytest.raises(HubSilent) as raised:
        fetch(CARD, tmp_path, endpoint=endpoint)
    assert f"(HTTP {status}): " in raised.value.reasons[REPO]
    assert says in raised.value.reasons[REPO]


def test_log_in_page_in_place_of_the_hub_is_told_as_such(endpoint: str, server: Server, tmp_path: Path) -> None:
    server.is_portal = True
    with pytest.raises(HubSilent) as raised:
        fetch(CARD, tmp_path, endpoint=endpoint)
    assert "log-in page" in raised.value.reasons[REPO]


def test_log_in_page_in_place_of_weights_is_told_as_such(endpoint: str, server: Server, tmp_path: Path) -> None:
    server.content |= dict.fromkeys(CONTENT, b"<html>Welcome to our hotel</html>")
    with pytest.raises(FetchFailed) as raised:
        fetch(CARD, tmp_path, endpoint=endpoint)
    assert all("log-in page" in reason for reason in raised.value.reasons.values())
    assert fetched(tmp_path) & FETCHED == set()


def test_hub_that_is_not_there_is_said_within_seconds(tmp_path: Path) -> None:
    began_at = time.monotonic()
    with pytest.raises(HubSilent):
        fetch(CARD, tmp_path, endpoint="http://127.0.0.1:9")
    assert time.monotonic() - began_at < 5  # with modelscope's own settings 8, and 18 where it chooses the hub


def test_modelscope_is_reached_through_the_proxy_of_the_environment(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with ForwardProxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        fetch(CARD, tmp_path, endpoint=endpoint)
        assert any("/repo/files" in line for line in proxy.asked), "the listing"
        assert any("FilePath=dit.safetensors" in line for line in proxy.asked), "the weights"
    assert missing(CARD, tmp_path) == []


@pytest.fixture
def secure_endpoint(server: Server, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The hub behind TLS, as it is: a proxy only makes a tunnel to it."""
    make_certificate(tmp_path)
    keys = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    keys.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    server.socket = keys.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    return endpoint.replace("http://127.0.0.1", "https://localhost")


@pytest.mark.parametrize("login", ["", "me:hidden"])
def test_modelscope_behind_tls_is_reached_through_a_tunnel(
    secure_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    with ForwardProxy(is_tunnel_only=True, login=login) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", f"//{login}@") if login else proxy.url)
        fetch(CARD, tmp_path, endpoint=secure_endpoint)
        assert set(proxy.asked) == {f"CONNECT {secure_endpoint.removeprefix('https://')}"}
    assert missing(CARD, tmp_path) == []


def test_proxy_that_wants_another_login_is_said_without_the_one_it_got(
    secure_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ForwardProxy(is_tunnel_only=True, login="me:right") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:hidden@"))
        with pytest.raises(HubSilent) as raised:
            fetch(CARD, tmp_path, endpoint=secure_endpoint)
    assert "HTTPS_PROXY" in raised.value.reasons[REPO]
    assert "hidden" not in str(raised.value) + str(raised.value.reasons)


@pytest.mark.parametrize(
    ("proxy", "says"),
    [("socks5h://127.0.0.1:9", "SOCKS proxies"), ("http://127.0.0.1:9", "no connection to the proxy")],
)
def test_proxy_that_cannot_be_used_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, says: str
) -> None:
    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(HubSilent) as raised:
        fetch(CARD, tmp_path, endpoint="https://hub.invalid")
    assert raised.value.reasons[REPO].startswith(says)
