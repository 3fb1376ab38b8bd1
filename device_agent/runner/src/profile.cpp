// SPDX-License-Identifier: Apache-2.0
// Times each operator, in a run of its own: the tracer costs time, so that no figure of `bench` comes from
// here.
#include <executorch/devtools/etdump/etdump_flatcc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "event_recorder.h"
#include "memory_limit.h"
#include "modes.h"
#include "operator_times.h"
#include "preparation.h"
#include "quantiles.h"
#include "scheduling.h"
#include "subject.h"
#include "threads.h"
#include "whole_file.h"

namespace edge {
namespace {

using executorch::etdump::ETDumpGen;

constexpr uint64_t kMostRuns = 10'000;

struct Profile {
  std::vector<int64_t> runs;  // `execute` as a whole, nanoseconds
  std::vector<CallTimes> calls;
};

std::vector<double> microseconds(const std::vector<int64_t>& nanoseconds) {
  std::vector<double> times;
  for (const int64_t time : nanoseconds) times.push_back(static_cast<double>(time) / 1e3);
  return times;
}

double median(const std::vector<int64_t>& nanoseconds) {
  return quantiles_of(microseconds(nanoseconds)).p50.value_or(0.0);
}

Profile record(Subject& subject, EventRecorder& recorder, uint64_t warmup_runs, uint64_t runs) {
  Profile profile;
  OperatorRecord operators(subject.description().delegates);
  for (uint64_t run = 0; run < warmup_runs; ++run) subject.run();
  recorder.start();
  for (uint64_t run = 0; run < runs; ++run) {
    subject.prepare();
    const auto before = std::chrono::steady_clock::now();
    const bool worked = subject.execute();
    const auto spent = std::chrono::steady_clock::now() - before;
    profile.runs.push_back(std::chrono::nanoseconds(spent).count());
    if (!worked) throw subject.execution_failure();
    operators.add_run(recorder.take_events());
  }
  profile.calls = operators.calls();
  return profile;
}

void write_etdump(ETDumpGen& etdump, const std::string& path) {
  const auto data = etdump.get_etdump_data();
  const std::unique_ptr<void, decltype(&std::free)> owner(data.buf, std::free);
  if (data.buf == nullptr || data.size == 0) {
    throw Failure(ExitCode::kIo, "ExecuTorch made no ETDump", "expected one of these runs",
                  "ask for fewer --runs");
  }
  write_whole(path, data.buf, data.size);
}

void write_operators(Json& out, const CallTimes& call) {
  out.key("operators").begin_array();
  for (const OperatorTimes& inner : call.operators) {
    out.begin_object().key("name").value(inner.name).key("p50").value(median(inner.times)).end_object();
  }
  out.end_array();
}

void print_json(const Profile& profile) {
  Json out;
  out.begin_object().key("unit").value("us").key("runs").value(profile.runs.size());
  out.key("threads").value(thread_count()).key("cpus").value(allowed_cores());
  out.key("runtime").value(kRuntimeVersion).key("architecture").value(architecture());
  out.key("execute").begin_object().key("p50").value(median(profile.runs));
  out.key("samples").value(microseconds(profile.runs)).end_object();
  out.key("calls").begin_array();
  for (const CallTimes& call : profile.calls) {
    out.begin_object().key("index").value(call.instruction);
    out.key("kind").value(call.delegate ? "delegate" : "kernel").key("name").value(call.name);
    out.key("p50").value(median(call.times));
    write_operators(out, call);
    out.end_object();
  }
  print_line(out.end_array().end_object().text());
}

struct Row {
  double time;
  std::string name;
};

// A delegate stands as its operators where it tells them.
std::vector<Row> longest_first(const std::vector<CallTimes>& calls) {
  std::vector<Row> rows;
  for (const CallTimes& call : calls) {
    for (const OperatorTimes& inner : call.operators) {
      const std::string where = " (" + call.name + " at " + std::to_string(call.instruction) + ")";
      rows.push_back({median(inner.times), inner.name + where});
    }
    if (call.operators.empty()) {
      rows.push_back({median(call.times), call.name + " (at " + std::to_string(call.instruction) + ")"});
    }
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& left, const Row& right) { return left.time > right.time; });
  return rows;
}

void print_table(const Profile& profile) {
  const double whole = median(profile.runs);
  double elsewhere = whole;
  std::vector<Row> rows = longest_first(profile.calls);
  for (const Row& row : rows) elsewhere -= row.time;
  rows.push_back({std::max(elsewhere, 0.0), "elsewhere"});
  rows.push_back({whole, "execute, " + std::to_string(profile.runs.size()) + " runs, " +
                             std::to_string(thread_count()) + " threads"});
  std::string text = "      p50 us    share  operator";
  for (const Row& row : rows) {
    char figures[64];
    std::snprintf(figures, sizeof figures, "\n%12.1f  %6.1f%%  ", row.time, 100.0 * row.time / whole);
    text += figures + row.name;
  }
  print_line(text);
}

}  // namespace

int profile_mode(const Words& words, const Start&) {
  const Arguments arguments(words, with_process_options({{"--json", Takes::kNothing},
                                                         {"--runs", Takes::kOne},
                                                         {"--warmup-runs", Takes::kOne},
                                                         {"--etdump", Takes::kOne},
                                                         {"--input", Takes::kMany}}));
  const uint64_t runs = arguments.integer("--runs", 1, kMostRuns, 20);
  const uint64_t warmup_runs = arguments.integer("--warmup-runs", 0, kMostRuns, 5);
  prepare_process(arguments);
  set_memory_limit(arguments);

  std::unique_ptr<ETDumpGen> etdump;
  if (arguments.has("--etdump")) etdump = std::make_unique<ETDumpGen>();
  EventRecorder recorder(etdump.get());
  Subject subject(arguments, &recorder);
  const Profile profile = record(subject, recorder, warmup_runs, runs);
  lift_memory_limit();
  if (etdump) write_etdump(*etdump, arguments.text("--etdump", ""));
  if (arguments.has("--json")) {
    print_json(profile);
  } else {
    print_table(profile);
  }
  return 0;
}

}  // namespace edge
