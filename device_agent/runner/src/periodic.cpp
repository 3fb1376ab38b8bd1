// SPDX-License-Identifier: Apache-2.0
// What a vehicle or a monitor sees of a program: responses to releases at a fixed rate, and missed deadlines.
#include "memory_limit.h"
#include "modes.h"
#include "periodic_report.h"
#include "preparation.h"

namespace edge {
namespace {

Schedule read_schedule(const Arguments& arguments) {
  for (const char* option : {"--rate", "--seconds", "--deadline-ms"}) {
    if (arguments.has(option)) continue;
    throw Failure(ExitCode::kUsage, std::string("no ") + option,
                  "expected --rate, --seconds and --deadline-ms", "give all three");
  }
  const Schedule schedule{arguments.number("--rate", 0.01, 10'000.0, 1.0),
                          arguments.number("--seconds", 0.1, 3'600.0, 1.0),
                          arguments.number("--deadline-ms", 1e-6, 3.6e6, 1.0)};
  if (schedule.releases() > kMostReleases) {
    throw Failure(ExitCode::kUsage, std::to_string(schedule.releases()) + " releases",
                  "expected at most " + std::to_string(kMostReleases),
                  "ask for a lower rate or fewer seconds");
  }
  return schedule;
}

}  // namespace

int periodic_mode(const Words& words, const Start&) {
  const Arguments arguments(words, with_process_options(with_warmup_options({{"--json", Takes::kNothing},
                                                                             {"--stream", Takes::kNothing},
                                                                             {"--rate", Takes::kOne},
                                                                             {"--seconds", Takes::kOne},
                                                                             {"--deadline-ms", Takes::kOne},
                                                                             {"--input", Takes::kMany}})));
  const Schedule schedule = read_schedule(arguments);
  const WarmupProtocol warmup_protocol = read_warmup_protocol(arguments);
  prepare_process(arguments);
  ReleaseTimes times = reserve_release_times(schedule);
  set_memory_limit(arguments);
  Subject subject(arguments);
  const Warmup warmup = warm_up(subject, warmup_protocol);
  const bool stream = arguments.has("--stream");
  run_releases(subject, schedule, stream, times);
  lift_memory_limit();
  const PeriodicReport report{subject, schedule, warmup, times};
  if (stream || arguments.has("--json")) {
    print_json(report);
  } else {
    print_text(report);
  }
  return 0;
}

}  // namespace edge
