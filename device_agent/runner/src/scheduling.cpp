// SPDX-License-Identifier: Apache-2.0
#include "scheduling.h"

#include <sched.h>
#include <sys/resource.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>

#include "failure.h"

namespace edge {
namespace {

constexpr int kMostUrgent = -20, kLeastUrgent = 19;

Failure not_a_list(const std::string& text) {
  return Failure(ExitCode::kUsage, "--cpus " + text, "expected a list of cores such as 0,2-3",
                 "see edge-runner --help");
}

std::string list_of(const std::vector<size_t>& cores) {
  std::string text;
  for (const size_t core : cores) text += (text.empty() ? "" : ",") + std::to_string(core);
  return text;
}

// Those that this machine and the process's cpuset have, whatever it is bound to now: the kernel drops the
// others from a mask of all.
std::vector<size_t> present_cores() {
  cpu_set_t bound;
  cpu_set_t all;
  CPU_ZERO(&bound);
  std::memset(&all, 0xff, sizeof all);
  const bool known = sched_getaffinity(0, sizeof bound, &bound) == 0;
  sched_setaffinity(0, sizeof all, &all);
  const std::vector<size_t> cores = allowed_cores();
  if (known) sched_setaffinity(0, sizeof bound, &bound);
  return cores;
}

size_t read_core(const std::string& text, const char*& at, const char* end) {
  size_t core = 0;
  const auto parsed = std::from_chars(at, end, core);
  if (parsed.ec != std::errc()) throw not_a_list(text);
  at = parsed.ptr;
  if (core < CPU_SETSIZE) return core;
  throw Failure(ExitCode::kUsage, "core " + std::to_string(core) + " of --cpus is not there",
                "expected some of " + list_of(present_cores()), "choose among them");
}

cpu_set_t parse_cores(const std::string& text) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    const size_t first = read_core(text, at, end);
    size_t last = first;
    if (at != end && *at == '-') last = read_core(text, ++at, end);
    if (last < first) throw not_a_list(text);
    for (size_t core = first; core <= last; ++core) CPU_SET(core, &cores);
    if (at == end) return cores;
    if (*at++ != ',') throw not_a_list(text);
  }
}

void bind_to_cores(const std::string& text) {
  const cpu_set_t cores = parse_cores(text);
  cpu_set_t absent = cores;
  const std::vector<size_t> present = present_cores();
  for (const size_t core : present) CPU_CLR(core, &absent);
  for (size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &absent)) continue;
    throw Failure(ExitCode::kUsage, "core " + std::to_string(core) + " of --cpus is not there",
                  "expected some of " + list_of(present), "choose among them");
  }
  if (sched_setaffinity(0, sizeof cores, &cores) != 0) {
    throw Failure(ExitCode::kIo, "--cpus " + text + ": " + std::strerror(errno),
                  "expected the right to choose cores", "leave --cpus out");
  }
}

void set_priority(int nice) {
  if (setpriority(PRIO_PROCESS, 0, nice) == 0) return;
  throw Failure(ExitCode::kIo, "--nice " + std::to_string(nice) + ": " + std::strerror(errno),
                "expected the right to take that priority (CAP_SYS_NICE or RLIMIT_NICE)",
                "ask for " + std::to_string(getpriority(PRIO_PROCESS, 0)) + " or more");
}

}  // namespace

std::vector<size_t> allowed_cores() {
  cpu_set_t set;
  std::vector<size_t> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

void schedule_process(const Arguments& arguments) {
  const auto nice = static_cast<int>(arguments.signed_integer("--nice", kMostUrgent, kLeastUrgent, 0));
  if (arguments.has("--cpus")) bind_to_cores(arguments.text("--cpus", ""));
  if (arguments.has("--nice")) set_priority(nice);
}

}  // namespace edge
