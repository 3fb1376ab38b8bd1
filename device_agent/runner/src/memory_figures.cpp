// SPDX-License-Identifier: Apache-2.0
#include "memory_figures.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstring>

namespace edge {
namespace {

std::optional<uint64_t> field_bytes(const char* text, const char* name) {
  const char* line = std::strstr(text, name);
  if (line == nullptr) return std::nullopt;
  const char* digits = line + std::strlen(name);
  digits += std::strspn(digits, " \t");
  uint64_t kilobytes = 0;
  // strtoull, compiled where glibc is 2.38 or later, would not run where it is older: a board has 2.36.
  std::from_chars(digits, digits + std::strlen(digits), kilobytes);
  return kilobytes * 1024;
}

}  // namespace

MemoryFigures read_memory_figures() {
  // A plain read: stdio would allocate a buffer, and this is the measuring instrument.
  char text[4096];
  const int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  const ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  if (size <= 0) return {};
  text[size] = '\0';
  return {field_bytes(text, "\nVmRSS:"), field_bytes(text, "\nRssAnon:"), field_bytes(text, "\nVmHWM:"),
          field_bytes(text, "\nVmData:")};
}

}  // namespace edge
