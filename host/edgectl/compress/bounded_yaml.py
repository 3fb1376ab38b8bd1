# SPDX-License-Identifier: Apache-2.0
"""Reads a small YAML document from an untrusted source, remembering the line of every value.

Bounds come before any construction: size, nesting, number of nodes; aliases and tags beyond plain data are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml
from edgectl_protos.errors import UsageError

from edgectl.compress.reasons import first_line

MAXIMUM_BYTES = 64 * 1024
MAXIMUM_DEPTH = 16
MAXIMUM_NODES = 4096
_SCIENTIFIC = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """Parsed data (dict, list, str, int, float, bool, None) and the line, from 1, where each path begins."""

    value: object
    lines: dict[Path, int]
    source: str

    def place(self, path: Path) -> str:
        """`SOURCE line N` of the nearest known enclosing value."""
        while path and path not in self.lines:
            path = path[:-1]
        line = self.lines.get(path)
        return self.source if line is None else f"{self.source} line {line}"


def parse_bounded_yaml(text: str, *, source: str) -> Document:
    """Parse one YAML document.

    Raises:
        UsageError: the text is too large, too deep, not YAML, has aliases, duplicate keys or foreign tags.
    """
    if len(text.encode("utf-8", errors="surrogatepass")) > MAXIMUM_BYTES:
        raise UsageError(f"{source} is larger than {MAXIMUM_BYTES} bytes", action="give a recipe, not a data file")
    try:
        _check_events(text, source)
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            lines: dict[Path, int] = {}
            value = None if node is None else _construct(loader, node, (), lines, source)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{source}{line} is not readable YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{source} is not readable YAML: {first_line(error)}") from error
    return Document(value=value, lines=lines, source=source)


def _check_events(text: str, source: str) -> None:
    depth = nodes = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark else "?"
            raise UsageError(f"{source} line {line} has an alias", action="write the value out")
        if isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent):
            nodes += 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAXIMUM_DEPTH or nodes > MAXIMUM_NODES:
            raise UsageError(f"{source} is nested or listed too far", expected=f"at most {MAXIMUM_NODES} values")


def _construct(loader: yaml.SafeLoader, node: yaml.Node, path: Path, lines: dict[Path, int], source: str) -> object:
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            key_line = key_node.start_mark.line + 1
            if key is None or key_node.tag != "tag:yaml.org,2002:str":
                raise UsageError(f"{source} line {key_line}: a key is not a plain name")
            if key in mapping:
                raise UsageError(f"{source} line {key_line}: {key!r} is given twice", action="keep one of them")
            lines[(*path, key)] = key_line
            mapping[key] = _construct(loader, value_node, (*path, key), lines, source)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(loader, item, (*path, index), lines, source) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:str":
        # YAML 1.1 reads 1e-3 as text; everyone who writes it unquoted means the number.
        number = node.style is None and _SCIENTIFIC.fullmatch(node.value)
        return float(node.value) if number else node.value
    value = loader.construct_object(node)
    if value is not None and not isinstance(value, bool | int | float | str):
        raise UsageError(f"{source} line {line}: {node.value!r} is read as a {type(value).__name__}", action="quote it")
    return value
