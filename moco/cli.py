"""The command line: `moco` and `logmoco`. Commands are declared here; what they do is imported when
they are called.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

HELP = "Model collaboration: several language models solve a task together."

app = typer.Typer(
    name="moco",
    help=HELP,
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=False,
)
data_app = typer.Typer(help="Data sets.", no_args_is_help=True)
model_app = typer.Typer(help="Models.", no_args_is_help=True)
cache_app = typer.Typer(help="The cache of model calls and downloads.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(model_app, name="model")
app.add_typer(cache_app, name="cache")


class Listed(StrEnum):
    """What `moco list` can list."""

    methods = "methods"
    tasks = "tasks"
    pools = "pools"
    models = "models"
    scorers = "scorers"


class Source(StrEnum):
    """Whose rows of a data set."""

    modelco = "modelco"
    official = "official"


class Starter(StrEnum):
    """What `moco new` can write."""

    method = "method"
    task = "task"


class Result(StrEnum):
    """What `moco merge` can write."""

    merged = "merged"
    adapter = "adapter"


Config = Annotated[Path, typer.Argument(help="YAML or JSON file.", show_default=False)]
Changes = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Changes, such as seed=1 or method.k=3."),
]
Logs = Annotated[Path, typer.Option("-l", "--log-dir", help="Parent of the run folders.")]
Accept = Annotated[
    bool, typer.Option(help="Accept the licences of models and data that ask for it.")
]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="Let a task run code that models wrote, in a sandbox.")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")]
RUNS = Path("runs")


def _with_code(changes: list[str] | None, allowed: bool) -> list[str]:
    """The changes of a config, the permission to run code among them."""
    return [*(changes or ()), *(["allow_code=true"] if allowed else ())]


def _pair(text: str) -> tuple[str, str]:
    role, found, model = text.partition("=")
    if not found or not role or not model:
        raise typer.BadParameter(f"'{text[:60]}' has not the form ROLE=MODEL", param_hint="--role")
    return role, model


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("-c", "--config_file", "--config", help="Run this config file.")
    ] = None,
    log_dir: Annotated[
        Path, typer.Option("-l", "--log_dir", "--log-dir", help="Parent of the run folders.")
    ] = RUNS,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Model collaboration: several language models solve a task together."""
    if version:
        from importlib import metadata

        typer.echo(metadata.version("moco-collab"))
        raise typer.Exit
    if context.invoked_subcommand is not None:
        return
    if config is None:
        typer.echo(context.get_help())
        raise typer.Exit
    from moco.commands import running

    raise typer.Exit(running.run_config(config, (), log_dir, accept=False, quiet=False))


@app.command()
def run(
    config: Config,
    changes: Changes = None,
    log_dir: Logs = RUNS,
    accept_licence: Accept = False,
    allow_code: AllowCode = False,
    quiet: Quiet = False,
) -> None:
    """Run one method on one task; the same command again finishes or replays it."""
    from moco.commands import running

    changes = _with_code(changes, allow_code)
    raise typer.Exit(running.run_config(config, changes, log_dir, accept_licence, quiet))


@app.command()
def study(
    config: Config,
    changes: Changes = None,
    log_dir: Logs = RUNS,
    dry_run: Annotated[bool, typer.Option(help="Only show what would be run.")] = False,
    accept_licence: Accept = False,
    allow_code: AllowCode = False,
    quiet: Quiet = False,
) -> None:
    """Run several methods on several tasks and compare them."""
    from moco.commands import running

    changes = _with_code(changes, allow_code)
    raise typer.Exit(running.run_study(config, changes, log_dir, dry_run, accept_licence, quiet))


@app.command()
def check(
    configs: Annotated[list[Path], typer.Argument(help="Config files.", show_default=False)],
    every: Annotated[
        bool, typer.Option("--all", help="Also show which methods fit the pool, and why not.")
    ] = False,
) -> None:
    """Say what is wrong with configs; nothing is loaded, written or downloaded."""
    from moco.commands import running

    raise typer.Exit(running.check_configs(configs, every))


