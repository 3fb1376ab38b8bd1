// SPDX-License-Identifier: Apache-2.0
#include "preparation.h"

#include <algorithm>

#include "lifetime.h"
#include "scheduling.h"
#include "threads.h"

namespace edge {

std::vector<OptionSpec> with_process_options(std::vector<OptionSpec> own) {
  own.insert(own.end(), {{"--method", Takes::kOne},
                         {"--threads", Takes::kOne},
                         {"--cpus", Takes::kOne},
                         {"--nice", Takes::kOne},
                         {"--memory-limit", Takes::kOne},
                         {"--die-with-parent", Takes::kNothing},
                         {"--parent-pid", Takes::kOne}});
  return own;
}

void prepare_process(const Arguments& arguments) {
  const uint64_t threads = arguments.integer("--threads", 1, kMostThreads, 0);
  tie_to_parent(arguments);
  schedule_process(arguments);
  set_thread_count(threads);
  // ExecuTorch counts the machine's cores. More threads than the cores they are bound to would wait for each
  // other by spinning.
  const size_t cores = allowed_cores().size();
  if (threads == 0 && arguments.has("--cpus") && cores < thread_count()) set_thread_count(cores);
}

}  // namespace edge
