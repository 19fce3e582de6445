"""From a config's members to model specs: aliases, files, facts, fingerprints. Loads no weights."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moco import access, registry, sources
from moco import facts as facts_of_files
from moco.access import Access, ModelFacts, Problem
from moco.backends.base import ModelSpec
from moco.config import EngineConfig, Member, MemberConfig, Shared, TeamConfig
from moco.engine.cache import digest
from moco.errors import ConfigError, clip
from moco.types import Json, Sampling
from moco.zoo import catalogue, pools

if TYPE_CHECKING:
    from moco.methods.base import JointMethod

LOCAL = "hf"
"""The back end whose models are files on this machine."""


@dataclass(frozen=True)
class Members:
    """The resolved pool and roles, in order; `roles` may repeat a member's spec."""

    pool: tuple[ModelSpec, ...]
    roles: Mapping[str, ModelSpec]
    pool_name: str = ""
    problems: tuple[Problem, ...] = field(default=())

    def facts(self) -> dict[str, ModelFacts | None]:
        """Alias → facts of the pool's members."""
        return {spec.name: spec.facts for spec in self.pool}

    def role_facts(self) -> dict[str, ModelFacts | None]:
        """Role → facts."""
        return {role: spec.facts for role, spec in self.roles.items()}


def resolve(config: Shared, *, pull: bool, accept_licence: bool = False) -> Members:
    """Every member and role as a spec.

    With `pull` missing files are downloaded and fingerprints computed; without it nothing is
    written or downloaded, and a model that is not here has the catalogue's facts, or none.
    """
    listed, ready = _listed(config)
    specs = [_spec(m, config.engine, pull, accept_licence) for m in listed]
    named = _with_aliases(listed, specs)
    roles = {}
    for role, member in config.roles.items():
        roles[role] = _role(role, member, named, config.engine, pull, accept_licence)
    return Members(tuple(named), roles, ready)


def default_embedder(config: Shared) -> str:
    """The embedder where none is named: the ready pool's own, the bundled one for bundled members,
    else minilm-l6.
    """
    listed, ready = _listed(config)
    if ready and (pool := pools.find(ready)) is not None and pool.embedder:
        return pool.embedder
    return (
        "zoo://mini/embedder"
        if all(m.model.startswith("zoo://mini") for m in listed)
        else "minilm-l6"
    )


def _listed(config: Shared) -> tuple[list[MemberConfig], str]:
    """The members in their long form, and the ready pool's name."""
    if isinstance(config.pool, str):
        ready = pools.find(config.pool)
        if ready is None:
            raise ConfigError(
                f"pool: '{clip(config.pool)}' is no ready pool ({', '.join(pools.names())});"
                " a list of members goes in brackets: pool: [a, b]"
            )
        return [MemberConfig(model=ref) for ref in ready.members], config.pool
    return _long(config.pool), ""


def _long(pool: Sequence[Member]) -> list[MemberConfig]:
    return [MemberConfig(model=m) if isinstance(m, str) else m for m in pool]


def _role(
    role: str,
    member: Member,
    named: Sequence[ModelSpec],
    engine: EngineConfig,
    pull: bool,
    accept: bool,
) -> ModelSpec:
    if isinstance(member, str):
        for spec in named:
            if spec.name == member:
                return spec
        member = MemberConfig(model=member)
    spec = _spec(member, engine, pull, accept)
    alias = member.name or _alias(member)
    if alias in {s.name for s in named}:
        twin = next(s for s in named if s.name == alias)
        if twin.fingerprint == spec.fingerprint:
            return twin
        alias = f"{alias}@{role}"
    return replace(spec, name=alias)


def _alias(member: MemberConfig) -> str:
    if member.team is not None:
        given = member.team.method
        name = given if isinstance(given, str) else str(given.get("name", ""))
        return f"{name}({'+'.join(map(_alias, _long(member.team.pool)))})"
    ref = member.adapter or member.model
    return re.split("[@#]", ref.rstrip("/").rpartition("/")[2])[0] or ref


def _with_aliases(listed: Sequence[MemberConfig], specs: Sequence[ModelSpec]) -> list[ModelSpec]:
    """Unique aliases: x, x#2, x#3 for one model listed several times; two models of one alias are
    an error.
    """
    seen: dict[str, str] = {}
    counts: Counter[str] = Counter()
    named: list[ModelSpec] = []
    for member, spec in zip(listed, specs, strict=True):
        alias = member.name or _alias(member)
        identity = spec.fingerprint or f"{spec.ref}|{member.adapter}"
        if seen.setdefault(alias, identity) != identity:
            raise ConfigError(
                f"pool: two different models have the alias '{clip(alias)}';"
                " give one of them a `name`"
            )
        copy = counts[identity]
        counts[identity] += 1
        same_alias = sum(1 for s in named if s.name.partition("#")[0] == alias)
        named.append(
            replace(spec, name=alias if not same_alias else f"{alias}#{same_alias + 1}", copy=copy)
        )
    return named


