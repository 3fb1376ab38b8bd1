// SPDX-License-Identifier: Apache-2.0
#include "blocks.h"

#include <chrono>

namespace edge {
namespace {

using Clock = std::chrono::steady_clock;

// Holds the timed region: between the two clock readings there is `execute` alone, not the copying of inputs.
size_t time_runs(Subject& subject, const BlockProtocol& protocol, uint64_t most,
                 std::vector<int64_t>& nanoseconds) {
  const Clock::time_point begin = Clock::now();
  size_t runs = 0;
  bool worked = true;
  Clock::time_point after = begin;
  while (worked && runs < most &&
         (runs < protocol.runs || std::chrono::duration<double>(after - begin).count() < protocol.seconds)) {
    subject.prepare();
    const Clock::time_point before = Clock::now();
    worked = subject.execute();
    after = Clock::now();
    nanoseconds.push_back(std::chrono::nanoseconds(after - before).count());
    ++runs;
  }
  if (!worked) throw subject.execution_failure();
  return runs;
}

}  // namespace

Samples reserve_samples() {
  Samples samples;
  samples.nanoseconds.reserve(kMostSamples);
  return samples;
}

void add_block(Subject& subject, const BlockProtocol& protocol, uint64_t most, Samples& samples) {
  for (uint64_t run = 0; run < protocol.warmup_runs; ++run) subject.run();
  samples.blocks.push_back(time_runs(subject, protocol, most, samples.nanoseconds));
  samples.memory = read_memory_figures();
}

}  // namespace edge
