// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "tensor_spec.h"

namespace edge {

struct Comparison {
  size_t mismatched = 0;       // elements outside the tolerance; all of them where dtype or shape differ
  double max_abs_error = 0.0;  // NaN and infinities where only one side has them count as infinite
};

// An element agrees where |actual - expected| <= atol + rtol * |expected|, or both are NaN (numpy.allclose,
// equal_nan).
Comparison compare_tensors(const TensorView& actual, const Tensor& expected, double atol, double rtol);

}  // namespace edge
