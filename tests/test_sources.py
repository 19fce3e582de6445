"""References: packages of an index, folders, the bundled zoo, the hub, the catalogue, licences."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moco import paths, sources
from moco.access import Access, ModelFacts
from moco.errors import (
    DownloadError,
    EnvironmentProblem,
    InputError,
    LicenceError,
    MissingExtraError,
    UnknownNameError,
)
from moco.sources import archive, fetch, hub, index, pipconfig
from moco.zoo import catalogue, pools
from tests.indexserver import Index, sdist, serving, wheel

WHEEL = "pkg-1.0-py3-none-any.whl"
REF = "pypi://pkg==1.0/pkg/data.json"
BIG = bytes(range(256)) * 4096


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, no pip settings, no waiting."""
    for key in list(os.environ):
        if key.startswith("PIP_"):
            monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    with serving() as found:
        found.files[WHEEL] = wheel(
            {"pkg/data.json": b"{}", "pkg/m/a.txt": b"a", "pkg/m/b/c.txt": b"c"}
        )
        monkeypatch.setenv("PIP_INDEX_URL", found.url + "/simple")
        yield found


def stored() -> list[str]:
    """Names of the downloads in the cache, finished and half-finished."""
    return sorted(p.name for p in (paths.cache_dir() / "downloads").glob("*"))


@pytest.mark.parametrize("html", [False, True])
def test_a_file_of_a_package(server: Index, html: bool) -> None:
    server.html = html
    seen: list[tuple[str, int, int]] = []
    assert sources.resolve(REF, pull=False) is None
    found = sources.resolve(REF, progress=lambda *args: seen.append(args))
    assert found is not None and found.read_bytes() == b"{}"
    assert seen[-1] == (WHEEL, len(server.files[WHEEL]), len(server.files[WHEEL]))
    requests = len(server.log)
    assert sources.resolve(REF) == sources.resolve(REF, pull=False) == found
    assert len(server.log) == requests


def test_a_folder_of_a_package(server: Index) -> None:
    found = sources.resolve("pypi://pkg==1.0/pkg/m")
    assert found is not None
    assert sorted(p.relative_to(found).as_posix() for p in found.rglob("*.txt")) == [
        "a.txt",
        "b/c.txt",
    ]
    assert not list(found.rglob("data.json"))
    single = sources.resolve("pypi://pkg==1.0/pkg/m/a.txt")
    assert single is not None and single.read_bytes() == b"a"


def test_wheels_before_source_archives_before_nothing(server: Index) -> None:
    server.files["pkg-1.0-cp311-cp311-linux_x86_64.whl"] = wheel({"pkg/data.json": b"platform"})
    server.files["pkg-1.0.tar.gz"] = sdist(
        {"pkg-1.0/pkg/data.json": b"source", "pkg-1.0/notes.md": b"n"}
    )
    names = [f.name for f in index.release_files("pkg", "1.0", pipconfig.read())]
    assert names == [WHEEL, "pkg-1.0-cp311-cp311-linux_x86_64.whl", "pkg-1.0.tar.gz"]
    found = sources.resolve("pypi://pkg==1.0/notes.md")
    assert found is not None and found.read_bytes() == b"n"
    with pytest.raises(DownloadError, match=r"has no file pkg/none.txt .*pkg-1.0.tar.gz"):
        sources.resolve("pypi://pkg==1.0/pkg/none.txt")


def test_wrong_checksum_is_thrown_away(server: Index) -> None:
    server.hashes[WHEEL] = "0" * 64
    with pytest.raises(DownloadError, match="the index says 0000"):
        sources.resolve(REF)
    assert stored() == []
    assert len(server.asked(WHEEL)) == 1


def test_a_broken_transfer_is_resumed(server: Index) -> None:
    server.files[WHEEL] = wheel({"pkg/data.json": os.urandom(9000)})
    server.cut_after[WHEEL] = [3000, 2000]
    assert sources.resolve(REF) is not None
    assert server.asked(WHEEL) == ["", "bytes=3000-", "bytes=5000-"]
    assert [name for name in stored() if name.endswith(".part")] == []


