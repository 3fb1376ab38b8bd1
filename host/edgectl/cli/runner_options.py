# SPDX-License-Identifier: Apache-2.0
"""Options of the commands that measure: how the program's runner is started on the device."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgectl.cli.quantities import CpuList, Size

if TYPE_CHECKING:
    from edgectl.lab.runner_choice import RunnerChoice

Command = TypeVar("Command", bound=Callable[..., Any])

_NICE = {"low": 10, "normal": 0, "high": -10}


def runner_options(command: Command) -> Command:
    """Add `--threads`, `--cpus`, `--priority` and `--memory-limit`; the command gets a `choice: RunnerChoice`."""

    @wraps(command)
    def with_choice(
        *args: Any,
        threads: int,
        cpus: tuple[int, ...],
        priority: str,
        memory_limit: int,
        allow_undelegated: bool = False,
        **others: Any,
    ) -> Any:
        choice = _choice(threads, cpus, priority, memory_limit, allow_undelegated=allow_undelegated)
        return command(*args, choice=choice, **others)

    for option in reversed(_OPTIONS):
        with_choice = option(with_choice)
    return with_choice  # type: ignore[return-value]  # the same command, with other parameters


_OPTIONS = (
    click.option(
        "--threads", type=click.IntRange(0, 256), default=1, show_default=True, help="0 leaves it to the device."
    ),
    click.option("--cpus", type=CpuList(), default=(), help="Run on these processors only, such as 0,2-3."),
    click.option("--priority", type=click.Choice(list(_NICE)), default="normal", show_default=True),
    click.option("--memory-limit", type=Size(), default=0, help="End the program beyond this, such as 64MB."),
    click.option(
        "--allow-undelegated",
        is_flag=True,
        help="Time it although operators run outside the delegate, in portable kernels.",
    ),
)


def _choice(
    threads: int, cpus: tuple[int, ...], priority: str, memory_limit: int, *, allow_undelegated: bool
) -> RunnerChoice:
    from edgectl.lab.runner_choice import RunnerChoice

    return RunnerChoice(
        threads=threads,
        cpus=cpus,
        nice=_NICE[priority],
        memory_limit_bytes=memory_limit,
        allow_undelegated=allow_undelegated,
    )
