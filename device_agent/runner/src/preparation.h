// SPDX-License-Identifier: Apache-2.0
// What every mode that executes does before it opens a program, and the options that ask for it.
#pragma once

#include <vector>

#include "arguments.h"

namespace edge {

std::vector<OptionSpec> with_process_options(std::vector<OptionSpec> own);

// Ties the process to its parent, takes its cores and its priority, and makes the thread pool. Throws
// Failure.
void prepare_process(const Arguments& arguments);

}  // namespace edge