def _spec(member: MemberConfig, engine: EngineConfig, pull: bool, accept: bool) -> ModelSpec:
    if member.team is not None:
        return _team(member, member.team, engine, pull, accept)
    backend = member.backend or LOCAL
    if backend not in registry.names("backend"):
        registry.load("backend", backend)
    connection = {"base_url": member.base_url, "key_env": member.key_env}
    if backend == LOCAL or not registry.hosted(backend):
        _refuse(member, connection, "belongs to hosted members: backend: openai")
    else:
        _refuse(member, {"adapter": member.adapter, "dtype": member.dtype}, "needs a local model")
        _refuse(member, {k: k in member.options for k in connection}, "stands beside `options`")
    given = {key: value for key, value in connection.items() if value}
    price = (member.price.prompt, member.price.generated) if member.price else None
    base = ModelSpec(
        name="",
        ref=member.model,
        backend=backend,
        options={**member.options, **given},
        description=member.description,
        price=price,
    )
    if backend != LOCAL:
        return _fileless(base)
    return _local(base, member, engine, pull, accept)


def _team(
    member: MemberConfig, team: TeamConfig, engine: EngineConfig, pull: bool, accept: bool
) -> ModelSpec:
    """Several models as one, by the joint method that writes their answers."""
    listed = _long(team.pool)
    where = f"pool: team '{clip(member.name or _alias(member))}'"
    if any(own.team is not None for own in listed):
        raise ConfigError(f"{where}: a team's members are models, not teams")
    parents = _with_aliases(listed, [_spec(own, engine, pull, accept) for own in listed])
    method = _joint_method(team, where)
    facts = {own.name: own.facts for own in parents}
    found = [*access.check(method.needs(), facts, {}, [], has_dev=False)]
    found += method.problems(facts, Sampling())
    if wrong := [str(problem) for problem in found if not problem.note]:
        raise ConfigError(f"{where}: " + "; ".join(wrong))
    identity = {"name": method.name(), "version": method.version, "own": method.model_dump()}
    prints = [own.fingerprint for own in parents]
    return ModelSpec(
        name="",
        ref=_alias(member),
        dtype=next((own.dtype for own in parents if own.dtype != "float32"), "float32"),
        facts=_team_facts([own.facts for own in parents]),
        fingerprint=digest(["team", identity, prints]) if all(prints) else "",
        description=member.description,
        price=(member.price.prompt, member.price.generated) if member.price else None,
        parents=tuple(parents),
        derive="team",
        team=method,
    )


def _joint_method(team: TeamConfig, where: str) -> JointMethod[Any]:
    from moco.config import parse
    from moco.methods.base import JointMethod

    given = {"name": team.method} if isinstance(team.method, str) else dict(team.method)
    cls = registry.load("method", str(given.pop("name", "")))
    if not issubclass(cls, JointMethod):
        raise ConfigError(f"{where}: {cls.name()} does not write answers token by token")
    method: JointMethod[Any] = parse(cls, given, f"{where}: method")
    if method.needs().dev:
        raise ConfigError(f"{where}: {cls.name()} learns on dev with these settings, a team cannot")
    return method


def _team_facts(each: Sequence[ModelFacts | None]) -> ModelFacts | None:
    """What is known of a team: it gives text, and what its members have together."""
    known = [facts for facts in each if facts is not None]
    if len(known) < len(each):
        return None
    return ModelFacts(
        access=Access.TEXT,
        num_parameters=sum(facts.num_parameters for facts in known),
        context=min((facts.context for facts in known if facts.context), default=0),
        dtype=known[0].dtype,
        licence=" and ".join(dict.fromkeys(facts.licence for facts in known if facts.licence)),
    )


def _refuse(member: MemberConfig, keys: Mapping[str, object], why: str) -> None:
    """A key that would have no effect on this member is an error."""
    for key, value in keys.items():
        if value:
            raise ConfigError(f"pool: member '{clip(member.name or member.model)}': {key} {why}")


def _module(backend: str) -> Mapping[str, Any]:
    """What a back end's module defines."""
    found: Mapping[str, Any] = registry.load("backend", backend).__globals__
    return found


def _fileless(spec: ModelSpec) -> ModelSpec:
    """A scripted or hosted model: its back end's module says what it gives, and (`identity_of`;
    all options where it does not) what can change its answers.
    """
    module = _module(spec.backend)
    facts: ModelFacts = module["facts_of"](spec)
    identity = module["identity_of"](spec) if "identity_of" in module else dict(spec.options)
    fingerprint = digest(["no files", spec.backend, spec.ref, identity])
    return replace(spec, facts=facts, fingerprint=fingerprint)


