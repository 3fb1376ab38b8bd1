// SPDX-License-Identifier: Apache-2.0
// Times `execute` and nothing else, not the copying of inputs. Samples go to memory reserved beforehand and
// are printed between blocks.
#include <chrono>

#include "arguments.h"
#include "bench_report.h"
#include "crash_guard.h"
#include "lifetime.h"
#include "modes.h"
#include "tensor_files.h"
#include "threads.h"

namespace edge {
namespace {

using Clock = std::chrono::steady_clock;

// 8 MiB of address space: what an address-space limit on the process has to allow for.
constexpr uint64_t kMostSamples = uint64_t{1} << 20;

struct Protocol {
  double warmup_seconds;
  uint64_t warmup_runs;
  uint64_t blocks;
  uint64_t block_runs;
  double block_seconds;
};

Protocol read_protocol(const Arguments& arguments) {
  Protocol protocol{arguments.number("--warmup-seconds", 0.0, 3600.0, 0.5),
                    arguments.integer("--warmup-runs", 0, kMostSamples, 10),
                    arguments.integer("--blocks", 1, 100000, 5),
                    arguments.integer("--block-runs", 1, kMostSamples, 50),
                    arguments.number("--block-seconds", 0.0, 3600.0, 0.1)};
  if (arguments.has("--runs")) {
    for (const char* option : {"--blocks", "--block-runs", "--block-seconds"}) {
      if (!arguments.has(option)) continue;
      throw Failure(ExitCode::kUsage, std::string("--runs and ") + option,
                    "expected --runs alone, which is one block of that many runs", "leave one of them out");
    }
    protocol.blocks = 1;
    protocol.block_runs = arguments.integer("--runs", 1, kMostSamples, 1);
    protocol.block_seconds = 0.0;
  }
  if (protocol.blocks * protocol.block_runs > kMostSamples) {
    throw Failure(
        ExitCode::kUsage,
        std::to_string(protocol.blocks) + " blocks of " + std::to_string(protocol.block_runs) + " runs",
        "expected at most " + std::to_string(kMostSamples) + " runs in all", "ask for fewer");
  }
  return protocol;
}

double seconds_since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

// The method and what goes into it, again before each run: a memory plan may reuse an input's place for what
// comes after it, so that a second execute would work on leftovers.
struct Subject {
  LoadedMethod& method;
  const std::vector<TensorView>& inputs;

  void prepare() { method.set_inputs(inputs); }
};

size_t warm_up(Subject subject, const Protocol& protocol) {
  const Clock::time_point begin = Clock::now();
  size_t runs = 0;
  while (runs < protocol.warmup_runs || seconds_since(begin) < protocol.warmup_seconds) {
    subject.prepare();
    if (!subject.method.execute()) throw subject.method.execution_failure();
    ++runs;
  }
  return runs;
}

// Holds the timed region: between the two clock readings there is `execute` alone. `most` is what the
// reserved memory still holds.
size_t time_block(Subject subject, const Protocol& protocol, uint64_t most,
                  std::vector<int64_t>& nanoseconds) {
  const Clock::time_point begin = Clock::now();
  size_t runs = 0;
  bool worked = true;
  Clock::time_point after = begin;
  while (worked && runs < most &&
         (runs < protocol.block_runs ||
          std::chrono::duration<double>(after - begin).count() < protocol.block_seconds)) {
    subject.prepare();
    const Clock::time_point before = Clock::now();
    worked = subject.method.execute();
    after = Clock::now();
    nanoseconds.push_back(std::chrono::nanoseconds(after - before).count());
    ++runs;
  }
  if (!worked) throw subject.method.execution_failure();
  return runs;
}

Samples measure(Subject subject, const Protocol& protocol, bool stream) {
  Samples samples;
  // Reserved, not touched: pages that no sample reaches never become resident.
  samples.nanoseconds.reserve(kMostSamples);
  samples.blocks.reserve(protocol.blocks);
  samples.warmup_runs = warm_up(subject, protocol);
  for (size_t block = 0; block < protocol.blocks; ++block) {
    const uint64_t kept_for_others = (protocol.blocks - block - 1) * protocol.block_runs;
    const uint64_t most = kMostSamples - samples.nanoseconds.size() - kept_for_others;
    samples.blocks.push_back(time_block(subject, protocol, most, samples.nanoseconds));
    samples.memory = read_memory_figures();
    if (stream) print_block(block, samples);
  }
  return samples;
}

}  // namespace

int bench_mode(const Words& words, const Start& start) {
  const Arguments arguments(words, {{"--json", Takes::kNothing},
                                    {"--stream", Takes::kNothing},
                                    {"--method", Takes::kOne},
                                    {"--warmup-seconds", Takes::kOne},
                                    {"--warmup-runs", Takes::kOne},
                                    {"--blocks", Takes::kOne},
                                    {"--block-runs", Takes::kOne},
                                    {"--block-seconds", Takes::kOne},
                                    {"--runs", Takes::kOne},
                                    {"--threads", Takes::kOne},
                                    {"--input", Takes::kMany},
                                    {"--die-with-parent", Takes::kNothing},
                                    {"--parent-pid", Takes::kOne}});
  const Protocol protocol = read_protocol(arguments);
  const std::string model = arguments.required_model();
  tie_to_parent(arguments);
  set_thread_count(arguments.integer("--threads", 1, kMostThreads, 0));

  const Clock::time_point loading_began = Clock::now();
  ProgramFile file(model);
  LoadedMethod method(file, arguments.text("--method", "forward"));
  const Loading loading{file.bytes(), milliseconds_since(loading_began), read_memory_figures()};

  const std::vector<TensorSpec> specs = specs_of(method.description().inputs);
  const std::vector<Tensor> inputs = arguments.has("--input")
                                         ? read_tensors(arguments.list("--input"), specs, false)
                                         : default_inputs(specs);
  const CrashGuard guard(method.execution_crash());
  const std::vector<TensorView> views = views_of(inputs);

  const bool stream = arguments.has("--stream");
  const Samples samples = measure({method, views}, protocol, stream);
  const bool json = stream || arguments.has("--json");
  const BenchReport report{method.description(), loading, samples, start};
  if (json) {
    print_json(report, !stream);
  } else {
    print_text(report);
  }
  return 0;
}

}  // namespace edge
