// SPDX-License-Identifier: Apache-2.0
// Blocks of timed runs. Samples go to memory reserved beforehand.
#pragma once

#include <cstdint>
#include <vector>

#include "memory_figures.h"
#include "subject.h"
#include "warmup.h"

namespace edge {

// 8 MiB of address space: what an address-space limit on the process has to allow for.
inline constexpr uint64_t kMostSamples = uint64_t{1} << 20;

struct BlockProtocol {
  uint64_t warmup_runs;  // untimed, at the start of each block
  uint64_t runs;         // at least
  double seconds;        // at least
};

struct Samples {
  std::vector<int64_t> nanoseconds;  // all blocks, in order
  std::vector<size_t> blocks;        // runs in each
  Warmup warmup;
  MemoryFigures memory;  // after the last block, before its printing

  uint64_t left() const { return kMostSamples - nanoseconds.size(); }
};

// Reserves the memory for the samples, untouched: pages that no sample reaches never become resident.
Samples reserve_samples();

// Adds a block of at most `most` runs. Throws Failure(kExecutionFailed).
void add_block(Subject& subject, const BlockProtocol& protocol, uint64_t most, Samples& samples);

}  // namespace edge
