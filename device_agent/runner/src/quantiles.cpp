// SPDX-License-Identifier: Apache-2.0
#include "quantiles.h"

#include <algorithm>

namespace edge {

double quantile_of_sorted(const std::vector<double>& sorted, double quantile) {
  const double position = quantile * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (position - static_cast<double>(below));
}

double median_in_place(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 != 0) return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2.0;
}

Quantiles quantiles_of(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  Quantiles result;
  result.p50 = quantile_of_sorted(samples, 0.50);
  result.p90 = quantile_of_sorted(samples, 0.90);
  if (samples.size() >= kP95Samples) result.p95 = quantile_of_sorted(samples, 0.95);
  if (samples.size() >= kP99Samples) result.p99 = quantile_of_sorted(samples, 0.99);
  return result;
}

}  // namespace edge
