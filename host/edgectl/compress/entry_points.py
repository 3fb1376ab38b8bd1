# SPDX-License-Identifier: Apache-2.0
"""A user's own code, named `package.module:function`: found, imported, called, its faults told in one line."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edgectl_protos.errors import EdgectlError, UsageError
from edgectl_protos.spelling import describe_known

from edgectl.compress.reasons import first_line


def load_entry_point(spec: str) -> Callable[..., object]:
    """The function an entry point names; the current directory is on the search path while its module is imported.

    Raises:
        UsageError: the text is malformed, the module cannot be imported, or has no such function.
    """
    module_name, separator, function_name = spec.partition(":")
    if not separator or not module_name or not function_name.isidentifier():
        raise UsageError(f"entry point {spec!r}", expected="package.module:function")
    with _current_directory_first():
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"entry point {spec!r}: no module {error.name!r}",
                action="install it, or run where it can be imported",
            ) from error
        except (Exception, SystemExit) as error:
            reason = reason_of(error)
            raise UsageError(f"entry point {spec!r}: importing {module_name} failed: {reason}") from error
    function = getattr(module, function_name, None)
    if function is None:
        known = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise UsageError(f"{module_name} has no {function_name!r}", expected=describe_known(function_name, known))
    if not callable(function):
        raise UsageError(f"{spec} is a {type(function).__name__}", expected="a function")
    return function  # type: ignore[no-any-return]


def call_entry_point(
    function: Callable[..., object], spec: str, arguments: Mapping[str, object], *, failure: type[EdgectlError]
) -> object:
    """Call a user's function; whatever it raises comes out as one `failure` with the exception's first line."""
    try:
        with _current_directory_first():
            return function(**arguments)
    except EdgectlError:
        raise
    except (Exception, SystemExit) as error:
        raise failure(f"{spec} raised {reason_of(error)}", action="call it by itself to see where") from error


def reason_of(error: Exception | SystemExit) -> str:
    """The first line of what a user's code raised: `sys.exit` there must not end edgectl without a word.

    Raises:
        SystemExit: `error` itself where it is of a kind of its own: how a signal's handler ends the process.
    """
    if isinstance(error, SystemExit) and type(error) is not SystemExit:
        raise error
    return first_line(error)


@contextmanager
def _current_directory_first() -> Iterator[None]:
    directory = str(Path.cwd())
    sys.path.insert(0, directory)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(directory)
