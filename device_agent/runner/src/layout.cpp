// SPDX-License-Identifier: Apache-2.0
#include "layout.h"

#include <cstring>

namespace edge {
namespace {

// Calls visit(row-major element, element in memory) for every element.
template <typename Visit>
void for_each_element(const std::vector<int64_t>& sizes, const std::vector<uint8_t>& dim_order, Visit visit) {
  const size_t rank = sizes.size();
  std::vector<size_t> strides(rank), position(rank);
  size_t count = 1;
  for (size_t at = rank; at-- > 0;) {
    strides[dim_order[at]] = count;
    count *= static_cast<size_t>(sizes[dim_order[at]]);
  }
  size_t offset = 0;
  for (size_t element = 0; element < count; ++element) {
    visit(element, offset);
    for (size_t dim = rank; dim-- > 0;) {
      offset += strides[dim];
      if (++position[dim] < static_cast<size_t>(sizes[dim])) break;
      offset -= strides[dim] * position[dim];
      position[dim] = 0;
    }
  }
}

}  // namespace

bool is_row_major(const std::vector<uint8_t>& dim_order) {
  for (size_t at = 0; at < dim_order.size(); ++at) {
    if (dim_order[at] != at) return false;
  }
  return true;
}

void to_row_major(const void* source, const std::vector<int64_t>& sizes,
                  const std::vector<uint8_t>& dim_order, size_t element_bytes, void* target) {
  const auto* from = static_cast<const uint8_t*>(source);
  auto* into = static_cast<uint8_t*>(target);
  for_each_element(sizes, dim_order, [&](size_t element, size_t offset) {
    std::memcpy(into + element * element_bytes, from + offset * element_bytes, element_bytes);
  });
}

void from_row_major(const void* source, const std::vector<int64_t>& sizes,
                    const std::vector<uint8_t>& dim_order, size_t element_bytes, void* target) {
  const auto* from = static_cast<const uint8_t*>(source);
  auto* into = static_cast<uint8_t*>(target);
  for_each_element(sizes, dim_order, [&](size_t element, size_t offset) {
    std::memcpy(into + offset * element_bytes, from + element * element_bytes, element_bytes);
  });
}

}  // namespace edge
