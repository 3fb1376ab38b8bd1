# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from edgectl_agent.resident import give_back_pages, text_mappings

_MAPS = """\
55d0a0000000-55d0a0001000 r--p 00000000 fe:00 131 /usr/bin/python3
55d0a0001000-55d0a0005000 r-xp 00001000 fe:00 131 /usr/bin/python3
55d0a0005000-55d0a0006000 rw-p 00005000 fe:00 131 /usr/bin/python3
7f0000000000-7f0000002000 r-xp 00000000 00:00 0
7f1000000000-7f1000003000 r-xs 00000000 fe:00 7 /dev/shm/shared
7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0 [vdso]
"""


def test_only_private_program_text_of_files_is_given_back() -> None:
    assert text_mappings(_MAPS) == [(0x55D0A0001000, 0x55D0A0005000)]


def test_a_system_without_maps_is_left_alone(tmp_path: Path) -> None:
    give_back_pages(tmp_path / "maps")


def test_the_process_works_on_after_its_text_was_dropped() -> None:
    code = """
import json, re, ssl
from edgectl_agent.resident import give_back_pages
def text():
    lines = open("/proc/self/smaps").read()
    return sum(int(size) for size in re.findall(r"r-xp [^\\n]*[.]so[^\\n]*\\n(?:.*\\n)*?Rss:\\s+(\\d+) kB", lines))
before = text()
give_back_pages()
after = text()
assert ssl.create_default_context() and re.compile("a+").match("aaa")
print(json.dumps([before, after]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    before, after = map(int, done.stdout.strip("[]\n").split(","))
    assert after < before


def test_urllib_request_is_absent_only_within_the_block() -> None:
    code = """
from edgectl_agent.resident import without_urllib_request
with without_urllib_request():
    import urllib.request
    assert not hasattr(urllib.request, "urlopen")
import urllib.request
real = urllib.request
assert hasattr(real, "urlopen")
with without_urllib_request():
    import urllib.request
    assert urllib.request is real
"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


def test_a_forgotten_module_is_gone_with_what_is_below_it_and_can_be_imported_again() -> None:
    code = """
import sys, json, tomllib
before = frozenset({"json"})
import edgectl_agent.command_line
from edgectl_agent.resident import forget_modules
old = sys.modules["argparse"]
forget_modules(("argparse", "tomllib", "json", "edgectl_agent.command_line", "absent"), kept=before)
assert not {"argparse", "tomllib", "tomllib._parser", "edgectl_agent.command_line"} & set(sys.modules)
assert not hasattr(sys.modules["edgectl_agent"], "command_line")
assert sys.modules["json"] is json
import argparse
assert argparse is not old and argparse.ArgumentParser().parse_args([])
"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


def test_messages_work_without_protobufs_implementation_in_python() -> None:
    code = """
import sys
from edgectl_agent.resident import without_pure_python_protobuf
with without_pure_python_protobuf():
    import google.protobuf.internal.builder
assert not any(name.startswith(("google.protobuf.text_format", "pickle")) for name in sys.modules)
from edgectl_protos.v1 import agent_pb2
sent = agent_pb2.HelloReply(device="pi4", cpu_features=["asimd"], models=[agent_pb2.InstalledModel(name="m")])
sent.models[0].active = True
assert agent_pb2.HelloReply.FromString(sent.SerializeToString()) == sent
assert "pi4" in str(sent) and sent.WhichOneof is not None
from google.protobuf.internal import python_message
assert python_message.GeneratedProtocolMessageType
"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


def test_what_asyncio_and_dataclasses_ask_of_inspect_needs_no_syntax_trees() -> None:
    code = """
import sys
from edgectl_agent.resident import without_syntax_trees
with without_syntax_trees():
    import inspect
assert "ast" not in sys.modules
import asyncio, dataclasses
@dataclasses.dataclass
class Point:
    x: int = 1
assert Point.__doc__ == "Point(x: int = 1)"
async def nothing(): ...
assert inspect.iscoroutinefunction(nothing) and asyncio.run(nothing()) is None
import ast
assert ast.parse("1").body
"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
