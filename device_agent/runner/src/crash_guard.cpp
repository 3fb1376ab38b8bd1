// SPDX-License-Identifier: Apache-2.0
#include "crash_guard.h"

#include <unistd.h>

#include <string>

#include "memory_limit.h"
#include "runtime_log.h"

namespace edge {
namespace {

constexpr size_t kStackBytes = 64 * 1024;

// Made before the crash: a handler may only write.
std::string error_line, json_line;
ExitCode exit_code = ExitCode::kBadProgram;
char handler_stack[kStackBytes];

void end_process(int signal) {
  if (ran_out_of_memory()) end_out_of_memory();
  if (error_line.empty()) {
    raise(signal);  // its default action is restored, and takes hold when this returns
    return;
  }
  const bool said = write(STDOUT_FILENO, json_line.data(), json_line.size()) >= 0 &&
                    write(STDERR_FILENO, error_line.data(), error_line.size()) >= 0;
  _exit(static_cast<int>(said ? exit_code : ExitCode::kIo));
}

}  // namespace

CrashGuard::CrashGuard() {
  error_line.clear();
  json_line.clear();
  take_signals();
}

CrashGuard::CrashGuard(const Failure& failure) {
  exit_code = failure.code();
  error_line = failure_line(failure.code(), failure.what());
  json_line = reports_json() ? failure_json(failure.code(), failure.what()) : "";
  take_signals();
}

void CrashGuard::take_signals() {
  stack_t stack{};
  stack.ss_sp = handler_stack;
  stack.ss_size = sizeof handler_stack;
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_handler = end_process;
  action.sa_flags = SA_ONSTACK | SA_RESETHAND;
  for (size_t at = 0; at < kSignals.size(); ++at) sigaction(kSignals[at], &action, &previous_[at]);
}

CrashGuard::~CrashGuard() {
  for (size_t at = 0; at < kSignals.size(); ++at) sigaction(kSignals[at], &previous_[at], nullptr);
}

}  // namespace edge
