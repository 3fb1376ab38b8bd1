// SPDX-License-Identifier: Apache-2.0
// edge-runner: loads, describes, times, drives, profiles, repeats, runs and serves ExecuTorch programs. No
// Python, no torch.
#include <sys/utsname.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <stdexcept>

#include "failure.h"
#include "memory_limit.h"
#include "modes.h"
#include "runtime_log.h"

namespace edge {

double milliseconds_since(std::chrono::steady_clock::time_point then) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - then).count();
}

std::string architecture() {
  utsname system{};
  return uname(&system) == 0 ? system.machine : "unknown";
}

void write_ports(Json& out, const std::vector<Port>& ports) {
  out.begin_array();
  for (const Port& port : ports) {
    out.begin_object().key("name").value(port.name);
    out.key("dtype").value(port.kind == "tensor" ? dtype_name(port.spec.dtype) : port.kind);
    out.key("shape").value(port.spec.sizes).end_object();
  }
  out.end_array();
}

void print_line(const std::string& text) {
  if (std::printf("%s\n", text.c_str()) < 0 || std::fflush(stdout) != 0) {
    throw Failure(ExitCode::kIo, "standard output cannot be written", "expected an open pipe or file",
                  "check who reads it");
  }
}

namespace {

constexpr const char* kUsage = R"(usage: edge-runner info [MODEL] [--json]
       edge-runner bench MODEL [--json] [--stream] [--input FILE.npy ...] [--block-runs N] [--block-seconds S]
                         [--block-warmup-runs N] [--blocks N | --runs N | --paced] [WARM-UP] [PROCESS]
       edge-runner periodic MODEL --rate HZ --seconds S --deadline-ms D [--json] [--stream] [--input FILE.npy ...]
                         [WARM-UP] [PROCESS]
       edge-runner profile MODEL [--json] [--runs N] [--warmup-runs N] [--etdump FILE] [--input FILE.npy ...] [PROCESS]
       edge-runner repeat MODEL [--runs N] [--input FILE.npy ...] [PROCESS]
       edge-runner run MODEL --input FILE ... [--raw] [--output-dir DIR | --output FILE ...]
                         [--expect FILE ... --atol X --rtol Y] [--json] [PROCESS]
       edge-runner serve MODEL (--listen-fd N | --socket PATH) [--queue N] [PROCESS]
       edge-runner --help | --version
WARM-UP: [--warmup-seconds S] [--warmup-runs N] [--warmup-change X] [--warmup-limit-seconds S]
PROCESS: [--method NAME] [--threads N] [--cpus LIST] [--nice N] [--memory-limit BYTES]
         [--die-with-parent] [--parent-pid PID])";

int dispatch(const std::string& mode, const Words& words, const Start& start) {
  if (mode == "info") return info_mode(words, start);
  if (mode == "bench") return bench_mode(words, start);
  if (mode == "periodic") return periodic_mode(words, start);
  if (mode == "run") return run_mode(words, start);
  if (mode == "profile") return profile_mode(words, start);
  if (mode == "repeat") return repeat_mode(words, start);
  if (mode == "serve") return serve_mode(words, start);
  if (mode == "--help" || mode == "--version") {
    print_line(mode == "--help" ? kUsage : kRuntimeVersion);
    return 0;
  }
  throw Failure(ExitCode::kUsage, mode.empty() ? "no mode given" : "unknown mode " + mode,
                "expected info, bench, periodic, profile, repeat, run or serve", "see edge-runner --help");
}

[[noreturn]] void end_on_terminate() {
  try {
    if (std::current_exception()) std::rethrow_exception(std::current_exception());
  } catch (const std::bad_alloc&) {
    end_out_of_memory();
  } catch (...) {
  }
  std::abort();
}

}  // namespace
}  // namespace edge

int main(int count, char** values) {
  const edge::Start start{std::chrono::steady_clock::now(), edge::read_memory_figures()};
  // A reader that goes away is an error to report, not a signal to die of.
  std::signal(SIGPIPE, SIG_IGN);
  // The runtime has places that no exception leaves.
  std::set_terminate(edge::end_on_terminate);
  const std::string mode = count > 1 ? values[1] : "";
  const edge::Words words(values + std::min(count, 2), values + count);
  const auto given = [&](const char* option) {
    return std::find(words.begin(), words.end(), option) != words.end();
  };
  const bool json = given("--json") || given("--stream") || given("--paced");
  try {
    edge::take_over_runtime(json);
    return edge::dispatch(mode, words, start);
  } catch (const edge::Failure& failure) {
    return edge::report_failure(failure.code(), failure.what(), json);
  } catch (const std::bad_alloc&) {
    edge::end_out_of_memory();
  } catch (const std::length_error&) {  // more than an address can count
    edge::end_out_of_memory();
  }
}
