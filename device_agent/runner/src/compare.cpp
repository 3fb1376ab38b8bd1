// SPDX-License-Identifier: Apache-2.0
#include "compare.h"

#include <executorch/runtime/core/exec_aten/exec_aten.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace edge {
namespace {

template <typename Element>
Element element_at(const void* data, size_t index) {
  Element element;
  std::memcpy(&element, static_cast<const uint8_t*>(data) + index * sizeof(Element), sizeof(Element));
  return element;
}

double absolute_error(double actual, double expected) {
  if (actual == expected || (std::isnan(actual) && std::isnan(expected))) return 0.0;
  const double error = std::abs(actual - expected);
  return std::isfinite(error) ? error : std::numeric_limits<double>::infinity();
}

template <typename Element>
Comparison compare_elements(const TensorView& actual, const Tensor& expected, double atol, double rtol) {
  Comparison result;
  const size_t count = expected.bytes.size() / sizeof(Element);
  for (size_t index = 0; index < count; ++index) {
    const auto left = element_at<Element>(actual.data, index);
    const auto right = element_at<Element>(expected.bytes.data(), index);
    const auto left_number = static_cast<double>(left), right_number = static_cast<double>(right);
    double error = absolute_error(left_number, right_number);
    // int64 values may differ and still be the same double.
    if (error == 0.0 && std::numeric_limits<Element>::is_integer && left != right) error = 1.0;
    result.max_abs_error = std::max(result.max_abs_error, error);
    const bool beyond =
        error != 0.0 && !(std::isfinite(right_number) && error <= atol + rtol * std::abs(right_number));
    if (beyond) ++result.mismatched;
  }
  return result;
}

}  // namespace

Comparison compare_tensors(const TensorView& actual, const Tensor& expected, double atol, double rtol) {
  if (!(actual.spec == expected.spec)) {
    return {
        std::max<size_t>(1, expected.bytes.size() / std::max<size_t>(1, element_bytes(expected.spec.dtype))),
        std::numeric_limits<double>::infinity()};
  }
  switch (actual.spec.dtype) {
    case 1:
      return compare_elements<int8_t>(actual, expected, atol, rtol);
    case 2:
      return compare_elements<int16_t>(actual, expected, atol, rtol);
    case 3:
      return compare_elements<int32_t>(actual, expected, atol, rtol);
    case 4:
      return compare_elements<int64_t>(actual, expected, atol, rtol);
    case 5:
      return compare_elements<executorch::aten::Half>(actual, expected, atol, rtol);
    case 6:
      return compare_elements<float>(actual, expected, atol, rtol);
    case 7:
      return compare_elements<double>(actual, expected, atol, rtol);
    default:  // uint8 and bool
      return compare_elements<uint8_t>(actual, expected, atol, rtol);
  }
}

}  // namespace edge
