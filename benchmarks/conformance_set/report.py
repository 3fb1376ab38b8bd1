# SPDX-License-Identifier: Apache-2.0
"""The tables of the conformance run, and the closing line. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from conformance_set.comparison import LIMITS, Finding


def tables(findings: Sequence[Finding]) -> list[str]:
    """Worst errors by precision and by family for each place, then each program that is out of tolerance."""
    return [
        *_worst_by("precision", findings, lambda finding: finding.precision),
        "",
        *_worst_by("family", findings, lambda finding: f"{finding.family}, {finding.precision}"),
        *_outside(findings),
        *_known(findings),
    ]


def closing_line(findings: Sequence[Finding]) -> str:
    """Programs, places, and the worst error of each place by precision."""
    places = _distinct(finding.place for finding in findings)
    programs = len({(finding.case, finding.precision) for finding in findings})
    out = sum(not finding.within for finding in findings)
    known = len({(finding.case, finding.precision) for finding in findings if finding.known is not None})
    also = f", {known} known to be off everywhere alike" if known else ""
    worst = "; ".join(f"{place} {_worst_line(findings, place)}" for place in places)
    return f"{programs} programs in {len(places)} places, {out} answers out of tolerance{also}; worst error: {worst}"


def _worst_line(findings: Sequence[Finding], place: str) -> str:
    here = [finding for finding in findings if finding.place == place and not finding.failure]
    parts = []
    for precision in LIMITS:
        errors = [finding.eager for finding in here if finding.precision == precision and finding.known is None]
        if errors:
            parts.append(f"{precision} {max(errors):.1e}")
    native = [finding.native for finding in here if finding.native is not None]
    if native:
        parts.append(f"{max(native):.1e} from the native runner")
    return ", ".join(parts) or "nothing ran"


def _worst_by(title: str, findings: Sequence[Finding], group: Callable[[Finding], str]) -> list[str]:
    places = _distinct(finding.place for finding in findings)
    rows = [[title, "programs", *places]]
    for name in _distinct(map(group, findings)):
        of = [finding for finding in findings if group(finding) == name]
        cells = [_cell([finding for finding in of if finding.place == place]) for place in places]
        rows.append([name, str(len({(finding.case, finding.precision) for finding in of})), *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cell(findings: Sequence[Finding]) -> str:
    """The worst error against eager torch and against this machine's runner; marked where any is out of tolerance."""
    if not findings:
        return "-"
    ran = [finding for finding in findings if not finding.failure and finding.known is None]
    if not ran:
        return "-" if all(finding.within for finding in findings) else "failed !"
    text = f"{max(finding.eager for finding in ran):.1e}"
    native = [finding.native for finding in ran if finding.native is not None]
    if native:
        text += f" / {max(native):.1e}"
    return text if all(finding.within for finding in findings) else f"{text} !"


def _outside(findings: Sequence[Finding]) -> list[str]:
    lines = []
    for finding in findings:
        if finding.within:
            continue
        if finding.failure:
            lines.append(f"{finding.case} {finding.precision} on {finding.place}: {finding.failure}")
            continue
        limits = finding.limits
        native = "" if finding.native is None else f", {finding.native:.2e} from x86_64 (at most {limits.native:g})"
        lines.append(
            f"{finding.case} {finding.precision} on {finding.place}: {finding.eager:.2e} from eager torch "
            f"(at most {limits.eager:g}){native}"
        )
    return ["", *lines] if lines else []


def _known(findings: Sequence[Finding]) -> list[str]:
    """What is known to be off everywhere alike, once each; the tables leave it out."""
    lines = {}
    for finding in findings:
        if finding.known is not None:
            seen = finding.known.failure or f"{finding.eager:.1e} from eager torch"
            lines[finding.case, finding.precision] = (
                f"known: {finding.case} {finding.precision}: {finding.known.reason} ({seen})"
            )
    return ["", *lines.values()] if lines else []


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
