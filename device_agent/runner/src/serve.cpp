// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include "arguments.h"
#include "crash_guard.h"
#include "listener.h"
#include "memory_limit.h"
#include "modes.h"
#include "preparation.h"
#include "server.h"
#include "threads.h"

namespace edge {
namespace {

constexpr uint64_t kDefaultQueue = 16, kLongestQueue = 1024;

int stop_pipe[2] = {-1, -1};

void request_stop(int) {
  const int kept = errno;
  const char byte = 0;
  // A full pipe already says stop.
  [[maybe_unused]] const ssize_t written = write(stop_pipe[1], &byte, 1);
  errno = kept;
}

int stop_on_signals() {
  if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
    throw Failure(ExitCode::kIo, "no pipe", "expected free descriptors", "raise the limit on open files");
  }
  struct sigaction action {};
  action.sa_handler = request_stop;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  return stop_pipe[0];
}

Listener open_listener(const Arguments& arguments) {
  if (arguments.has("--socket") == arguments.has("--listen-fd")) {
    throw Failure(ExitCode::kUsage, "both or neither of --socket and --listen-fd", "expected exactly one",
                  "see edge-runner --help");
  }
  if (arguments.has("--socket")) return Listener::at_path(arguments.text("--socket", ""));
  return Listener::from_descriptor(static_cast<int>(arguments.integer("--listen-fd", 0, 1U << 20, 0)));
}

std::string ready_line(const ProgramFile& file, const LoadedMethod& method, double load_ms,
                       uint64_t most_payload) {
  const MemoryFigures memory = read_memory_figures();
  Json out;
  out.begin_object().key("ready").value(true).key("pid").value(getpid()).key("runtime").value(
      kRuntimeVersion);
  out.key("architecture")
      .value(architecture())
      .key("threads")
      .value(thread_count())
      .key("load_ms")
      .value(load_ms);
  out.key("program_bytes").value(file.bytes()).key("planned_bytes").value(method.description().planned_bytes);
  out.key("load_rss_bytes").value(memory.rss_bytes).key("peak_rss_bytes").value(memory.peak_rss_bytes);
  out.key("most_payload_bytes").value(most_payload).key("inputs");
  write_ports(out, method.description().inputs);
  out.key("outputs");
  write_ports(out, method.description().outputs);
  return out.end_object().text();
}

}  // namespace

int serve_mode(const Words& words, const Start&) {
  const Arguments arguments(words, with_process_options({{"--json", Takes::kNothing},
                                                         {"--listen-fd", Takes::kOne},
                                                         {"--socket", Takes::kOne},
                                                         {"--queue", Takes::kOne}}));
  const std::string model = arguments.required_model();
  const uint64_t queue = arguments.integer("--queue", 1, kLongestQueue, kDefaultQueue);
  prepare_process(arguments);
  set_memory_limit(arguments);

  const auto loading_began = std::chrono::steady_clock::now();
  ProgramFile file(model);
  LoadedMethod method(file, arguments.text("--method", "forward"));
  const double load_ms = milliseconds_since(loading_began);
  const Listener listener = open_listener(arguments);
  Server server(method, listener.socket(), stop_on_signals(), queue);
  std::optional<CrashGuard> guard;
  if (arguments.has("--memory-limit")) guard.emplace();
  print_line(ready_line(file, method, load_ms, server.most_payload()));
  server.run();
  return 0;
}

}  // namespace edge
