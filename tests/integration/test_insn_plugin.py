# SPDX-License-Identifier: Apache-2.0
"""The instruction counter, on aarch64 programs whose length is known to the instruction."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

# Writes a byte, turns a loop of two instructions a thousand times, writes again, and ends.
_LOOP = """
    .global _start
_start:
    mov x0, #1
    adr x1, text
    mov x2, #1
    mov x8, #64             // write
    svc #0
    mov x3, #1000
again:
    subs x3, x3, #1
    b.ne again
    mov x0, #1
    svc #0
    mov x0, #0
    mov x8, #94             // exit_group
    svc #0
text:
    .ascii "x"
"""
_FIRST_WRITE = 5
_BETWEEN_WRITES = 1 + 2 * 1000 + 2

_THREADS = """
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>
static void *busy(void *unused) {
  for (volatile long turn = 0; turn < 10000000; ++turn) {}
  return unused;
}
int main(void) {
  pthread_t other;
  if (write(1, "a", 1) != 1 || pthread_create(&other, 0, busy, 0) != 0) return 1;
  pthread_join(other, 0);
  return write(1, "b", 1) != 1;
}
"""


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _compiled(tmp_path_factory.mktemp("loop"), "loop.s", _LOOP, "-nostdlib")


def _compiled(folder: Path, name: str, source: str, *options: str) -> Path:
    (folder / name).write_text(source)
    program = folder / Path(name).stem
    compiler = ["aarch64-linux-gnu-gcc", "-static", "-O1", *options]
    subprocess.run([*compiler, "-o", str(program), str(folder / name)], check=True)
    return program


def _counts(plugin: Path, program: Path, into: Path) -> list[int]:
    emulator = ["qemu-aarch64", "-plugin", f"{plugin},counts={into}", str(program)]
    subprocess.run(emulator, check=True, stdout=subprocess.DEVNULL, timeout=60)
    return [int(line) for line in into.read_text().splitlines()]


def test_counts_are_exact_and_alike_in_ten_runs(insn_plugin: Path, loop: Path, tmp_path: Path) -> None:
    for number in range(10):
        first, second = _counts(insn_plugin, loop, tmp_path / f"counts{number}")
        assert (first, second - first) == (_FIRST_WRITE, _BETWEEN_WRITES)


def test_another_threads_instructions_are_not_counted(insn_plugin: Path, tmp_path: Path) -> None:
    program = _compiled(tmp_path, "threads.c", _THREADS, "-pthread")
    first, second = _counts(insn_plugin, program, tmp_path / "counts")
    assert 0 < second - first < 1_000_000  # the other thread's loop alone is more than ten million


def test_only_writes_to_standard_output_are_marks(insn_plugin: Path, loop: Path, tmp_path: Path) -> None:
    to_stderr = _compiled(tmp_path, "errors.s", _LOOP.replace("mov x0, #1\n", "mov x0, #2\n"), "-nostdlib")
    assert _counts(insn_plugin, to_stderr, tmp_path / "none") == []
    assert len(_counts(insn_plugin, loop, tmp_path / "two")) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "expected counts=FILE"),
        (",other=1", "unknown argument other=1"),
        (",counts=/no/such/folder/counts", "no file for the counts"),
    ],
)
def test_wrong_arguments_end_the_emulator_with_the_reason(
    insn_plugin: Path, loop: Path, arguments: str, said: str
) -> None:
    emulator = ["qemu-aarch64", "-plugin", f"{insn_plugin}{arguments}", str(loop)]
    ended = subprocess.run(emulator, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode != 0
    assert said in ended.stderr
