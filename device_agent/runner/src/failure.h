// SPDX-License-Identifier: Apache-2.0
// How the runner fails: one code, one line. The codes are docs/runner-exit-codes.md.
#pragma once

#include <exception>
#include <string>

namespace edge {

enum class ExitCode : int {
  kOk = 0,
  kUsage = 2,
  kBadProgram = 10,
  kBadInput = 11,
  kMissingKernel = 12,
  kExecutionFailed = 13,
  kMismatch = 14,
  kIo = 15,
  kOutOfMemory = 16,  // left by end_out_of_memory
};

const char* exit_name(ExitCode code);

class Failure : public std::exception {
 public:
  Failure(ExitCode code, const std::string& seen, const std::string& expected, const std::string& action);

  ExitCode code() const { return code_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ExitCode code_;
  std::string message_;
};

// Replaces control characters and what is not UTF-8: a hostile name forges no second line and drives no
// terminal.
std::string one_line(const std::string& text);

// The line for stderr and the object for stdout, each with its newline.
std::string failure_line(ExitCode code, const std::string& message);
std::string failure_json(ExitCode code, const std::string& message);

// Prints the line and, with `json`, the object. Returns the exit status.
int report_failure(ExitCode code, const std::string& message, bool json);

}  // namespace edge
