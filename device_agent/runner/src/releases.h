// SPDX-License-Identifier: Apache-2.0
// Executes at a fixed rate: a release each period, which is due a deadline later.
#pragma once

#include <cstdint>
#include <vector>

#include "memory_figures.h"
#include "subject.h"

namespace edge {

inline constexpr uint64_t kMostReleases = uint64_t{1} << 20;

struct Schedule {
  double rate_hz;
  double seconds;
  double deadline_ms;

  uint64_t releases() const;
  uint64_t windows() const;  // seconds, the last perhaps in part
};

// Of the executed releases, in order; nanoseconds. Reserved beforehand.
struct ReleaseTimes {
  std::vector<int64_t> lateness;   // from the release to the start of its work
  std::vector<int64_t> execute;    // `execute` alone
  std::vector<int64_t> response;   // from the release to the end of its work
  std::vector<int64_t> intervals;  // between consecutive starts
  uint64_t releases = 0, skipped = 0, missed = 0;
  int64_t longest_gap = 0;  // without a completion, since the first release
  MemoryFigures memory;     // after the last
};

// What happened to the releases of one second.
struct Window {
  uint64_t index = 0, releases = 0, skipped = 0, missed = 0;
  size_t first = 0;  // of its executed ones, in the times
};

ReleaseTimes reserve_release_times(const Schedule& schedule);

// With `stream` prints each window before the next release after it. Throws Failure(kExecutionFailed).
void run_releases(Subject& subject, const Schedule& schedule, bool stream, ReleaseTimes& times);

}  // namespace edge
