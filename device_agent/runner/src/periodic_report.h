// SPDX-License-Identifier: Apache-2.0
// What `periodic` prints.
#pragma once

#include "releases.h"
#include "warmup.h"

namespace edge {

struct PeriodicReport {
  const Subject& subject;
  const Schedule& schedule;
  const Warmup& warmup;
  const ReleaseTimes& times;
};

// A line about `window`, which ends with the times there are. `scratch` is for its own use.
void print_window(const Window& window, const ReleaseTimes& times, std::vector<double>& scratch);

void print_json(const PeriodicReport& report);
void print_text(const PeriodicReport& report);

}  // namespace edge
