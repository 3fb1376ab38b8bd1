// SPDX-License-Identifier: Apache-2.0
// A loaded program and what goes into it: what bench, periodic, profile and repeat execute.
#pragma once

#include <chrono>

#include "arguments.h"
#include "crash_guard.h"
#include "json.h"
#include "memory_figures.h"
#include "program.h"

namespace edge {

struct Loading {
  uint64_t program_bytes = 0;
  double milliseconds = 0.0;
  MemoryFigures memory;  // after it
};

class Subject {
 public:
  // By the program's path, --method and --input; without the last, inputs are made up. Throws Failure.
  explicit Subject(const Arguments& arguments, executorch::runtime::EventTracer* tracer = nullptr);

  const MethodDescription& description() const { return method_.description(); }
  const Loading& loading() const { return loading_; }

  // Before each run: a memory plan may reuse an input's place for what comes after it, so that a second
  // execute would work on leftovers.
  void prepare() { method_.set_inputs(views_); }
  bool execute() { return method_.execute(); }
  Failure execution_failure() const { return method_.execution_failure(); }

  // Both, untimed. Throws Failure(kExecutionFailed).
  void run();

 private:
  std::chrono::steady_clock::time_point loading_began_{std::chrono::steady_clock::now()};
  ProgramFile file_;
  LoadedMethod method_;
  Loading loading_;
  std::vector<Tensor> inputs_;
  std::vector<TensorView> views_;
  CrashGuard guard_;
};

// "memory" as bench and periodic print it; `later` is when its peak was taken.
void write_memory(Json& out, const Subject& subject, const MemoryFigures& later);

}  // namespace edge
