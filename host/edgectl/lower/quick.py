# SPDX-License-Identifier: Apache-2.0
"""Lowering without what torch and executorch do over and over: the same program in less than half the time.

Inside `quick_lowering`, functions of the pinned versions are replaced. What each replacement leaves out changes nothing
in the program: tests compare the bytes, docs/lowering.md has the shares. Not for two threads at once.

- XNNPACK's passes interpret the whole graph again after each of 17 edits, to learn shapes: here only the operators that
  an edit made or whose inputs' shapes it changed are computed.
- Each node's history (`from_node`) is copied deeply, with all of its own history, for every new node.
- Code is generated for every intermediate graph, and most of it is never run.
- Every intermediate program is verified; the last one is checked by running it.
- The program is traced three times to decompose operators, also where there is nothing left to decompose.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

# What a pass may override to change operators while the graph is interpreted: then it has to be.
_HOOKS = (
    "call",
    "call_operator",
    "call_sym",
    "call_cond",
    "call_while",
    "call_map",
    "call_scan",
    "call_getitem",
    "call_delegate",
    "call_submodule",
    "inputs",
    "on_attr",
    "output",
    "placeholder",
    "ExportInterpreter",
    "ExportTracer",
)
_MANY_OBJECTS = 200_000


@contextmanager
def quick_lowering() -> Iterator[None]:
    """Replace what is repeated; everything is as it was afterwards, whatever happens."""
    _export_patterns()
    with ExitStack() as stack:
        stack.enter_context(_collecting_rarely())
        stack.enter_context(_shared_history())
        stack.enter_context(_no_verification())
        stack.enter_context(_shapes_where_needed())
        stack.enter_context(_code_when_run())
        stack.enter_context(_decompositions_that_find_something())
        yield


def _export_patterns() -> None:
    """XNNPACK's passes export the patterns they look for once in a process: strictly, which needs torch as it is."""
    from executorch.backends.xnnpack.partition.graphs import bilinear_2d, sdpa

    bilinear_2d.get_graphs_dict()
    sdpa.get_graphs()


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    own = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


