// SPDX-License-Identifier: Apache-2.0
#include "runtime_log.h"

#include <executorch/runtime/platform/platform.h>
#include <executorch/runtime/platform/runtime.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <string_view>

#include "memory_limit.h"

namespace edge {
namespace {

constexpr size_t kMostLines = 16;
constexpr size_t kLongestLine = 300;

// Takes no memory: that it has run out is among what is told here.
struct RuntimeLog {
  std::mutex mutex;
  std::array<char[kLongestLine], kMostLines> lines;
  std::array<size_t, kMostLines> lengths;
  size_t count = 0;
};

RuntimeLog log;

std::atomic<ExitCode> abort_code{ExitCode::kBadProgram};
std::atomic<bool> abort_json{false};

void keep_line(et_timestamp_t, et_pal_log_level_t level, const char*, const char*, size_t,
               const char* message, size_t length) {
  if (level != et_pal_log_level_t::kError && level != et_pal_log_level_t::kFatal) return;
  const std::lock_guard<std::mutex> lock(log.mutex);
  if (log.count == kMostLines) return;
  log.lengths[log.count] = std::min(length, kLongestLine);
  std::memcpy(log.lines[log.count], message, log.lengths[log.count]);
  ++log.count;
}

[[noreturn]] void end_process() {
  if (ran_out_of_memory()) end_out_of_memory();
  const bool loading = abort_code == ExitCode::kBadProgram;
  const std::string line = runtime_error_line("");
  const Failure failure(
      abort_code, line.empty() ? "the runtime stopped on a failed check" : line,
      loading ? "expected a program that loads" : "expected a program that runs on these inputs",
      loading ? "export it again" : "check the inputs against edge-runner info");
  report_failure(failure.code(), failure.what(), abort_json);
  _exit(static_cast<int>(failure.code()));
}

}  // namespace

void take_over_runtime(bool json) {
  using executorch::runtime::PalImpl;
  abort_json = json;
  PalImpl platform = PalImpl::create(keep_line, __FILE__);
  platform.abort = end_process;
  executorch::runtime::register_pal(platform);
  executorch::runtime::runtime_init();
}

bool reports_json() { return abort_json; }

void set_abort_code(ExitCode code) { abort_code = code; }

void clear_runtime_log() {
  const std::lock_guard<std::mutex> lock(log.mutex);
  log.count = 0;
}

std::string runtime_error_line(const std::string& part) {
  const std::lock_guard<std::mutex> lock(log.mutex);
  for (size_t index = 0; index < log.count; ++index) {
    const std::string_view line(log.lines[index], log.lengths[index]);
    if (line.find(part) != std::string_view::npos) return std::string(line);
  }
  return "";
}

}  // namespace edge
