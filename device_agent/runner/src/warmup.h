// SPDX-License-Identifier: Apache-2.0
// Untimed runs until the program is warm: by time, by runs, and until its times have settled.
#pragma once

#include "subject.h"

namespace edge {

struct WarmupProtocol {
  double seconds;
  uint64_t runs;
  double change;  // of the median from one window to the next; 0 does not wait for it to settle
  double limit_seconds;
};

struct Warmup {
  size_t runs = 0;
  double seconds = 0.0;
  bool stable = false;  // it was waited for and seen
};

std::vector<OptionSpec> with_warmup_options(std::vector<OptionSpec> own);
WarmupProtocol read_warmup_protocol(const Arguments& arguments);

// Throws Failure(kExecutionFailed).
Warmup warm_up(Subject& subject, const WarmupProtocol& protocol);

void write_warmup(Json& out, const Warmup& warmup);

}  // namespace edge
