// SPDX-License-Identifier: Apache-2.0
#include "lifetime.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

#include "failure.h"

namespace edge {

void tie_to_parent(const Arguments& arguments) {
  if (!arguments.has("--die-with-parent") && !arguments.has("--parent-pid")) return;
  const auto expected =
      static_cast<pid_t>(arguments.integer("--parent-pid", 1, 1U << 30, static_cast<uint64_t>(getppid())));
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // It may have died before the request took hold.
  if (getppid() != expected) {
    throw Failure(ExitCode::kIo, "the parent process is gone", "expected it to outlive the runner",
                  "start the runner again");
  }
}

}  // namespace edge
