// SPDX-License-Identifier: Apache-2.0
// Times `execute` in blocks, one after the other or on command, and prints between them.
#include <algorithm>

#include "bench_report.h"
#include "block_commands.h"
#include "blocks.h"
#include "memory_limit.h"
#include "modes.h"
#include "preparation.h"

namespace edge {
namespace {

// A block on command may go on until here however short a run is, so that later ones find room.
constexpr uint64_t kMostPacedRuns = kMostSamples / 64;

struct Protocol {
  WarmupProtocol warmup;
  BlockProtocol block;
  uint64_t blocks;
};

Failure excluded(const std::string& option, const std::string& other, const std::string& expected) {
  return Failure(ExitCode::kUsage, option + " and " + other, expected, "leave one of them out");
}

void check_exclusions(const Arguments& arguments) {
  for (const char* option : {"--blocks", "--runs"}) {
    if (!arguments.has("--paced") || !arguments.has(option)) continue;
    throw excluded("--paced", option, "expected --paced alone, whose blocks run on command");
  }
  for (const char* option : {"--blocks", "--block-runs", "--block-seconds"}) {
    if (!arguments.has("--runs") || !arguments.has(option)) continue;
    throw excluded("--runs", option, "expected --runs alone, which is one block of that many runs");
  }
}

Protocol read_protocol(const Arguments& arguments) {
  check_exclusions(arguments);
  Protocol protocol{read_warmup_protocol(arguments),
                    {arguments.integer("--block-warmup-runs", 0, kMostSamples, 3),
                     arguments.integer("--block-runs", 1, kMostSamples, 50),
                     arguments.number("--block-seconds", 0.0, 3600.0, 0.1)},
                    arguments.has("--paced") ? 1 : arguments.integer("--blocks", 1, 100000, 5)};
  if (arguments.has("--runs")) {
    protocol.blocks = 1;
    protocol.block.runs = arguments.integer("--runs", 1, kMostSamples, 1);
    protocol.block.seconds = 0.0;
  }
  if (protocol.blocks * protocol.block.runs > kMostSamples) {
    throw Failure(
        ExitCode::kUsage,
        std::to_string(protocol.blocks) + " blocks of " + std::to_string(protocol.block.runs) + " runs",
        "expected at most " + std::to_string(kMostSamples) + " runs in all", "ask for fewer");
  }
  return protocol;
}

void measure(Subject& subject, const Protocol& protocol, bool stream, Samples& samples) {
  samples.blocks.reserve(protocol.blocks);
  for (size_t block = 0; block < protocol.blocks; ++block) {
    const uint64_t kept_for_others = (protocol.blocks - block - 1) * protocol.block.runs;
    add_block(subject, protocol.block, samples.left() - kept_for_others, samples);
    if (stream) print_block(samples);
  }
}

void measure_on_command(Subject& subject, const BlockProtocol& protocol, Samples& samples) {
  print_ready(subject, samples);
  BlockCommands commands;
  while (commands.next()) {
    if (samples.left() < protocol.runs) {
      throw Failure(ExitCode::kUsage,
                    "a block after " + std::to_string(samples.nanoseconds.size()) + " timed runs",
                    "expected at most " + std::to_string(kMostSamples) + " in all", "ask for fewer");
    }
    const uint64_t most = std::min(samples.left(), std::max(protocol.runs, kMostPacedRuns));
    add_block(subject, protocol, most, samples);
    print_block(samples);
  }
}

}  // namespace

int bench_mode(const Words& words, const Start& start) {
  const Arguments arguments(words,
                            with_process_options(with_warmup_options({{"--json", Takes::kNothing},
                                                                      {"--stream", Takes::kNothing},
                                                                      {"--paced", Takes::kNothing},
                                                                      {"--blocks", Takes::kOne},
                                                                      {"--block-runs", Takes::kOne},
                                                                      {"--block-seconds", Takes::kOne},
                                                                      {"--block-warmup-runs", Takes::kOne},
                                                                      {"--runs", Takes::kOne},
                                                                      {"--input", Takes::kMany}})));
  const Protocol protocol = read_protocol(arguments);
  prepare_process(arguments);
  Samples samples = reserve_samples();
  set_memory_limit(arguments);
  Subject subject(arguments);
  samples.warmup = warm_up(subject, protocol.warmup);

  const bool paced = arguments.has("--paced");
  const bool stream = paced || arguments.has("--stream");
  if (paced) {
    measure_on_command(subject, protocol.block, samples);
  } else {
    measure(subject, protocol, stream, samples);
  }
  lift_memory_limit();
  const BenchReport report{subject, samples, start};
  if (stream || arguments.has("--json")) {
    print_json(report, !stream);
  } else {
    print_text(report);
  }
  return 0;
}

}  // namespace edge
