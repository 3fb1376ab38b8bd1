// SPDX-License-Identifier: Apache-2.0
// Executes a program a given number of times and reads no clock: for a meter outside the process, such as an
// emulator that counts instructions.
#include "memory_limit.h"
#include "modes.h"
#include "preparation.h"
#include "subject.h"
#include "threads.h"

namespace edge {
namespace {

constexpr uint64_t kMostRuns = uint64_t{1} << 20;

// Both marks are the same to the byte whatever the number of runs is, so that what lies between them differs
// by the runs alone.
constexpr const char* kBefore = R"({"ready": true})";
constexpr const char* kAfter = R"({"done": true})";

}  // namespace

int repeat_mode(const Words& words, const Start&) {
  const Arguments arguments(
      words,
      with_process_options({{"--json", Takes::kNothing}, {"--runs", Takes::kOne}, {"--input", Takes::kMany}}));
  const uint64_t runs = arguments.integer("--runs", 1, kMostRuns, 1);
  prepare_process(arguments);
  set_memory_limit(arguments);
  Subject subject(arguments);
  print_line(kBefore);
  for (uint64_t run = 0; run < runs; ++run) subject.run();
  print_line(kAfter);
  lift_memory_limit();
  Json out;
  out.begin_object().key("runs").value(runs).key("threads").value(thread_count());
  out.key("program_bytes").value(subject.loading().program_bytes);
  out.key("planned_bytes").value(subject.description().planned_bytes);
  print_line(out.key("runtime").value(kRuntimeVersion).end_object().text());
  return 0;
}

}  // namespace edge
