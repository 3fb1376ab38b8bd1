// SPDX-License-Identifier: Apache-2.0
// The modes. Each parses its own words, throws Failure, and returns the exit status.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "json.h"
#include "memory_figures.h"
#include "program.h"

namespace edge {

// What was true when main began, before any program was opened.
struct Start {
  std::chrono::steady_clock::time_point time;
  MemoryFigures memory;
};

using Words = std::vector<std::string>;

int info_mode(const Words& words, const Start& start);
int bench_mode(const Words& words, const Start& start);
int run_mode(const Words& words, const Start& start);
int periodic_mode(const Words& words, const Start& start);
int profile_mode(const Words& words, const Start& start);
int repeat_mode(const Words& words, const Start& start);
int serve_mode(const Words& words, const Start& start);

inline constexpr const char* kRuntimeVersion = EDGE_RUNTIME_VERSION;
std::string architecture();

double milliseconds_since(std::chrono::steady_clock::time_point then);

// "inputs" and "outputs" as info, run and serve print them.
void write_ports(Json& out, const std::vector<Port>& ports);

void print_line(const std::string& text);  // on stdout, flushed

}  // namespace edge
