// SPDX-License-Identifier: Apache-2.0
// Verification does not see everything: fuzzing found damaged files that crash the runtime while loading (a
// delegate without a name, a depthwise convolution of zero groups) and while executing (a delegate whose
// shapes disagree with the program's). While a guard lives, a crash ends the process with one line and an
// exit code; one of a process that ran out of memory under its limit with that one. In `serve` any other
// crash shall reach the supervisor as the signal it is.
#pragma once

#include <signal.h>

#include <array>

#include "failure.h"

namespace edge {

class CrashGuard {
 public:
  CrashGuard();  // for the memory limit alone
  explicit CrashGuard(const Failure& failure);
  ~CrashGuard();
  CrashGuard(const CrashGuard&) = delete;
  CrashGuard& operator=(const CrashGuard&) = delete;

  static constexpr std::array<int, 5> kSignals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

 private:
  void take_signals();

  std::array<struct sigaction, kSignals.size()> previous_;
};

}  // namespace edge
