// SPDX-License-Identifier: Apache-2.0
#include "tensor_spec.h"

#include "failure.h"

namespace edge {
namespace {

struct DtypeRow {
  uint8_t dtype;
  size_t bytes;
  const char* name;
  const char* npy;
};

constexpr DtypeRow kDtypes[] = {
    {0, 1, "uint8", "u1"},   {1, 1, "int8", "i1"},    {2, 2, "int16", "i2"},
    {3, 4, "int32", "i4"},   {4, 8, "int64", "i8"},   {5, 2, "float16", "f2"},
    {6, 4, "float32", "f4"}, {7, 8, "float64", "f8"}, {11, 1, "bool", "b1"},
};

const DtypeRow* find_row(uint8_t dtype) {
  for (const DtypeRow& row : kDtypes) {
    if (row.dtype == dtype) return &row;
  }
  return nullptr;
}

}  // namespace

size_t element_bytes(uint8_t dtype) {
  const DtypeRow* row = find_row(dtype);
  return row == nullptr ? 0 : row->bytes;
}

bool is_floating(uint8_t dtype) { return dtype >= 5 && dtype <= 7; }

std::string dtype_name(uint8_t dtype) {
  const DtypeRow* row = find_row(dtype);
  return row == nullptr ? "scalar type " + std::to_string(dtype) : row->name;
}

std::optional<std::string> npy_code(uint8_t dtype) {
  const DtypeRow* row = find_row(dtype);
  return row == nullptr ? std::nullopt : std::optional<std::string>(row->npy);
}

std::optional<uint8_t> dtype_of_npy_code(const std::string& code) {
  for (const DtypeRow& row : kDtypes) {
    if (code == row.npy) return row.dtype;
  }
  return std::nullopt;
}

std::optional<size_t> spec_bytes(const TensorSpec& spec) {
  size_t bytes = element_bytes(spec.dtype);
  for (const int64_t size : spec.sizes) {
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<size_t>(size), &bytes)) return std::nullopt;
  }
  return bytes;
}

std::string describe(const TensorSpec& spec) {
  std::string sizes;
  for (const int64_t size : spec.sizes) sizes += (sizes.empty() ? "" : ",") + std::to_string(size);
  return dtype_name(spec.dtype) + " [" + sizes + "]";
}

Tensor make_tensor(const TensorSpec& spec) {
  const std::optional<size_t> bytes = spec_bytes(spec);
  if (!bytes) {
    throw Failure(ExitCode::kBadInput, "a tensor " + describe(spec), "expected a size that memory can hold",
                  "check the tensor's shape");
  }
  Tensor tensor{spec, {}};
  tensor.bytes.reserve(*bytes + kReadSlack);
  tensor.bytes.resize(*bytes);
  return tensor;
}

std::vector<TensorView> views_of(const std::vector<Tensor>& tensors) {
  std::vector<TensorView> views;
  for (const Tensor& tensor : tensors)
    views.push_back({tensor.spec, tensor.bytes.data(), tensor.bytes.size()});
  return views;
}

}  // namespace edge
