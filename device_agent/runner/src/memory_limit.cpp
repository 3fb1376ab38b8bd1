// SPDX-License-Identifier: Apache-2.0
#include "memory_limit.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "failure.h"
#include "memory_figures.h"
#include "runtime_log.h"

namespace edge {
namespace {

constexpr uint64_t kHighestLimit = uint64_t{1} << 50;
constexpr uint64_t kMegabyte = 1'000'000;

uint64_t limit_bytes = 0;  // as given; 0 for none
uint64_t data_limit = 0;   // what the kernel was told
rlim_t unlimited = RLIM_INFINITY;

void limit_data(rlim_t bytes) {
  rlimit limit{};
  if (getrlimit(RLIMIT_DATA, &limit) != 0) return;
  limit.rlim_cur = std::min(bytes, limit.rlim_max);
  setrlimit(RLIMIT_DATA, &limit);
}

// Text without an allocation.
class Text {
 public:
  Text& add(std::string_view words) {
    const size_t count = std::min(words.size(), sizeof text_ - size_);
    std::memcpy(text_ + size_, words.data(), count);
    size_ += count;
    return *this;
  }
  Text& add(uint64_t number) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    return add(std::string_view(digits, static_cast<size_t>(end - digits)));
  }
  std::string_view view() const { return {text_, size_}; }

 private:
  char text_[512];
  size_t size_ = 0;
};

Text out_of_memory_message(uint64_t peak_bytes) {
  Text text;
  text.add("out of memory at ").add((peak_bytes + kMegabyte / 2) / kMegabyte).add(" MB; expected ");
  if (limit_bytes == 0) {
    return text.add("enough for the program and its tensors; free some, or use a smaller model");
  }
  const uint64_t tenths = (limit_bytes * 10 + kMegabyte - 1) / kMegabyte;
  text.add("at most ").add(tenths / 10);
  if (tenths % 10 != 0) text.add(".").add(tenths % 10);
  return text.add(" MB, its limit; raise --memory-limit, or use a smaller model");
}

bool write_all(int file, const Text& text) {
  return write(file, text.view().data(), text.view().size()) == static_cast<ssize_t>(text.view().size());
}

}  // namespace

void set_memory_limit(const Arguments& arguments) {
  limit_bytes = arguments.integer("--memory-limit", 1, kHighestLimit, 0);
  if (limit_bytes == 0) return;
  const MemoryFigures figures = read_memory_figures();
  if (!figures.data_bytes || !figures.anon_bytes) {
    throw Failure(ExitCode::kIo, "--memory-limit where the kernel does not say what a process holds",
                  "expected VmData and RssAnon in /proc/self/status", "mount /proc, or leave it out");
  }
  // What was taken but never touched is not held against the program.
  data_limit = *figures.data_bytes - std::min(*figures.anon_bytes, *figures.data_bytes) + limit_bytes;
  rlimit before{};
  if (getrlimit(RLIMIT_DATA, &before) == 0) unlimited = before.rlim_cur;
  limit_data(data_limit);
}

void lift_memory_limit() {
  if (limit_bytes != 0) limit_data(unlimited);
}

void forget_failed_allocations() { errno = 0; }

bool allocation_failed() {
  return limit_bytes != 0 && (errno == ENOMEM || !runtime_error_line("out_of_memory").empty());
}

bool ran_out_of_memory() {
  if (limit_bytes == 0) return false;
  if (errno == ENOMEM) return true;
  // It may have been another thread's, or errno may have changed since.
  const uint64_t near = data_limit - limit_bytes / 8;
  return read_memory_figures().data_bytes.value_or(0) >= near;
}

void end_out_of_memory() {
  const uint64_t peak = read_memory_figures().peak_rss_bytes.value_or(0);
  const Text message = out_of_memory_message(peak);
  Text line, object;
  line.add("edge-runner: ").add(exit_name(ExitCode::kOutOfMemory));
  line.add(": ").add(message.view()).add("\n");
  object.add("{\"error\": {\"code\": \"").add(exit_name(ExitCode::kOutOfMemory));
  object.add("\", \"message\": \"").add(message.view());
  object.add("\", \"peak_rss_bytes\": ").add(peak).add("}}\n");
  const bool said = (!reports_json() || write_all(STDOUT_FILENO, object)) && write_all(STDERR_FILENO, line);
  _exit(static_cast<int>(said ? ExitCode::kOutOfMemory : ExitCode::kIo));
}

}  // namespace edge
