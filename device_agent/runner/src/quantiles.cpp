// SPDX-License-Identifier: Apache-2.0
#include "quantiles.h"

#include <algorithm>

namespace edge {
namespace {

double interpolate(const std::vector<double>& sorted, double quantile) {
  const double position = quantile * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (position - static_cast<double>(below));
}

}  // namespace

Quantiles quantiles_of(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  Quantiles result;
  result.p50 = interpolate(samples, 0.50);
  result.p90 = interpolate(samples, 0.90);
  if (samples.size() >= kP95Samples) result.p95 = interpolate(samples, 0.95);
  if (samples.size() >= kP99Samples) result.p99 = interpolate(samples, 0.99);
  return result;
}

}  // namespace edge
