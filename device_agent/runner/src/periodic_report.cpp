// SPDX-License-Identifier: Apache-2.0
#include "periodic_report.h"

#include <algorithm>
#include <cstdio>

#include "modes.h"
#include "quantiles.h"
#include "scheduling.h"
#include "threads.h"

namespace edge {
namespace {

std::vector<double> milliseconds(const std::vector<int64_t>& nanoseconds) {
  std::vector<double> values;
  values.reserve(nanoseconds.size());
  for (const int64_t one : nanoseconds) values.push_back(static_cast<double>(one) / 1e6);
  return values;
}

std::optional<double> largest(const std::vector<int64_t>& nanoseconds) {
  if (nanoseconds.empty()) return std::nullopt;
  return static_cast<double>(*std::max_element(nanoseconds.begin(), nanoseconds.end())) / 1e6;
}

void write_quantiles(Json& out, const char* name, const std::vector<int64_t>& nanoseconds) {
  const Quantiles quantiles = quantiles_of(milliseconds(nanoseconds));
  out.key(name).begin_object().key("p50").value(quantiles.p50).key("p90").value(quantiles.p90);
  out.key("p95").value(quantiles.p95).key("p99").value(quantiles.p99);
  out.key("max").value(largest(nanoseconds)).end_object();
}

// p99 - p1 of the intervals between starts, in ms.
std::optional<double> jitter(const ReleaseTimes& times) {
  if (times.intervals.empty()) return std::nullopt;
  std::vector<double> intervals = milliseconds(times.intervals);
  std::sort(intervals.begin(), intervals.end());
  return quantile_of_sorted(intervals, 0.99) - quantile_of_sorted(intervals, 0.01);
}

std::optional<double> longest_gap(const ReleaseTimes& times) {
  if (times.response.empty()) return std::nullopt;
  return static_cast<double>(times.longest_gap) / 1e6;
}

std::string figure(const std::optional<double>& value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f ms", value.value_or(0.0));
  return value ? text : "too few";
}

}  // namespace

void print_window(const Window& window, const ReleaseTimes& times, std::vector<double>& scratch) {
  scratch.clear();
  for (size_t at = window.first; at < times.response.size(); ++at) {
    scratch.push_back(static_cast<double>(times.response[at]) / 1e6);
  }
  Json line;
  line.begin_object().key("window").value(window.index).key("releases").value(window.releases);
  line.key("missed").value(window.missed).key("skipped").value(window.skipped);
  if (scratch.empty()) {
    line.key("response_p50_ms").null().key("response_max_ms").null();
  } else {
    line.key("response_p50_ms").value(median_in_place(scratch));
    line.key("response_max_ms").value(*std::max_element(scratch.begin(), scratch.end()));
  }
  line.key("rss_bytes").value(read_memory_figures().rss_bytes);
  print_line(line.end_object().text());
}

void print_json(const PeriodicReport& report) {
  const ReleaseTimes& times = report.times;
  Json out;
  out.begin_object().key("unit").value("ms").key("rate_hz").value(report.schedule.rate_hz);
  out.key("seconds").value(report.schedule.seconds).key("deadline_ms").value(report.schedule.deadline_ms);
  out.key("releases").value(times.releases).key("executed").value(times.response.size());
  out.key("skipped").value(times.skipped).key("missed").value(times.missed);
  out.key("missed_share").value(static_cast<double>(times.missed) / static_cast<double>(times.releases));
  write_quantiles(out, "response", times.response);
  write_quantiles(out, "execute", times.execute);
  write_quantiles(out, "lateness", times.lateness);
  out.key("jitter_ms").value(jitter(times)).key("longest_gap_ms").value(longest_gap(times));
  write_memory(out, report.subject, times.memory);
  out.key("load_ms").value(report.subject.loading().milliseconds);
  write_warmup(out, report.warmup);
  out.key("threads").value(thread_count()).key("cpus").value(allowed_cores());
  print_line(out.key("runtime").value(kRuntimeVersion).end_object().text());
}

void print_text(const PeriodicReport& report) {
  const ReleaseTimes& times = report.times;
  const Quantiles response = quantiles_of(milliseconds(times.response));
  print_line(std::to_string(times.releases) + " releases, " + std::to_string(times.missed) +
             " missed, of them " + std::to_string(times.skipped) + " skipped, " +
             std::to_string(thread_count()) + " threads");
  print_line("response p50 " + figure(response.p50) + ", p95 " + figure(response.p95) + ", p99 " +
             figure(response.p99) + ", longest " + figure(largest(times.response)));
  print_line("execute p50 " + figure(quantiles_of(milliseconds(times.execute)).p50) + ", lateness p50 " +
             figure(quantiles_of(milliseconds(times.lateness)).p50) + ", jitter " + figure(jitter(times)) +
             ", longest gap " + figure(longest_gap(times)));
}

}  // namespace edge
