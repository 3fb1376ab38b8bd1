# SPDX-License-Identifier: Apache-2.0
"""`edgectl inspect BUNDLE`: what its manifest says, after every member has been checked against it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from edgectl_protos.bundle import open_bundle

from edgectl.cli.options import output_option
from edgectl.cli.output import Output, Table
from edgectl.cli.text import size_text


@click.command("inspect")
@click.argument("bundle", type=click.Path(path_type=Path))
@output_option
def inspect(bundle: Path, output: Output) -> None:
    """Show what a bundle holds; a damaged one is an error."""
    from edgectl.lower.inspect import describe_bundle

    document = describe_bundle(bundle)
    if not document["verified"]:
        with open_bundle(bundle) as opened:
            opened.verify()
    output.show(document, bundle_table(document), member_table(document))


def bundle_table(document: dict[str, Any]) -> Table:
    """The figures of `describe_bundle`, one to a row."""
    needs, tolerance, budgets = document["requirements"], document["tolerance"], document["budgets"]
    limits = [f"p95 {budgets['p95_ms']} ms"] if budgets["p95_ms"] is not None else []
    limits += [f"resident {size_text(budgets['peak_rss_bytes'])}"] if budgets["peak_rss_bytes"] is not None else []
    fraction = f"{document['delegated_fraction']:.1%}"
    outside = f", outside: {', '.join(document['undelegated'])}" if document["undelegated"] else ""
    labels = document["labels"]
    return Table(
        ("field", "value"),
        (
            ("name", f"{document['name']} {document['version']}"),
            ("digest", document["digest"]),
            ("file", size_text(document["file_bytes"])),
            *((f"input {index}", _spec(spec)) for index, spec in enumerate(document["inputs"])),
            *((f"output {index}", _spec(spec)) for index, spec in enumerate(document["outputs"])),
            ("runtime", needs["runtime"]),
            ("runs on", ", ".join(needs["architectures"])),
            ("delegates", ", ".join(needs["delegates"]) or "none"),
            ("delegated operators", f"{fraction}{outside}"),
            (
                "golden cases",
                f"{document['golden_cases']}, within {tolerance['absolute']:g} + {tolerance['relative']:g} x |value|",
            ),
            (
                "labels",
                f"{len(labels)}: {', '.join(labels[:8])}{' ...' if len(labels) > 8 else ''}" if labels else "none",
            ),
            ("budgets", ", ".join(limits) or "none"),
        ),
    )


def member_table(document: dict[str, Any]) -> Table:
    """The members, with their sizes in the file and unpacked."""
    return Table(
        ("member", ">bytes", ">in the file"),
        tuple(
            (path, str(member["bytes"]), str(member["stored_bytes"])) for path, member in document["members"].items()
        ),
    )


def _spec(spec: dict[str, Any]) -> str:
    return f"{spec['dtype']}[{', '.join(map(str, spec['shape']))}]"
