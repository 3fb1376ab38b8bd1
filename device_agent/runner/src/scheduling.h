// SPDX-License-Identifier: Apache-2.0
// Where this process may run and how urgently. Both are a thread's own and inherited: set before the thread
// pool exists.
#pragma once

#include <cstddef>
#include <vector>

#include "arguments.h"

namespace edge {

// By --cpus LIST and --nice N. Throws Failure(kUsage) for a core that is not there, Failure(kIo) for a
// priority that is not permitted.
void schedule_process(const Arguments& arguments);

std::vector<size_t> allowed_cores();

}  // namespace edge
