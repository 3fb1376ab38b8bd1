// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

namespace edge {

// Writes a file that is complete or absent: beside its place, then renamed into it. Throws Failure(kIo).
void write_whole(const std::string& path, const void* data, size_t bytes);

}  // namespace edge
