// SPDX-License-Identifier: Apache-2.0
// What `bench` prints, always outside the timed region.
#pragma once

#include "blocks.h"
#include "modes.h"

namespace edge {

struct BenchReport {
  const Subject& subject;
  const Samples& samples;
  const Start& start;
};

void print_ready(const Subject& subject, const Samples& samples);
void print_block(const Samples& samples);  // the last one
void print_json(const BenchReport& report, bool with_samples);
void print_text(const BenchReport& report);

}  // namespace edge
