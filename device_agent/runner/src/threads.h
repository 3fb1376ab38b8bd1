// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace edge {

inline constexpr uint64_t kMostThreads = 256;

// Sets the size of ExecuTorch's thread pool; 0 leaves its default. Before any program is loaded.
void set_thread_count(uint64_t count);

size_t thread_count();

}  // namespace edge
