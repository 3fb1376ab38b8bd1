// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace edge {

// Quantiles by linear interpolation between order statistics (Hyndman & Fan type 7, numpy's default).
// A tail that too few samples hold up is absent: p95 below 200 samples, p99 below 1,000.
struct Quantiles {
  std::optional<double> p50, p90, p95, p99;
};

inline constexpr size_t kP95Samples = 200;
inline constexpr size_t kP99Samples = 1000;

Quantiles quantiles_of(std::vector<double> samples);

// Of at least one value. The second reorders them.
double quantile_of_sorted(const std::vector<double>& sorted, double quantile);
double median_in_place(std::vector<double>& values);

}  // namespace edge
