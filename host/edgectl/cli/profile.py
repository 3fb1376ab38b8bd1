# SPDX-License-Identifier: Apache-2.0
"""`edgectl profile BUNDLE|NAME --on DEVICE`: where a program's time goes, operator by operator."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem
from edgectl_protos.errors import RunnerError, UsageError

from edgectl.cli.models import active_model, bundle_path, read_bundle, upload
from edgectl.cli.options import complete_device, current_paths, on_option, output_option
from edgectl.cli.output import Output
from edgectl.cli.profile_tables import circumstances_table, difference_table, profile_table, remarks, us_text
from edgectl.cli.progress import Progress, open_progress
from edgectl.cli.text import one_line
from edgectl.cli.whole_files import Put, whole_file

if TYPE_CHECKING:
    from edgectl.lab.client import AgentClient
    from edgectl.lab.profile import Profile
    from edgectl.lab.profile_difference import ProfileDifference

_FILE = click.Path(path_type=Path)


def complete_against(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For the shell: devices, and files."""
    devices = complete_device(context, parameter, incomplete)
    return [*map(CompletionItem, devices), CompletionItem(incomplete, type="file")]


@click.command()
@click.argument("model", metavar="BUNDLE|NAME")
@on_option()
@click.option(
    "--runs", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Take medians of these runs."
)
@click.option("--threads", type=click.IntRange(0, 256), default=1, show_default=True, help="0 leaves it to the device.")
@click.option("--etdump", type=_FILE, help="Write the ETDump of the same runs here, for ExecuTorch's Inspector.")
@click.option("--html", type=_FILE, help="Write a page with a flame-like picture here; it needs no other file.")
@click.option(
    "--against",
    metavar="DEVICE|FILE.json",
    shell_complete=complete_against,
    help="Compare with another device, or with what `-o json` wrote earlier.",
)
@click.option("--each", is_flag=True, help="Give every operator a row of its own, not those of a kind together.")
@click.option("--all", "every", is_flag=True, help="Show every row, not the first 30.")
@output_option
def profile(
    *,
    model: str,
    device_name: str,
    runs: int,
    threads: int,
    etdump: Path | None,
    html: Path | None,
    against: str | None,
    each: bool,
    every: bool,
    output: Output,
) -> None:
    """Show where a program's time goes, by operator.

    A bundle's file is sent first and does not become active; a NAME is the model that is active there.
    The runs are traced and slower for it: `edgectl bench` says how fast a program is.
    """
    from edgectl.lab.profile_difference import profile_difference

    _refuse_one_file(etdump, html)
    job = _job(model, runs, threads)
    other = _other_side(against)
    with ExitStack() as places:
        put_etdump, put_page = (
            places.enter_context(whole_file(path, option=option)) if path is not None else None
            for option, path in (("--etdump", etdump), ("--html", html))
        )
        found = job.on(device_name, etdump=etdump is not None)
        there = job.on(other) if isinstance(other, str) else other
        difference = profile_difference(found, there) if there is not None else None
        title = f"{job.name} on {device_name}"
        _write(found, difference, put_etdump, put_page, title=title)
    table = profile_table(found, title=title, each=each, every=every)
    if difference is None:
        output.show(found.document(), table, remarks(found))
        return
    for warning in difference.warnings():
        click.echo(f"warning: {one_line(warning)}", err=True)
    compared = difference_table(difference, against=against or "", every=every)
    document = found.document() | {"difference": difference.document()}
    output.show(document, table, remarks(found), "", compared, "", circumstances_table(difference))


@dataclass(frozen=True, slots=True)
class _Job:
    """What is profiled and how; the same on every device."""

    name: str
    path: Path | None
    runs: int
    threads: int

    def on(self, device: str, *, etdump: bool = False) -> Profile:
        from edgectl.lab.devices import open_device
        from edgectl.lab.quiet import timed_job
        from edgectl.lab.runner_choice import RunnerChoice

        progress = open_progress()
        with open_device(device, paths=current_paths()) as client:
            name, digest = self._placed(client, progress)
            with (
                timed_job(device, current_paths(), progress.say),
                progress.task(f"profile {name} on {device}") as task,
            ):
                choice = RunnerChoice(threads=self.threads)
                found = client.profile(name, digest, runs=self.runs, etdump=etdump, choice=choice)
                task.reach(1, total=1, note=f"{us_text(found.execute_p50_us)} us a run")
        return found

    def _placed(self, client: AgentClient, progress: Progress) -> tuple[str, str]:
        if self.path is None:
            return self.name, active_model(client, self.name).digest
        placed = upload(client, self.path, progress)
        return placed.name, placed.digest


def _job(model: str, runs: int, threads: int) -> _Job:
    path = bundle_path(model)
    name = model if path is None else read_bundle(path).manifest.name
    return _Job(name, path, runs, threads)


def _other_side(against: str | None) -> Profile | str | None:
    """A profile of a file, or the name of a device that is known; both are looked at before any device is asked."""
    if against is None:
        return None
    path = Path(against)
    if against.endswith(".json") or "/" in against or path.is_file():
        from edgectl.lab.profile_file import read_profile

        return read_profile(path)
    from edgectl.lab.devices import check_known

    check_known(against, current_paths())
    return against


def _refuse_one_file(etdump: Path | None, html: Path | None) -> None:
    if etdump is not None and html is not None and etdump.resolve() == html.resolve():
        raise UsageError(f"--etdump and --html both {html}", expected="a file for each", action="change one of them")


def _write(
    found: Profile,
    difference: ProfileDifference | None,
    put_etdump: Put | None,
    put_page: Put | None,
    *,
    title: str,
) -> None:
    if put_etdump is not None:
        if not found.etdump:
            raise RunnerError("a profile without the ETDump", expected="both", action="update the agent on the device")
        put_etdump(found.etdump)
    if put_page is not None:
        from edgectl.lab.profile_page import profile_page

        put_page(profile_page(found, title=title, difference=difference).encode())
