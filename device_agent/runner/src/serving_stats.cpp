// SPDX-License-Identifier: Apache-2.0
#include "serving_stats.h"

#include "json.h"
#include "memory_figures.h"

namespace edge {
namespace {

constexpr size_t kMostLatencies = 1024;

}  // namespace

void ServingStats::record_inference(uint64_t execute_nanoseconds) {
  ++inferences_;
  nanoseconds_.push_back(execute_nanoseconds);
  if (nanoseconds_.size() > kMostLatencies) {
    nanoseconds_.pop_front();
    ++dropped_;
  }
}

std::string ServingStats::report(size_t clients) {
  const MemoryFigures memory = read_memory_figures();
  Json out;
  out.begin_object()
      .key("inferences")
      .value(inferences_)
      .key("errors")
      .value(errors_)
      .key("rejected")
      .value(rejected_);
  out.key("clients")
      .value(clients)
      .key("rss_bytes")
      .value(memory.rss_bytes)
      .key("anon_bytes")
      .value(memory.anon_bytes);
  out.key("peak_rss_bytes").value(memory.peak_rss_bytes).key("latencies_us").begin_array();
  for (const uint64_t nanoseconds : nanoseconds_) out.value(static_cast<double>(nanoseconds) / 1e3);
  out.end_array().key("latencies_dropped").value(dropped_);
  nanoseconds_.clear();
  dropped_ = 0;
  return out.end_object().text();
}

}  // namespace edge
