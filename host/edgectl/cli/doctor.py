# SPDX-License-Identifier: Apache-2.0
"""`edgectl doctor`: what this machine has of what edgectl needs. Exits 1 where a part is there and would not work."""

from __future__ import annotations

import click
from edgectl_protos.errors import ExitCode

from edgectl.cli.checks import run_checks, this_machine
from edgectl.cli.findings import Outcome
from edgectl.cli.options import output_option
from edgectl.cli.output import Output, Table


@click.command()
@output_option
def doctor(output: Output) -> int:
    """Check this machine, and say how to fix what is missing."""
    checks = run_checks(this_machine())
    wrong = sum(check.outcome is Outcome.WRONG for check in checks)
    absent = sum(check.outcome is Outcome.ABSENT for check in checks)
    output.show(
        {
            "ok": wrong == 0,
            "checks": [
                {"name": check.name, "outcome": check.outcome.value, "seen": check.seen, "fix": check.fix}
                for check in checks
            ],
        },
        Table(("part", "is", "seen", "what to do"), tuple((c.name, c.outcome, c.seen, c.fix) for c in checks)),
        f"{wrong} wrong, {absent} absent, {len(checks) - wrong - absent} ok",
    )
    return int(ExitCode.ERROR if wrong else ExitCode.DONE)
