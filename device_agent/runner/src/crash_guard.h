// SPDX-License-Identifier: Apache-2.0
// Verification does not see everything: fuzzing found damaged files that crash the runtime while loading (a
// delegate without a name, a depthwise convolution of zero groups) and while executing (a delegate whose
// shapes disagree with the program's). While a guard lives, a crash ends the process with one line and an
// exit code. Not around `serve`: there a crash shall reach the supervisor as the signal it is.
#pragma once

#include <signal.h>

#include <array>

#include "failure.h"

namespace edge {

class CrashGuard {
 public:
  explicit CrashGuard(const Failure& failure);
  ~CrashGuard();
  CrashGuard(const CrashGuard&) = delete;
  CrashGuard& operator=(const CrashGuard&) = delete;

  static constexpr std::array<int, 4> kSignals{SIGSEGV, SIGBUS, SIGFPE, SIGILL};

 private:
  std::array<struct sigaction, kSignals.size()> previous_;
};

}  // namespace edge