def _local(
    spec: ModelSpec, member: MemberConfig, engine: EngineConfig, pull: bool, accept: bool
) -> ModelSpec:
    path = sources.resolve(member.model, pull=pull, accept_licence=accept)
    if path is None:
        entry = catalogue.find(member.model)
        return replace(spec, facts=entry.facts if entry else None)
    adapter: Path | None = None
    if member.adapter:
        adapter = sources.resolve(member.adapter, pull=pull, accept_licence=accept)
        if adapter is None:
            return replace(spec, path=path)
    elif (path / "adapter_config.json").is_file():
        adapter, base = path, base_of_adapter(path, member.model, pull=pull, accept=accept)
        if base is None:
            known = catalogue.find(facts_of_files.adapter_base(adapter))
            known_facts = facts_of_files.with_adapter(known.facts, adapter) if known else None
            return replace(spec, adapter=adapter, facts=known_facts)
        path = base
    facts = facts_of_files.facts_of(path, adapter)
    dtype = _dtype(member, engine, facts)
    fingerprint = facts_of_files.fingerprint(path, adapter, dtype, spec.backend) if pull else ""
    return replace(
        spec, path=path, adapter=adapter, facts=facts, dtype=dtype, fingerprint=fingerprint
    )


def with_adapter(spec: ModelSpec, folder: Path, name: str = "") -> ModelSpec:
    """The spec of a model with an adapter of its own in a folder, in place of one it has. It keeps
    the base's reference and, of a clone, the number of the copy.
    """
    if spec.path is None:
        raise ConfigError(f"'{spec.name}' has no files here, so it has no adapter either")
    facts = facts_of_files.facts_of(spec.path, folder)
    fingerprint = facts_of_files.fingerprint(spec.path, folder, spec.dtype, spec.backend)
    return replace(
        spec, name=name or f"{spec.name}+trained", adapter=folder, facts=facts,
        fingerprint=fingerprint,
    )  # fmt: skip


def base_of_adapter(folder: Path, ref: str, *, pull: bool, accept: bool) -> Path | None:
    """The base that an adapter folder names: a reference, or a path relative to the folder."""
    name = facts_of_files.adapter_base(folder)
    if name.startswith((".", "..")):
        return (folder / name).resolve()
    if not name:
        raise ConfigError(
            f"'{clip(ref)}' is a LoRA adapter that names no base; list it as"
            " {model: BASE, adapter: …}"
        )
    return sources.resolve(name, pull=pull, accept_licence=accept)


def _dtype(member: MemberConfig, engine: EngineConfig, facts: ModelFacts) -> str:
    asked = member.dtype or engine.dtype
    if asked != "auto":
        return asked
    bundled = (member.adapter or member.model).startswith("zoo://mini")
    return "float32" if bundled else facts.dtype or "float32"


def devices(engine: EngineConfig) -> tuple[tuple[str, ...], list[str]]:
    """The devices to use, and notes on those that are not here (the CPU stands in)."""
    found: list[str] = []
    notes: list[str] = []
    count = 0 if set(engine.devices) == {"cpu"} else _num_gpus()
    for name in engine.devices:
        if name == "auto":
            found.append("cuda:0" if count else "cpu")
        elif name == "cpu" or (name.startswith("cuda") and _index(name) < count):
            found.append(name)
        elif name.startswith("cuda"):
            notes.append(f"device {name} does not exist here; the CPU is used")
        else:
            raise ConfigError(
                f"engine.devices: '{clip(name)}' is no device; write auto, cpu or cuda:0"
            )
    return tuple(found) or ("cpu",), notes


def _index(device: str) -> int:
    """Number of a CUDA device: `cuda` is the first."""
    number = device.partition(":")[2] or "0"
    if not number.isdigit():
        raise ConfigError(f"engine.devices: '{clip(device)}' is no device; write cuda:0")
    return int(number)


def _num_gpus() -> int:
    """CUDA devices here; 0 without torch, which only local models need."""
    if importlib.util.find_spec("torch") is None:
        return 0
    import torch

    return torch.cuda.device_count()


def manifest_of(spec: ModelSpec) -> dict[str, Json]:
    """What a manifest says of a member."""
    return {
        "name": spec.name,
        "ref": spec.ref,
        "backend": spec.backend,
        "dtype": spec.dtype,
        "fingerprint": spec.fingerprint,
        "adapter": str(spec.adapter or ""),
        "copy": spec.copy,
        "parameters": spec.facts.num_parameters if spec.facts else None,
        "licence": spec.facts.licence if spec.facts else "",
        **({"team": [manifest_of(own) for own in spec.parents]} if spec.derive == "team" else {}),
    }
