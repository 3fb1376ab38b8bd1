// SPDX-License-Identifier: Apache-2.0
#include "warmup.h"

#include <algorithm>
#include <cmath>

#include "quantiles.h"

namespace edge {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr double kLongestSeconds = 3600.0;
constexpr uint64_t kMostRuns = uint64_t{1} << 20;
constexpr double kDefaultSeconds = 0.5, kDefaultChange = 0.02, kDefaultLimitSeconds = 10.0;
constexpr double kWindowsPerWarmup = 4.0;
constexpr size_t kLeastWindowRuns = 5;
// A longer window goes on, but its median is that of its first runs: what is kept counts as the model's
// memory.
constexpr size_t kMostWindowRuns = 4096;

// Follows the medians of consecutive windows of runs.
class Windows {
 public:
  Windows(double seconds, double change) : seconds_(seconds), change_(change) {
    window_.reserve(kMostWindowRuns);
  }

  // `elapsed` is the warm-up's age in seconds at the end of the run.
  void add(double run, double elapsed) {
    if (window_.size() < kMostWindowRuns) window_.push_back(run);
    if (window_.size() < kLeastWindowRuns || elapsed - began_ < seconds_) return;
    const double median = median_in_place(window_);
    stable_ = std::abs(median - median_) < change_ * median_;
    median_ = median;
    began_ = elapsed;
    window_.clear();
  }

  bool stable() const { return stable_; }

 private:
  double seconds_, change_;
  std::vector<double> window_;
  double began_ = 0.0, median_ = 0.0;
  bool stable_ = false;
};

}  // namespace

std::vector<OptionSpec> with_warmup_options(std::vector<OptionSpec> own) {
  own.insert(own.end(), {{"--warmup-seconds", Takes::kOne},
                         {"--warmup-runs", Takes::kOne},
                         {"--warmup-change", Takes::kOne},
                         {"--warmup-limit-seconds", Takes::kOne}});
  return own;
}

WarmupProtocol read_warmup_protocol(const Arguments& arguments) {
  WarmupProtocol protocol{};
  protocol.seconds = arguments.number("--warmup-seconds", 0.0, kLongestSeconds, kDefaultSeconds);
  protocol.runs = arguments.integer("--warmup-runs", 0, kMostRuns, 10);
  // A warm-up that is given no time is exactly its runs, unless stability is asked for by name.
  protocol.change =
      arguments.number("--warmup-change", 0.0, 1.0, protocol.seconds > 0.0 ? kDefaultChange : 0.0);
  protocol.limit_seconds = arguments.number("--warmup-limit-seconds", 0.0, kLongestSeconds,
                                            std::max(kDefaultLimitSeconds, protocol.seconds));
  return protocol;
}

Warmup warm_up(Subject& subject, const WarmupProtocol& protocol) {
  Warmup warmup;
  if (protocol.runs == 0 && protocol.seconds == 0.0) return warmup;
  Windows windows(protocol.seconds / kWindowsPerWarmup, protocol.change);
  const auto warm = [&] {
    return warmup.runs >= protocol.runs && warmup.seconds >= protocol.seconds &&
           (protocol.change == 0.0 || windows.stable());
  };
  const Clock::time_point begin = Clock::now();
  while (!warm() && warmup.seconds < protocol.limit_seconds) {
    subject.prepare();
    const Clock::time_point before = Clock::now();
    if (!subject.execute()) throw subject.execution_failure();
    const Clock::time_point after = Clock::now();
    warmup.seconds = Seconds(after - begin).count();
    ++warmup.runs;
    windows.add(Seconds(after - before).count(), warmup.seconds);
  }
  warmup.stable = windows.stable();
  return warmup;
}

void write_warmup(Json& out, const Warmup& warmup) {
  out.key("warmup_runs").value(warmup.runs).key("warmup_seconds").value(warmup.seconds);
  out.key("warmup_stable").value(warmup.stable);
}

}  // namespace edge
