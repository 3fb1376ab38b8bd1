// SPDX-License-Identifier: Apache-2.0
// Takes over ExecuTorch's log and its abort: lines are kept to explain a failure instead of reaching stderr,
// and a failed check inside the runtime ends the process with one line and an exit code instead of a signal.
#pragma once

#include <string>

#include "failure.h"

namespace edge {

void take_over_runtime(bool json);

// Whether failures are to be printed as JSON too.
bool reports_json();

// The exit code of an abort from now on: kBadProgram while loading, kExecutionFailed afterwards.
void set_abort_code(ExitCode code);

void clear_runtime_log();

// The first error line since the last clear that contains `part` ("" for any), or "".
std::string runtime_error_line(const std::string& part);

}  // namespace edge