@contextmanager
def _collecting_rarely() -> Iterator[None]:
    """Millions of live nodes are searched for garbage again and again; what is dropped here is freed afterwards."""
    thresholds = gc.get_threshold()
    gc.set_threshold(_MANY_OBJECTS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


@contextmanager
def _shared_history() -> Iterator[None]:
    """A new node's history refers to the old node's instead of copying it: nobody edits it."""
    from torch.fx import traceback

    original = traceback.NodeSource.__init__

    def shallow(self: Any, node: Any, pass_name: str = "", action: Any = None) -> None:
        original(self, None, pass_name, action)
        if node:
            self.node_info = self.NodeInfo(name=node.name, target=str(node.target), graph_id=id(node.graph))
            self.from_node = list(node.meta.get("from_node", ()))

    with _replaced(traceback.NodeSource, "__init__", shallow):
        yield


@contextmanager
def _no_verification() -> Iterator[None]:
    from executorch.exir.pass_manager import ExportedProgramPassManager
    from torch.export import ExportedProgram
    from torch.fx import GraphModule

    def nothing(*_arguments: Any, **_keywords: Any) -> None:
        return None

    def no_text(*_arguments: Any, **_keywords: Any) -> str:
        return ""

    with (
        _replaced(ExportedProgramPassManager, "check", nothing),
        _replaced(ExportedProgram, "validate", nothing),
        _replaced(ExportedProgram, "_validate", nothing),
        _replaced(GraphModule, "print_readable", no_text),  # made for a log line that is off
    ):
        yield


@contextmanager
def _code_when_run() -> Iterator[None]:
    from torch.fx._lazy_graph_module import _use_lazy_graph_module

    with _use_lazy_graph_module(True):  # noqa: FBT003 - torch's own
        yield


@contextmanager
def _decompositions_that_find_something() -> Iterator[None]:
    """A trace is left out where no operator of the program would be decomposed, nor one that writes made functional."""
    from torch.export import ExportedProgram

    original: Callable[..., Any] = ExportedProgram.run_decompositions

    def run_decompositions(self: Any, decomp_table: Any = None, **keywords: Any) -> Any:
        if decomp_table is None or not _is_plain(self):
            return original(self, decomp_table, **keywords)
        targets = {node.target for node in self.graph.nodes if node.op == "call_function"}
        if any(target in decomp_table for target in targets) or any(map(_writes, targets)):
            return original(self, decomp_table, **keywords)
        return self

    with _replaced(ExportedProgram, "run_decompositions", run_decompositions):
        yield


def _is_plain(program: Any) -> bool:
    """Whether a program has no inner graphs, and changes none of its buffers and inputs."""
    signature = program.graph_signature
    inner = any(node.op == "get_attr" for node in program.graph.nodes)
    return not (inner or signature.buffers_to_mutate or signature.user_inputs_to_mutate)


def _writes(target: Any) -> bool:
    """Whether an operator changes an argument, or gives a view that another could change."""
    schema = getattr(target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


@contextmanager
def _shapes_where_needed() -> Iterator[None]:
    from executorch.exir.pass_base import ExportPass, _ExportPassBase
    from torch.fx.passes.infra.pass_base import PassResult

    original: Callable[..., Any] = _ExportPassBase.call
    plain: dict[type, bool] = {}

    def call(self: Any, graph_module: Any) -> Any:
        kind = type(self)
        if kind not in plain:
            hooks = [name for name in _HOOKS if name != "call"]
            plain[kind] = all(getattr(kind, name) is getattr(ExportPass, name) for name in hooks)
        if not plain[kind] or not _shapes_refreshed(graph_module):
            return original(self, graph_module)
        return PassResult(graph_module, modified=True)

    with _replaced(_ExportPassBase, "call", call):
        yield


def _shapes_refreshed(graph_module: Any) -> bool:
    """Compute `val` of operators that have none, or whose inputs changed; False where it cannot be done so simply."""
    import torch
    from torch._dispatch.python import enable_python_dispatcher
    from torch._subclasses import FakeTensor
    from torch.fx import Node
    from torch.fx.node import map_arg

    nodes = list(graph_module.graph.nodes)
    if any(node.op not in ("placeholder", "call_function", "output") for node in nodes):
        return False  # control flow, attributes
    values = (node.meta.get("val") for node in nodes if node.op == "placeholder")
    modes = {value.fake_mode for value in values if isinstance(value, FakeTensor)}
    if len(modes) != 1:
        return False
    mode = modes.pop()
    mode.allow_non_fake_inputs = True
    changed: set[Node] = set()

    def faked(value: Any) -> Any:
        return value if isinstance(value, FakeTensor) else mode.from_tensor(value, static_shapes=True)

    with mode, enable_python_dispatcher():
        for node in nodes:
            value = node.meta.get("val")
            if node.op == "placeholder" and isinstance(value, torch.Tensor) and not isinstance(value, FakeTensor):
                node.meta["val"] = faked(value)
                changed.add(node)
            if node.op != "call_function":
                continue
            known = value is not None and _all_fake(value, FakeTensor)
            if known and not any(source in changed for source in node.all_input_nodes):
                continue
            if any(source.meta.get("val") is None for source in node.all_input_nodes):
                return False
            arguments, keywords = map_arg((node.args, node.kwargs), lambda source: source.meta["val"])
            fresh = node.target(*arguments, **keywords)
            if not known or _form(fresh) != _form(value):
                changed.add(node)
            node.meta["val"] = fresh
    return True


def _all_fake(value: Any, fake: type) -> bool:
    import torch

    values = value if isinstance(value, tuple | list) else (value,)
    return all(isinstance(one, fake) or not isinstance(one, torch.Tensor) for one in values)


def _form(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(_form(one) for one in value)
    if hasattr(value, "stride"):
        return (value.dtype, tuple(value.shape), value.stride())
    return value
