// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

namespace edge {

// What STATS reports. Counts run from the start; latencies from the previous report.
class ServingStats {
 public:
  void record_inference(uint64_t execute_nanoseconds);
  void record_error() { ++errors_; }
  void record_rejected() { ++rejected_; }

  // The JSON of STATS_RESULT. Empties the latencies.
  std::string report(size_t clients);

 private:
  uint64_t inferences_ = 0, errors_ = 0, rejected_ = 0, dropped_ = 0;
  std::deque<uint64_t> nanoseconds_;
};

}  // namespace edge
