// SPDX-License-Identifier: Apache-2.0
#include "failure.h"

#include <cstdio>

#include "json.h"
#include "utf8.h"

namespace edge {

const char* exit_name(ExitCode code) {
  switch (code) {
    case ExitCode::kOk:
      return "ok";
    case ExitCode::kUsage:
      return "usage";
    case ExitCode::kBadProgram:
      return "bad_program";
    case ExitCode::kBadInput:
      return "bad_input";
    case ExitCode::kMissingKernel:
      return "missing_kernel";
    case ExitCode::kExecutionFailed:
      return "execution_failed";
    case ExitCode::kMismatch:
      return "mismatch";
    case ExitCode::kIo:
      return "io";
    case ExitCode::kOutOfMemory:
      return "out_of_memory";
  }
  return "unknown";
}

Failure::Failure(ExitCode code, const std::string& seen, const std::string& expected,
                 const std::string& action)
    : code_(code), message_(one_line(seen + "; " + expected + "; " + action)) {}

std::string one_line(const std::string& text) {
  std::string line;
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_sequence_length(text, at);
    const auto byte = static_cast<unsigned char>(text[at]);
    // C0, DEL, and C1 as UTF-8 spells it.
    const bool control = byte < 0x20 || byte == 0x7f ||
                         (byte == 0xc2 && length == 2 && static_cast<unsigned char>(text[at + 1]) < 0xa0);
    if (length == 0 || control) {
      line += '?';
    } else {
      line.append(text, at, length);
    }
    at += length == 0 ? 1 : length;
  }
  return line;
}

std::string failure_line(ExitCode code, const std::string& message) {
  return std::string("edge-runner: ") + exit_name(code) + ": " + message + "\n";
}

std::string failure_json(ExitCode code, const std::string& message) {
  Json out;
  out.begin_object().key("error").begin_object();
  out.key("code").value(exit_name(code)).key("message").value(message);
  return out.end_object().end_object().text() + "\n";
}

int report_failure(ExitCode code, const std::string& message, bool json) {
  if (json) {
    std::fputs(failure_json(code, message).c_str(), stdout);
    std::fflush(stdout);
  }
  std::fputs(failure_line(code, message).c_str(), stderr);
  return static_cast<int>(code);
}

}  // namespace edge
