// SPDX-License-Identifier: Apache-2.0
// Between row-major elements and a tensor whose dimensions lie in memory in another order (channels last).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace edge {

bool is_row_major(const std::vector<uint8_t>& dim_order);

// `dim_order` lists the dimensions from the outermost to the innermost in memory, a permutation of 0..rank-1.
void to_row_major(const void* source, const std::vector<int64_t>& sizes,
                  const std::vector<uint8_t>& dim_order, size_t element_bytes, void* target);
void from_row_major(const void* source, const std::vector<int64_t>& sizes,
                    const std::vector<uint8_t>& dim_order, size_t element_bytes, void* target);

}  // namespace edge
