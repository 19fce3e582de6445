"""The call cache: one SQLite file on a local disk, shared by all runs and processes of a user.

A call's key is a SHA-256 over everything that can change its answer; the value is JSON. A finished
call is committed at once, so a killed run loses only what was in flight.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

from moco.errors import EnvironmentProblem
from moco.types import Json

SCHEMA = """
create table if not exists calls (
    key text primary key, kind text not null, value text not null,
    created real not null, used real not null
) without rowid;
"""
NETWORK_TYPES = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "fuse.sshfs",
    "lustre",
    "gpfs",
    "ceph",
    "9p",
    "afs",
    "beegfs",
}
LOOKUP_CHUNK = 400


def digest(value: Json) -> str:
    """SHA-256 (hex) of a JSON value in canonical form."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def file_system(path: Path) -> str:
    """Type of the file system that holds `path` ('' where /proc/mounts does not exist)."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return ""
    here, best, kind = str(path.resolve()), "", ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        parts = line.split()
        point = parts[1].replace("\\040", " ")
        inside = here == point or here.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, parts[2]
    return kind


class Cache:
    """Key → JSON value, on disk; thread-safe and safe between processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._mkdir()
        if file_system(path.parent) in NETWORK_TYPES:
            raise EnvironmentProblem(
                f"the call cache {path} lies on a network file system, where SQLite is not safe;"
                " set XDG_CACHE_HOME to a folder on a local disk"
            )
        self._db = self._open()

    def _mkdir(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentProblem(
                f"cannot create the cache folder {self.path.parent}: {error.strerror}; set"
                " XDG_CACHE_HOME to a folder that can be written"
            ) from error

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.OperationalError as error:
            raise EnvironmentProblem(f"cannot open the call cache {self.path}: {error}") from error
        except sqlite3.DatabaseError:
            bad = self.path.with_suffix(f".{int(time.time())}.bad")
            self.path.rename(bad)
            for extra in ("-wal", "-shm"):
                self.path.with_name(self.path.name + extra).unlink(missing_ok=True)
            warnings.warn(
                f"the call cache was damaged; it was set aside as {bad} and starts empty",
                stacklevel=2,
            )
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=60, check_same_thread=False, isolation_level=None)
        db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=normal")
        db.execute("pragma cache_size=-16384")
        db.executescript(SCHEMA)
        db.execute("select key, kind, value, created, used from calls limit 1").fetchone()
        return db

    def get_many(self, keys: Iterable[str]) -> dict[str, Json]:
        """The values of those keys that are present; entries that cannot be read count as
        absent.
        """
        wanted = list(dict.fromkeys(keys))
        found: dict[str, Json] = {}
        for start in range(0, len(wanted), LOOKUP_CHUNK):
            chunk = wanted[start : start + LOOKUP_CHUNK]
            marks = ",".join("?" * len(chunk))
            with self._guard():
                rows = self._db.execute(
                    f"select key, value from calls where key in ({marks})", chunk
                ).fetchall()
            for key, value in rows:
                try:
                    found[key] = json.loads(value)
                except ValueError:
                    warnings.warn(
                        f"a damaged entry of {self.path} is ignored and made anew", stacklevel=2
                    )
        return found

    def put(self, key: str, kind: str, value: Mapping[str, Json]) -> None:
        """Store and commit one value; an entry that exists is replaced."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text = text.encode("utf-8", "replace").decode("utf-8")
        now = time.time()
        with self._guard():
            self._db.execute(
                "insert or replace into calls values (?, ?, ?, ?, ?)", (key, kind, text, now, now)
            )

    def _guard(self) -> _Guard:
        return _Guard(self._lock, self.path)

    def info(self) -> dict[str, Json]:
        """Path, bytes on disk and number of entries by kind."""
        with self._guard():
            counts = dict(
                self._db.execute(
                    "select kind, count(*) from calls group by kind order by kind"
                ).fetchall()
            )
        size = sum(
            p.stat().st_size
            for s in ("", "-wal")
            if (p := self.path.with_name(self.path.name + s)).exists()
        )
        return {"path": str(self.path), "bytes": size, "entries": counts}

    def gc(self, older_than_days: float) -> int:
        """Drop entries made more than so many days ago and give their space back; returns how
        many.
        """
        limit = time.time() - older_than_days * 86400
        with self._guard():
            gone = self._db.execute("delete from calls where created < ?", (limit,)).rowcount
            self._db.execute("vacuum")
        return gone

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


class _Guard:
    """Holds the cache's lock and turns SQLite's errors into ours."""

    def __init__(self, lock: threading.Lock, path: Path) -> None:
        self._lock, self._path = lock, path

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self._lock.release()
        if isinstance(error, sqlite3.Error):
            raise EnvironmentProblem(
                f"the call cache {self._path} failed: {error}; free disk space, or remove the"
                " file to start afresh"
            ) from error
