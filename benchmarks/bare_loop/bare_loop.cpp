// SPDX-License-Identifier: Apache-2.0
// bare_loop MODEL WARMUP RUNS: what a user would write. Float inputs of ones, `forward` in a loop, a clock
// around it. Once warm it prints `ready`; then each line on standard input is answered with one line of
// milliseconds per run. `module` times `Module::execute`, which copies its inputs in and its outputs' handles
// out; `method` the method inside it with the inputs set outside the clock, which is what `edge-runner bench`
// times.
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

using executorch::aten::ScalarType;
using executorch::extension::Module;
using executorch::runtime::Error;
using executorch::runtime::EValue;

namespace {

// As many as edge-runner's at the start of a block.
constexpr int kUntimedRuns = 3;

void check(bool worked, const char* step) {
  if (worked) return;
  std::fprintf(stderr, "bare_loop: %s failed\n", step);
  std::exit(1);
}

template <typename Prepare, typename Run>
void time_runs(int runs, Prepare prepare, Run run) {
  std::vector<double> samples;
  samples.reserve(static_cast<size_t>(runs));
  for (int index = 0; index < kUntimedRuns; ++index) {
    prepare();
    run();
  }
  for (int index = 0; index < runs; ++index) {
    prepare();
    const auto before = std::chrono::steady_clock::now();
    run();
    const auto after = std::chrono::steady_clock::now();
    samples.push_back(std::chrono::duration<double, std::milli>(after - before).count());
  }
  for (const double sample : samples) std::printf("%.6f ", sample);
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** values) {
  check(count == 4, "usage: bare_loop MODEL WARMUP RUNS");
  const int warmup = std::atoi(values[2]), runs = std::atoi(values[3]);
  Module module(values[1], Module::LoadMode::Mmap);
  check(module.load_forward() == Error::Ok, "loading");
  const auto meta = module.method_meta("forward");
  check(meta.ok(), "reading the method");
  std::vector<executorch::extension::TensorPtr> tensors;
  std::vector<EValue> inputs;
  for (size_t index = 0; index < meta->num_inputs(); ++index) {
    const auto info = meta->input_tensor_meta(index);
    check(info.ok() && info->scalar_type() == ScalarType::Float, "finding float inputs");
    tensors.push_back(executorch::extension::ones({info->sizes().begin(), info->sizes().end()}));
    inputs.emplace_back(*tensors.back());
  }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  auto* method = *module.method("forward");
#pragma GCC diagnostic pop
  const auto nothing = [] {};
  const auto whole = [&] { check(module.execute("forward", inputs).ok(), "forward"); };
  const auto set_inputs = [&] {
    check(method->set_inputs({inputs.data(), inputs.size()}) == Error::Ok, "inputs");
  };
  const auto inner = [&] { check(method->execute() == Error::Ok, "execute"); };
  for (int index = 0; index < warmup; ++index) whole();
  std::puts("ready");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    check(line == "module" || line == "method", "usage: module or method on standard input; this");
    if (line == "module") {
      time_runs(runs, nothing, whole);
    } else {
      time_runs(runs, set_inputs, inner);
    }
  }
  return 0;
}