@app.command()
def merge(
    config: Config,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder of the result.", show_default=False)
    ],
    changes: Changes = None,
    max_memory: Annotated[str, typer.Option(help="Memory to merge in, as 2GB.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "",
    dtype: Annotated[
        str, typer.Option(help="Type of the result: float32, bfloat16 or float16.")
    ] = "",
    shard_size: Annotated[str, typer.Option(help="Largest weights file, as 5GB.")] = "",
    verify: Annotated[
        bool, typer.Option(help="Load the result in transformers and let it read and write.")
    ] = True,
    kind: Annotated[
        Result, typer.Option("--as", help="A checkpoint, or adapters as one adapter.")
    ] = Result.merged,
    rank: Annotated[
        int | None, typer.Option(help="Largest rank of that adapter; without, it is exact.")
    ] = None,
    push: Annotated[str, typer.Option(help="Upload to this owner/name of the hub.")] = "",
    accept_licence: Accept = False,
    quiet: Quiet = False,
) -> None:
    """Merge models by a config, in our form or mergekit's, and write the result as a folder."""
    from moco.commands import merging

    given = merging.Given(
        max_memory, device, dtype, shard_size, verify, accept_licence, push, kind.value, rank, quiet
    )
    raise typer.Exit(merging.merge(config, out, changes or (), given))


@app.command("list")
def list_(kind: Annotated[Listed, typer.Argument(show_default=False)]) -> None:
    """List methods, tasks, pools, models or scorers."""
    from moco.commands import listing

    raise typer.Exit(listing.list_names(kind.value))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name, or a run folder.", show_default=False)],
    query_id: Annotated[str, typer.Argument(help="A question of that run.")] = "",
) -> None:
    """Show a method, task, scorer, pool, model or run; or one question of a run."""
    from moco.commands import listing

    raise typer.Exit(listing.show(name, query_id))


@app.command()
def pool(
    config: Annotated[str, typer.Argument(help="Config file or ready pool.", show_default=False)],
) -> None:
    """Show the members of a pool, their facts and what they give."""
    from moco.commands import listing

    raise typer.Exit(listing.show_pool(config))


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A folder of run folders.", show_default=False)],
    regrade: Annotated[bool, typer.Option(help="Score the stored predictions again.")] = False,
) -> None:
    """Table of all finished runs below a folder."""
    from moco.commands import folders

    raise typer.Exit(folders.report_all(folder, regrade))


@app.command()
def grade(
    file: Annotated[Path, typer.Argument(help="Data file.", show_default=False)],
    outputs: Annotated[Path, typer.Option(help='One {"text": …} per item.', show_default=False)],
    task_type: Annotated[str, typer.Option(help="How it is graded.", show_default=False)],
    task: Annotated[str, typer.Option(help="A known data set, for its answer kinds.")] = "",
    split: Annotated[str, typer.Option(help="dev or test.")] = "test",
    roles: Annotated[
        list[str] | None, typer.Option("--role", help="A model for a scorer: judge=MODEL.")
    ] = None,
    allow_code: AllowCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every score.")] = False,
) -> None:
    """Grade a file of outputs against a data file in the modelco format."""
    from moco.commands import upkeep

    given = dict(_pair(role) for role in roles or ())
    raise typer.Exit(
        upkeep.grade_outputs(file, outputs, split, task_type, task, given, allow_code, as_json)
    )


@data_app.command("pull")
def pull_data(
    name: Annotated[str, typer.Argument(help="A data set, all-paper, or all.", show_default=False)],
    source: Annotated[Source, typer.Option(help="Whose rows.")] = Source.modelco,
    accept_licence: Accept = False,
) -> None:
    """Fetch a data set of the catalogue, all of the paper's, or all there are."""
    from moco.commands import upkeep

    raise typer.Exit(upkeep.pull_data(name, accept_licence, source.value))


@model_app.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(show_default=False)], accept_licence: Accept = False
) -> None:
    """Fetch a model of the catalogue, or all of a ready pool."""
    from moco.commands import upkeep

    raise typer.Exit(upkeep.pull_model(name, accept_licence))


@cache_app.command("info")
def cache_info() -> None:
    """What the cache holds."""
    from moco.commands import upkeep

    raise typer.Exit(upkeep.cache_info())


@cache_app.command("gc")
def cache_gc(
    older_than: Annotated[float, typer.Option(min=0, help="Age of calls in days.")] = 30.0,
) -> None:
    """Drop old calls."""
    from moco.commands import upkeep

    raise typer.Exit(upkeep.cache_gc(older_than))


@app.command()
def new(
    kind: Annotated[Starter, typer.Argument(show_default=False)],
    name: Annotated[str, typer.Argument(show_default=False)],
) -> None:
    """Write a starter file for a method or a task of your own."""
    from moco.commands import upkeep

    raise typer.Exit(upkeep.new(kind.value, name))


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code: 0 done, 2 bad input, 3 environment, 130 Ctrl-C;
    a fault of ours leaves Python with 1.
    """
    from moco.commands import entry

    given = list(sys.argv[1:] if arguments is None else arguments)
    return entry.call(app, given)
