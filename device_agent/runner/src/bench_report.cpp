// SPDX-License-Identifier: Apache-2.0
#include "bench_report.h"

#include <cstdio>

#include "quantiles.h"
#include "scheduling.h"
#include "threads.h"

namespace edge {
namespace {

constexpr size_t kSamplesPerWrite = 256;

double milliseconds(int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }

// In pieces: the text of a long block in memory would count as the model's peak in the next one.
void write_samples(Json& out, const std::vector<int64_t>& nanoseconds, size_t first) {
  out.key("samples").begin_array();
  for (size_t at = first; at < nanoseconds.size(); ++at) {
    out.value(milliseconds(nanoseconds[at]));
    if (at % kSamplesPerWrite == 0) out.drain(stdout);
  }
  out.end_array();
}

Quantiles quantiles_of_samples(const Samples& samples) {
  std::vector<double> values;
  values.reserve(samples.nanoseconds.size());
  for (const int64_t nanoseconds : samples.nanoseconds) values.push_back(milliseconds(nanoseconds));
  return quantiles_of(std::move(values));
}

std::string figure(const std::optional<double>& value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4f ms", value.value_or(0.0));
  return value ? text : "too few samples";
}

std::string bytes(const std::optional<uint64_t>& value) {
  return value ? std::to_string(*value) + " bytes" : "unavailable";
}

}  // namespace

void print_ready(const Subject& subject, const Samples& samples) {
  Json line;
  line.begin_object().key("ready").value(true).key("load_ms").value(subject.loading().milliseconds);
  write_warmup(line, samples.warmup);
  print_line(line.end_object().text());
}

void print_block(const Samples& samples) {
  Json line;
  line.begin_object().key("block").value(samples.blocks.size() - 1);
  write_samples(line, samples.nanoseconds, samples.nanoseconds.size() - samples.blocks.back());
  line.key("rss_bytes").value(samples.memory.rss_bytes);
  print_line(line.end_object().text());
}

void print_json(const BenchReport& report, bool with_samples) {
  const Quantiles quantiles = quantiles_of_samples(report.samples);
  Json out;
  out.begin_object().key("unit").value("ms");
  if (with_samples) write_samples(out, report.samples.nanoseconds, 0);
  out.key("blocks").value(report.samples.blocks);
  out.key("p50").value(quantiles.p50).key("p90").value(quantiles.p90);
  out.key("p95").value(quantiles.p95).key("p99").value(quantiles.p99);
  write_memory(out, report.subject, report.samples.memory);
  out.key("load_ms").value(report.subject.loading().milliseconds);
  out.key("threads").value(thread_count()).key("cpus").value(allowed_cores());
  write_warmup(out, report.samples.warmup);
  out.key("runtime").value(kRuntimeVersion).key("start_rss_bytes").value(report.start.memory.rss_bytes);
  print_line(out.end_object().text());
}

void print_text(const BenchReport& report) {
  const Samples& samples = report.samples;
  const Loading& loading = report.subject.loading();
  const Quantiles quantiles = quantiles_of_samples(samples);
  print_line(std::to_string(samples.nanoseconds.size()) + " samples in " +
             std::to_string(samples.blocks.size()) + " blocks after " + std::to_string(samples.warmup.runs) +
             " warm-up runs" + (samples.warmup.stable ? ", stable, " : ", ") +
             std::to_string(thread_count()) + " threads");
  print_line("p50 " + figure(quantiles.p50) + ", p90 " + figure(quantiles.p90) + ", p95 " +
             figure(quantiles.p95) + ", p99 " + figure(quantiles.p99));
  print_line("program " + std::to_string(loading.program_bytes) + " bytes, planned " +
             std::to_string(report.subject.description().planned_bytes) + " bytes");
  print_line("resident after load " + bytes(loading.memory.rss_bytes) + ", peak " +
             bytes(samples.memory.peak_rss_bytes) + ", load " + figure(loading.milliseconds));
}

}  // namespace edge
