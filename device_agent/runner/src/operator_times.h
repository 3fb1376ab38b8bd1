// SPDX-License-Identifier: Apache-2.0
// From the events of several runs to the time of each call and of each operator inside it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "event_recorder.h"

namespace edge {

// Times in nanoseconds, one for each run.
struct OperatorTimes {
  std::string name;
  std::vector<int64_t> times;
};

// An instruction of the program that hands work to a delegate or to a kernel. One in a loop takes what all
// its turns took.
struct CallTimes {
  uint32_t instruction = 0;
  bool delegate = false;
  std::string name;
  std::vector<int64_t> times;
  std::vector<OperatorTimes> operators;  // of a delegate, in order
};

class OperatorRecord {
 public:
  // `delegates` in the order of the program's calls to them.
  explicit OperatorRecord(std::vector<std::string> delegates) : delegates_(std::move(delegates)) {}

  void add_run(const std::vector<Event>& events);

  std::vector<CallTimes> calls() const;  // in the program's order

 private:
  CallTimes& call_of(const Event& event, bool delegate);

  std::vector<std::string> delegates_;
  size_t delegates_seen_ = 0, runs_ = 0;
  std::map<std::pair<int, uint32_t>, CallTimes> calls_;  // by chain and instruction
};

}  // namespace edge