def test_a_later_run_continues_where_an_earlier_one_gave_up(server: Index) -> None:
    server.files[WHEEL] = wheel({"pkg/data.json": os.urandom(9000)})
    server.cut_after[WHEEL] = [1000] * fetch.ATTEMPTS
    with pytest.raises(DownloadError, match=r"in 4 attempts.*continues"):
        sources.resolve(REF)
    assert stored()[0].endswith(".part")
    assert sources.resolve(REF) is not None
    assert server.asked(WHEEL)[-1] == "bytes=4000-"


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("garbage", [b"garbage", b"g" * 100_000])
def test_a_wrong_beginning_is_fetched_anew(server: Index, ranges: bool, garbage: bytes) -> None:
    server.ranges = ranges
    file = index.release_files("pkg", "1.0", pipconfig.read())[0]
    part = fetch.place(file).with_name(fetch.place(file).name + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(garbage)
    assert sources.resolve(REF) is not None


def test_without_a_checksum_nothing_is_resumed(server: Index) -> None:
    server.hashes[WHEEL] = ""
    server.html = True
    assert sources.resolve(REF) is not None
    assert server.asked(WHEEL) == [""]


def test_server_trouble_is_retried_and_refusal_is_not(server: Index) -> None:
    server.status[f"/files/{WHEEL}"] = [503, 500]
    assert sources.resolve(REF) is not None
    server.files["pkg-2.0-py3-none-any.whl"] = wheel({"pkg/data.json": b"2"})
    server.status["/files/pkg-2.0-py3-none-any.whl"] = [403, 403]
    with pytest.raises(DownloadError, match="answered 403"):
        sources.resolve("pypi://pkg==2.0/pkg/data.json")
    assert len(server.asked("pkg-2.0-py3-none-any.whl")) == 1


def test_a_file_larger_than_the_index_says(server: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MAX_DOWNLOAD", 100)
    with pytest.raises(DownloadError, match="the limit is 100"):
        sources.resolve(REF)


def test_two_processes_fetch_once(server: Index) -> None:
    server.files[WHEEL] = wheel({"pkg/data.json": BIG})
    code = f"from moco import sources; print(sources.resolve({REF!r}))"
    runs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=60)[0].strip() for run in runs]
    assert outputs[0] == outputs[1] and Path(outputs[0]).read_bytes() == BIG
    assert server.asked(WHEEL) == [""]
    assert [p for p in paths.cache_dir().rglob(".*") if p.name != ".lock"] == []


@pytest.mark.parametrize(
    "content",
    [
        wheel({"pkg/m/../../../evil.txt": b"x"}),
        wheel({"pkg/m/a.txt": b"x"}, links={"pkg/m/link": "/etc/passwd"}),
        wheel({"pkg/m/c:\\evil.txt": b"x"}),
    ],
)
def test_members_that_would_land_outside_are_refused(server: Index, content: bytes) -> None:
    server.files[WHEEL] = content
    with pytest.raises(DownloadError, match=r"not a path inside|is a link"):
        sources.resolve("pypi://pkg==1.0/pkg/m")
    assert not list(paths.cache_dir().rglob("*evil*"))
    assert not list((paths.cache_dir() / "files").rglob("*.txt"))


def test_links_in_source_archives_are_refused(server: Index) -> None:
    server.files = {"pkg-1.0.tar.gz": sdist({"pkg-1.0/x.txt": b"x"}, {"pkg-1.0/pkg/m": "/etc"})}
    with pytest.raises(DownloadError, match="is a link"):
        sources.resolve("pypi://pkg==1.0/pkg/m")


def test_too_much_to_unpack(server: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files[WHEEL] = wheel({"pkg/data.json": b"0" * 10_000})
    monkeypatch.setattr(archive, "MAX_UNPACKED", 9_999)
    with pytest.raises(DownloadError, match="10000 bytes to unpack"):
        sources.resolve(REF)
    monkeypatch.setattr(archive, "MAX_MEMBERS", 0)
    with pytest.raises(DownloadError, match="more than 0 files"):
        sources.resolve(REF)


def test_a_damaged_archive(server: Index) -> None:
    server.files[WHEEL] = b"PK no zip"
    with pytest.raises(DownloadError, match="is damaged"):
        sources.resolve(REF)


def test_pinned_content(server: Index) -> None:
    good = hashlib.sha256(b"{}").hexdigest()
    assert sources.resolve(f"{REF}#sha256={good}") is not None
    with pytest.raises(DownloadError, match="expected ffff"):
        sources.resolve(f"{REF}#sha256={'f' * 64}")


def test_a_release_that_is_not_there(server: Index) -> None:
    with pytest.raises(
        DownloadError, match=r"pkg==9.9 was not found on .*127.0.0.1.*there are: pkg-1.0"
    ):
        sources.resolve("pypi://pkg==9.9/x")
    server.status["/simple/other/"] = [500]
    with pytest.raises(DownloadError, match="answered 500"):
        sources.resolve("pypi://other==1.0/x")


def test_unreachable_index_without_secrets_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:hunter2@127.0.0.1:9/simple")
    with pytest.raises(DownloadError, match="could not be reached") as caught:
        sources.resolve(REF)
    assert "hunter2" not in str(caught.value)


def test_the_indexs_login_goes_to_its_own_files_only() -> None:
    base = "https://me:pw@host/simple/p/"
    assert index._logged_in("https://host/f.whl", base) == "https://me:pw@host/f.whl"
    assert index._logged_in("https://other/f.whl", base) == "https://other/f.whl"
    assert index._logged_in("http://host/f.whl", base) == "http://host/f.whl"


def test_folders_as_indexes_and_find_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, page = tmp_path / "files", tmp_path / "simple" / "pkg"
    files.mkdir()
    page.mkdir(parents=True)
    content = wheel({"pkg/data.json": b"local"})
    (files / WHEEL).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    (page / "index.html").write_text(f'<a href="../../files/{WHEEL}#sha256={digest}">{WHEEL}</a>')
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    found = sources.resolve(REF)
    assert found is not None and found.read_bytes() == b"local"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path / 'nowhere'} {files}")
    assert [f.url for f in index.release_files("PKG", "1", pipconfig.read())] == [
        (files / WHEEL).as_uri()
    ]
    (page / "index.html").write_text(f'<a href="../../files/{WHEEL}#sha256={"0" * 64}">x</a>')
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(DownloadError, match="the index says 0000"):
        sources.resolve("pypi://pkg==1.0/pkg/other")


