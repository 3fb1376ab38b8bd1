// SPDX-License-Identifier: Apache-2.0
// What `bench` prints, always outside the timed region.
#pragma once

#include "modes.h"

namespace edge {

struct Samples {
  std::vector<int64_t> nanoseconds;  // all blocks, in order
  std::vector<size_t> blocks;        // runs in each
  size_t warmup_runs = 0;
  MemoryFigures memory;  // after the last block, before its printing
};

struct Loading {
  uint64_t program_bytes;
  double milliseconds;
  MemoryFigures memory;  // after it
};

struct BenchReport {
  const MethodDescription& method;
  const Loading& loading;
  const Samples& samples;
  const Start& start;
};

void print_block(size_t block, const Samples& samples);
void print_json(const BenchReport& report, bool with_samples);
void print_text(const BenchReport& report);

}  // namespace edge
