// SPDX-License-Identifier: Apache-2.0
#include "processor_core.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <utility>

// The wheel exports these symbols but ships no cpuinfo.h. Of `struct cpuinfo_uarch_info` only the first member
// is read, which is the enumerator.
extern "C" {
bool cpuinfo_initialize(void);
const uint32_t* cpuinfo_get_uarch(uint32_t index);
}

namespace edge {
namespace {

// The cores of Raspberry Pis, by the numbers of `enum cpuinfo_uarch`.
constexpr std::array<std::pair<uint32_t, const char*>, 3> kNames{
    {{0x00300353, "cortex-a53"}, {0x00300372, "cortex-a72"}, {0x00300376, "cortex-a76"}}};

}  // namespace

std::string recognised_core() {
  const uint32_t* first = cpuinfo_initialize() ? cpuinfo_get_uarch(0) : nullptr;
  if (first == nullptr) return "";
  for (const auto& [number, name] : kNames) {
    if (number == *first) return name;
  }
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", *first);
  return text;
}

}  // namespace edge
