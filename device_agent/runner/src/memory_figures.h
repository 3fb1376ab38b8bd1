// SPDX-License-Identifier: Apache-2.0
// What the kernel says this process holds, from /proc/self/status. Absent where it does not say.
#pragma once

#include <cstdint>
#include <optional>

namespace edge {

struct MemoryFigures {
  std::optional<uint64_t> rss_bytes;
  std::optional<uint64_t> anon_bytes;      // the part that cannot be reclaimed
  std::optional<uint64_t> peak_rss_bytes;  // high-water mark since exec
  std::optional<uint64_t> data_bytes;      // private and writable, resident or not
};

MemoryFigures read_memory_figures();

}  // namespace edge
