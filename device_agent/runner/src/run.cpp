// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "arguments.h"
#include "compare.h"
#include "crash_guard.h"
#include "memory_limit.h"
#include "modes.h"
#include "preparation.h"
#include "tensor_files.h"

namespace edge {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kDefaultAtol = 1e-4, kDefaultRtol = 1e-3;

std::vector<std::string> output_paths(const Arguments& arguments, size_t count) {
  if (!arguments.has("--output-dir")) return arguments.list("--output");
  const std::string directory = arguments.text("--output-dir", "");
  if (mkdir(directory.c_str(), 0777) != 0 && errno != EEXIST) {
    throw Failure(ExitCode::kIo, directory + ": " + std::strerror(errno),
                  "expected a directory for the outputs", "create its parent");
  }
  const char* suffix = arguments.has("--raw") ? ".bin" : ".npy";
  std::vector<std::string> paths;
  for (size_t index = 0; index < count; ++index)
    paths.push_back(directory + "/output" + std::to_string(index) + suffix);
  return paths;
}

// What --expect names. Read before the outputs are written: one path may be both, and what cannot be read
// leaves nothing behind.
std::vector<Tensor> read_expected(const Arguments& arguments, const std::vector<TensorView>& outputs) {
  std::vector<TensorSpec> specs;
  for (const TensorView& output : outputs) specs.push_back(output.spec);
  std::vector<Tensor> expected = read_tensors(arguments.list("--expect"), specs, arguments.has("--raw"));
  if (expected.size() != outputs.size()) {
    throw Failure(ExitCode::kBadInput, std::to_string(expected.size()) + " expected tensors",
                  "expected " + std::to_string(outputs.size()) + ", one for each output",
                  "pass them all to --expect");
  }
  return expected;
}

Comparison compare_all(const Arguments& arguments, const std::vector<TensorView>& outputs,
                       const std::vector<Tensor>& expected) {
  Comparison total;
  for (size_t index = 0; index < outputs.size(); ++index) {
    const Comparison one =
        compare_tensors(outputs[index], expected[index], arguments.number("--atol", 0.0, 1e300, kDefaultAtol),
                        arguments.number("--rtol", 0.0, 1e300, kDefaultRtol));
    total.mismatched += one.mismatched;
    total.max_abs_error = std::max(total.max_abs_error, one.max_abs_error);
  }
  return total;
}

void write_outputs(Json& out, const std::vector<TensorView>& outputs) {
  out.key("outputs").begin_array();
  for (const TensorView& output : outputs) {
    out.begin_object()
        .key("dtype")
        .value(dtype_name(output.spec.dtype))
        .key("shape")
        .value(output.spec.sizes)
        .end_object();
  }
  out.end_array();
}

struct Times {
  double execute_ms;
  double start_to_result_ms;
};

std::string json_report(const std::vector<TensorView>& outputs, const Times& times,
                        const std::optional<Comparison>& comparison, const std::string& mismatch) {
  Json out;
  out.begin_object();
  write_outputs(out, outputs);
  out.key("execute_ms").value(times.execute_ms).key("start_to_result_ms").value(times.start_to_result_ms);
  if (comparison) {
    out.key("max_abs_error").value(comparison->max_abs_error).key("mismatched").value(comparison->mismatched);
  } else {
    out.key("max_abs_error").null().key("mismatched").null();
  }
  if (!mismatch.empty()) {
    out.key("error")
        .begin_object()
        .key("code")
        .value(exit_name(ExitCode::kMismatch))
        .key("message")
        .value(mismatch)
        .end_object();
  }
  return out.end_object().text();
}

std::string text_report(const std::vector<TensorView>& outputs, const Times& times,
                        const std::optional<Comparison>& comparison) {
  std::string text;
  for (size_t index = 0; index < outputs.size(); ++index) {
    text += "output " + std::to_string(index) + ": " + describe(outputs[index].spec) + "\n";
  }
  if (comparison) text += "largest absolute error " + std::to_string(comparison->max_abs_error) + "\n";
  return text + "execute " + std::to_string(times.execute_ms) + " ms";
}

}  // namespace

int run_mode(const Words& words, const Start& start) {
  const Arguments arguments(words, with_process_options({{"--json", Takes::kNothing},
                                                         {"--raw", Takes::kNothing},
                                                         {"--input", Takes::kMany},
                                                         {"--output", Takes::kMany},
                                                         {"--output-dir", Takes::kOne},
                                                         {"--expect", Takes::kMany},
                                                         {"--atol", Takes::kOne},
                                                         {"--rtol", Takes::kOne}}));
  const std::string model = arguments.required_model();
  prepare_process(arguments);
  set_memory_limit(arguments);
  ProgramFile file(model);
  LoadedMethod method(file, arguments.text("--method", "forward"));
  const std::vector<Tensor> inputs =
      read_tensors(arguments.list("--input"), specs_of(method.description().inputs), arguments.has("--raw"));
  const CrashGuard guard(method.execution_crash());
  method.set_inputs(views_of(inputs));

  const Clock::time_point before = Clock::now();
  if (!method.execute()) throw method.execution_failure();
  const Times times{milliseconds_since(before), milliseconds_since(start.time)};
  lift_memory_limit();

  const std::vector<TensorView> outputs = method.outputs();
  std::vector<Tensor> expected;
  if (arguments.has("--expect")) expected = read_expected(arguments, outputs);
  const std::vector<std::string> paths = output_paths(arguments, outputs.size());
  if (!paths.empty()) write_tensors(paths, outputs, arguments.has("--raw"));

  std::optional<Comparison> comparison;
  if (arguments.has("--expect")) comparison = compare_all(arguments, outputs, expected);
  const bool failed = comparison && comparison->mismatched > 0;
  const Failure mismatch(ExitCode::kMismatch,
                         failed ? std::to_string(comparison->mismatched) +
                                      " elements out of tolerance, largest absolute error " +
                                      std::to_string(comparison->max_abs_error)
                                : "",
                         "expected outputs within --atol and --rtol",
                         "check the program against the model it was lowered from");
  const bool json = arguments.has("--json");
  if (json) print_line(json_report(outputs, times, comparison, failed ? mismatch.what() : ""));
  if (failed) return report_failure(mismatch.code(), mismatch.what(), false);
  if (!json) print_line(text_report(outputs, times, comparison));
  return 0;
}

}  // namespace edge
