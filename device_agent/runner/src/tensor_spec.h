// SPDX-License-Identifier: Apache-2.0
// Element types and shapes, by the numbers ExecuTorch gives them and the names numpy does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace edge {

struct TensorSpec {
  uint8_t dtype = 0;  // ExecuTorch's scalar type
  std::vector<int64_t> sizes;

  bool operator==(const TensorSpec& other) const { return dtype == other.dtype && sizes == other.sizes; }
};

// A tensor that owns its elements: contiguous, row-major.
struct Tensor {
  TensorSpec spec;
  std::vector<uint8_t> bytes;
};

// A tensor that borrows them.
struct TensorView {
  TensorSpec spec;
  const void* data = nullptr;
  size_t bytes = 0;
};

// Kernels may load a few bytes past a tensor's end: whatever holds input elements reserves this much more.
inline constexpr size_t kReadSlack = 128;
inline constexpr size_t kMostDimensions = 16;

// 0 for an element type the runner does not carry.
size_t element_bytes(uint8_t dtype);
bool is_floating(uint8_t dtype);
std::string dtype_name(uint8_t dtype);

// The type and size letters of a .npy header ("f4"), and back. Absent for types numpy lacks.
std::optional<std::string> npy_code(uint8_t dtype);
std::optional<uint8_t> dtype_of_npy_code(const std::string& code);

// Absent where the sizes are negative or their product overflows.
std::optional<size_t> spec_bytes(const TensorSpec& spec);

std::string describe(const TensorSpec& spec);  // "float32 [1,1,8,8]"

Tensor make_tensor(const TensorSpec& spec);  // zeros

std::vector<TensorView> views_of(const std::vector<Tensor>& tensors);

}  // namespace edge
