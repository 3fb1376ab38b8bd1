# SPDX-License-Identifier: Apache-2.0
"""Reading a study file: bounded YAML in, a checked `SearchConfiguration` out. No torch."""

from __future__ import annotations

from pathlib import Path

from edgectl_protos.errors import UsageError

from edgectl.compress.bounded_yaml import MAXIMUM_BYTES, parse_bounded_yaml
from edgectl.lab.protocol import protocol
from edgectl.search.configuration import SearchConfiguration, parse_configuration
from edgectl.workflows.candidate import check_candidates


def load_search(path: Path) -> SearchConfiguration:
    """The configuration in a YAML file, every value of its space tried against the recipe's own rules.

    Raises:
        UsageError: the file cannot be read or is not legal; names the place.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(MAXIMUM_BYTES + 1).decode("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the study file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", expected="a YAML study file") from error
    return parse_search(text, source=str(path))


def parse_search(text: str, *, source: str) -> SearchConfiguration:
    """As `load_search`, from the text; `source` names it in messages."""
    document = parse_bounded_yaml(text, source=source)
    configuration = parse_configuration(document.value, source=source, place=document.place)
    check_candidates(configuration, source=source)
    protocol(configuration.protocol)
    return configuration