def test_pip_settings_from_files_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, own = tmp_path / "home", tmp_path / "own.conf"
    (home / ".config" / "pip").mkdir(parents=True)
    (home / ".config" / "pip" / "pip.conf").write_text(
        "[global]\nindex-url = https://user.example/simple\nextra_index_url =\n    https://a/s\n    https://b/s\n"
        "cert = /c.pem\n[install]\nfind-links = /links\n"
    )
    own.write_text("[global]\ntimeout = 7\nproxy = http://p:1\n")
    monkeypatch.setenv("HOME", str(home))
    for key in ("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(own))
    config = pipconfig.read()
    assert config.indexes[:3] == ("https://user.example/simple", "https://a/s", "https://b/s")
    assert (config.find_links, config.cert) == (("/links",), "/c.pem")
    assert (config.timeout_seconds, config.proxy) == (7.0, "http://p:1")
    monkeypatch.setenv("PIP_INDEX_URL", "https://env.example/simple")
    assert pipconfig.read().indexes[0] == "https://env.example/simple"
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_INDEX_URL")
    assert pipconfig.read() == pipconfig.PipConfig()
    own.write_text("no section\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(own))
    with pytest.raises(EnvironmentProblem, match="cannot be read"):
        pipconfig.read()


def test_certificates_come_from_the_usual_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import certifi

    for key in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(key, raising=False)
    assert pipconfig.ssl_context().cert_store_stats()["x509_ca"] > 50
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing")
    monkeypatch.setenv("SSL_CERT_FILE", str(broken))
    for place in ("", str(tmp_path / "missing.pem")):
        with pytest.raises(EnvironmentProblem, match="cannot be read"):
            pipconfig.ssl_context(place)
    assert pipconfig.ssl_context(certifi.where()).cert_store_stats()["x509_ca"] > 50


@pytest.mark.parametrize(
    "ref",
    ["pypi://pkg/x", "pypi://pkg==1.0", "pypi://pkg==1.0/../x", "pypi://pkg>=1/x", "pypi://p==1/a\\b",
     "hf://owner", "hf://owner/name", "hf://owner/name@main", "hf://o/n@abc/../x", "zoo://../x",
     "ftp://x/y", "zoo://mini/../../x"],
)  # fmt: skip
def test_malformed_references(ref: str) -> None:
    with pytest.raises(InputError):
        sources.resolve(ref, pull=False)


def test_plain_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    for ref in ("model", "./model", "~/model", str(tmp_path / "model")):
        assert sources.resolve(ref, pull=False) == tmp_path / "model"
    with pytest.raises(UnknownNameError, match="no file or folder"):
        sources.resolve("modell")
    with pytest.raises(UnknownNameError, match="Did you mean 'smollm2-135m'"):
        sources.resolve("smollm-135m")
    with pytest.raises(UnknownNameError, match="written hf://Owner/Model-1B@<revision>"):
        sources.resolve("Owner/Model-1B")


def test_zoo_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mini" / "base").mkdir(parents=True)
    (tmp_path / "mini" / "base" / "config.json").write_text("{}")
    monkeypatch.setattr(sources, "zoo_dir", lambda: tmp_path)
    assert sources.resolve("zoo://mini/base", pull=False) == tmp_path / "mini" / "base"
    with pytest.raises(UnknownNameError, match="Did you mean 'zoo://mini/base'"):
        sources.resolve("zoo://mini/bass")


def test_licence_is_asked_for_once(server: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = catalogue.Entry(
        name="ours", description="", licence="Our Terms", terms="https://example.org/terms",
        num_bytes=1, parts=("pypi://pkg==1.0/pkg/m",), facts=ModelFacts(Access.EMBED),
    )  # fmt: skip
    monkeypatch.setattr(catalogue, "ENTRIES", (entry,))
    assert sources.resolve("ours", pull=False) is None
    with pytest.raises(LicenceError, match=r"org/terms .*moco model pull ours --accept-licence"):
        sources.resolve("ours")
    assert server.log == []
    found = sources.resolve("ours", accept_licence=True)
    assert found is not None and (found / "a.txt").is_file()
    assert sources.resolve("ours") == sources.resolve("ours", pull=False) == found


def test_pieces_are_joined_and_checked(tmp_path: Path) -> None:
    pieces = [tmp_path / "one", tmp_path / "two"]
    for piece in pieces:
        piece.write_bytes(piece.name.encode())
    digest = hashlib.sha256(b"onetwo").hexdigest()
    assert archive.join(pieces, digest, "m.bin").read_bytes() == b"onetwo"
    with pytest.raises(DownloadError, match="expected 0000"):
        archive.join(pieces, "0" * 64, "m.bin")
    assert len(list((paths.cache_dir() / "files").rglob("m.bin"))) == 1


def test_no_space_and_no_permission(server: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moco.paths.shutil.disk_usage", lambda _: (1, 1, 1)[:0] or _Usage())
    with pytest.raises(EnvironmentProblem, match="set XDG_CACHE_HOME"):
        sources.resolve(REF)


@dataclasses.dataclass
class _Usage:
    free: int = 0


def test_an_unwritable_cache_is_one_message(server: Index, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the cache should be")
    with pytest.raises(EnvironmentProblem, match="cannot lock"):
        sources.resolve(REF)


def test_remembered_digests(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"one")
    assert paths.known_sha256(file, remember=False) == hashlib.sha256(b"one").hexdigest()
    assert not paths.cache_dir().exists()
    assert paths.known_sha256(file) == paths.known_sha256(file)
    file.write_bytes(b"other")
    assert paths.known_sha256(file) == hashlib.sha256(b"other").hexdigest()


COMMIT = "a" * 40


@pytest.fixture
def hub_server(server: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """The pages of a hub with one model and one data set, and an empty hub cache."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    names = ["config.json", "model.safetensors", "pytorch_model.bin"]
    server.pages[f"/api/models/own/er/revision/{COMMIT}"] = {
        "id": "own/er", "sha": COMMIT, "siblings": [{"rfilename": n} for n in names],
    }  # fmt: skip
    server.pages[f"/api/models/own/er/tree/{COMMIT}"] = [
        {"type": "file", "path": n, "size": 5, "oid": "0" * 40} for n in names
    ]
    for name in names:
        server.pages[f"/own/er/resolve/{COMMIT}/{name}"] = b"bytes"
    server.pages[f"/datasets/own/er/resolve/{COMMIT}/data/x.json"] = b"[]"
    return server


def test_hub_snapshot_brings_no_pickles(hub_server: Index) -> None:
    ref = f"hf://own/er@{COMMIT}"
    assert sources.resolve(ref, pull=False) is None
    found = sources.resolve(ref)
    assert found is not None
    assert sorted(p.name for p in found.iterdir()) == ["config.json", "model.safetensors"]
    assert sources.resolve(ref, pull=False) == found


def test_hub_file_of_a_data_set(hub_server: Index) -> None:
    found = sources.resolve(f"hf://datasets/own/er@{COMMIT}/data/x.json")
    assert found is not None and found.read_bytes() == b"[]"


def test_hub_trouble_is_one_message(hub_server: Index) -> None:
    with pytest.raises(DownloadError, match=r"hf://own/other@abc"):
        sources.resolve("hf://own/other@abc")


def test_hub_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert hub.fetch("hf://own/er@abc", pull=False) is None
    with pytest.raises(MissingExtraError, match=r"moco-collab\[hf\]"):
        hub.fetch("hf://own/er@abc", pull=True)


def test_catalogue_and_pools_agree() -> None:
    assert catalogue.names() == ["smollm2-135m", "gemma3-270m", "minilm-l6"]
    assert catalogue.find("HuggingFaceTB/SmolLM2-135M-Instruct") is None
    for entry in catalogue.ENTRIES:
        assert entry.facts.architecture and entry.facts.base and entry.facts.num_bytes
        for part in entry.parts:
            assert sources.parse_pypi(part).path
    mini = pools.find("zoo://mini")
    assert mini is not None and mini.members[0] == "zoo://mini/base" and len(mini.members) == 4
    assert pools.find("zoo://smol-specialists").embedder == "minilm-l6"  # type: ignore[union-attr]
    assert pools.names()[0] == "zoo://mini" and pools.find("zoo://other") is None


def test_import_is_light() -> None:
    code = (
        "import sys; from moco import facts, sources; from moco.zoo import catalogue, pools; "
        "heavy = ('torch', 'transformers', 'scipy', 'huggingface_hub'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
