// SPDX-License-Identifier: Apache-2.0
#include "releases.h"

#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "periodic_report.h"

namespace edge {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr double kSecond = 1e9;
// So that the first release is waited for like the others.
constexpr std::chrono::milliseconds kLeadIn{1};

void wait_until(Clock::time_point time) {
  const int64_t since_epoch = nanoseconds(time.time_since_epoch()).count();
  const timespec deadline{static_cast<time_t>(since_epoch / 1'000'000'000), since_epoch % 1'000'000'000};
  while (Clock::now() < time) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, nullptr);
}

class Run {
 public:
  Run(Subject& subject, const Schedule& schedule, ReleaseTimes& times)
      : subject_(subject),
        schedule_(schedule),
        times_(times),
        begin_(Clock::now() + kLeadIn),
        last_end_(begin_),
        period_(kSecond / schedule.rate_hz) {}

  void all(bool stream) {
    const uint64_t count = schedule_.releases();
    for (uint64_t index = 0; index < count; ++index) {
      release(begin_ + nanoseconds(offset(index)));
      if (stream)
        print_until(index + 1 < count ? window_of(index + 1) : schedule_.windows(), index + 1 == count);
    }
    times_.memory = read_memory_figures();
  }

 private:
  int64_t offset(uint64_t index) const {
    return static_cast<int64_t>(static_cast<double>(index) * kSecond / schedule_.rate_hz);
  }
  uint64_t window_of(uint64_t index) const { return static_cast<uint64_t>(offset(index)) / 1'000'000'000; }

  void release(Clock::time_point due) {
    ++times_.releases;
    ++window_.releases;
    wait_until(due);
    const Clock::time_point start = Clock::now();
    if (static_cast<double>(nanoseconds(start - due).count()) >= period_) {
      ++times_.skipped;
      ++window_.skipped;
      miss();
      return;
    }
    subject_.prepare();
    const Clock::time_point before = Clock::now();
    const bool worked = subject_.execute();
    const Clock::time_point end = Clock::now();
    if (!worked) throw subject_.execution_failure();
    record(due, start, before, end);
  }

  void record(Clock::time_point due, Clock::time_point start, Clock::time_point before,
              Clock::time_point end) {
    if (!times_.lateness.empty()) times_.intervals.push_back(nanoseconds(start - last_start_).count());
    times_.lateness.push_back(nanoseconds(start - due).count());
    times_.execute.push_back(nanoseconds(end - before).count());
    times_.response.push_back(nanoseconds(end - due).count());
    times_.longest_gap = std::max<int64_t>(times_.longest_gap, nanoseconds(end - last_end_).count());
    last_start_ = start;
    last_end_ = end;
    if (static_cast<double>(times_.response.back()) > schedule_.deadline_ms * 1e6) miss();
  }

  void miss() {
    ++times_.missed;
    ++window_.missed;
  }

  // The windows before `next`, in which the next release lies. One without a release is printed as it begins.
  void print_until(uint64_t next, bool at_end) {
    while (window_.index < next) {
      if (window_.releases == 0 && !at_end) wait_until(begin_ + std::chrono::seconds(window_.index));
      print_window(window_, times_, scratch_);
      window_ = {window_.index + 1, 0, 0, 0, times_.response.size()};
    }
  }

  Subject& subject_;
  const Schedule& schedule_;
  ReleaseTimes& times_;
  Clock::time_point begin_, last_end_, last_start_;
  double period_;
  Window window_;
  std::vector<double> scratch_;
};

}  // namespace

uint64_t Schedule::releases() const {
  // Those at i / rate for i = 0, 1 ... that come before `seconds`; a product that is whole but for rounding
  // is.
  return std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(rate_hz * seconds * (1.0 - 1e-12))));
}

uint64_t Schedule::windows() const { return static_cast<uint64_t>(std::ceil(seconds)); }

ReleaseTimes reserve_release_times(const Schedule& schedule) {
  ReleaseTimes times;
  for (std::vector<int64_t>* kept : {&times.lateness, &times.execute, &times.response, &times.intervals}) {
    kept->reserve(schedule.releases());
  }
  return times;
}

void run_releases(Subject& subject, const Schedule& schedule, bool stream, ReleaseTimes& times) {
  // The kernel may otherwise wake a sleeper 50 us late to save power.
  prctl(PR_SET_TIMERSLACK, 1UL);
  Run(subject, schedule, times).all(stream);
}

}  // namespace edge
