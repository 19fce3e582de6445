"""Where pip would look for packages: its environment variables and configuration files, read
without running pip.
"""

from __future__ import annotations

import configparser
import os
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from moco.errors import EnvironmentProblem

PYPI = "https://pypi.org/simple"


@dataclass(frozen=True, slots=True)
class PipConfig:
    """The settings of pip that decide where a file comes from."""

    indexes: tuple[str, ...] = (PYPI,)
    """Index URLs in pip's order: `index-url`, then every `extra-index-url`."""
    find_links: tuple[str, ...] = ()
    """Folders, archives or pages that list archives."""
    cert: str = ""
    """File or folder of certificate authorities; empty = the system's."""
    proxy: str = ""
    timeout_seconds: float = 60.0


def read() -> PipConfig:
    """Pip's settings as they hold now: later files win over earlier ones, the environment over all
    files.
    """
    values: dict[str, str] = {}
    for path in _config_files():
        values |= _section_values(path)
    for key in (
        "index-url",
        "extra-index-url",
        "find-links",
        "no-index",
        "cert",
        "proxy",
        "timeout",
    ):
        variable = os.environ.get("PIP_" + key.upper().replace("-", "_"))
        if variable is not None:
            values[key] = variable
    if not values.get("index-url", "").strip():
        values["index-url"] = PYPI
    indexes = tuple(
        dict.fromkeys((values["index-url"] + " " + values.get("extra-index-url", "")).split())
    )
    if values.get("no-index", "").strip().lower() in ("1", "true", "yes", "on"):
        indexes = ()
    return PipConfig(
        indexes=indexes,
        find_links=tuple(values.get("find-links", "").split()),
        cert=values.get("cert", "").strip(),
        proxy=values.get("proxy", "").strip(),
        timeout_seconds=_seconds(values.get("timeout", values.get("default-timeout", ""))),
    )


def _seconds(text: str) -> float:
    try:
        return max(float(text), 1.0)
    except ValueError:
        return 60.0


def _config_files() -> list[Path]:
    """Pip's configuration files from the weakest to the strongest."""
    chosen = os.environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    home = Path.home()
    if os.name == "nt":
        name = "pip.ini"
        system = [Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "pip" / name]
        user = [home / "pip" / name, Path(os.environ.get("APPDATA", str(home))) / "pip" / name]
    else:
        name = "pip.conf"
        dirs = os.environ.get("XDG_CONFIG_DIRS", "") or "/etc/xdg"
        system = [Path(d) / "pip" / name for d in dirs.split(":") if d] + [Path("/etc") / name]
        own = os.environ.get("XDG_CONFIG_HOME", "") or str(home / ".config")
        if sys.platform == "darwin" and (home / "Library/Application Support/pip").is_dir():
            own = str(home / "Library/Application Support")
        user = [home / ".pip" / name, Path(own) / "pip" / name]
    return [*system, *user, Path(sys.prefix) / name, *([Path(chosen)] if chosen else [])]


def _section_values(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise EnvironmentProblem(
            f"pip's configuration file {path} cannot be read: {error}"
        ) from error
    values: dict[str, str] = {}
    for section in ("global", "install", "download"):
        if parser.has_section(section):
            values |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    return values


BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that name certificates to trust, the strongest first."""


def ssl_context(cert: str = "") -> ssl.SSLContext:
    """Certificates to trust: pip's `cert`, else what the usual variables name, else the system's.

    The system's are completed by certifi's. Raises `EnvironmentProblem` for an unreadable bundle.
    """
    named = [cert, *(os.environ.get(key, "") for key in BUNDLES)]
    place = next((name for name in named if name), "")
    try:
        if place:
            is_folder = Path(place).is_dir()
            return ssl.create_default_context(
                cafile=None if is_folder else place, capath=place if is_folder else None
            )
        context = ssl.create_default_context()
        if not os.environ.get("SSL_CERT_DIR"):
            import certifi

            context.load_verify_locations(certifi.where())
    except OSError as error:
        where = place or "this machine"
        raise EnvironmentProblem(f"the certificates of {where} cannot be read: {error}") from error
    return context


def shown(url: str) -> str:
    """A URL for messages: user name and password left out."""
    parts = urlsplit(url)
    host = parts.netloc.rsplit("@", 1)[-1]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
