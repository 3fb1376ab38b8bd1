// SPDX-License-Identifier: Apache-2.0
#include "npy.h"

#include <charconv>
#include <cstring>

#include "failure.h"

namespace edge {
namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicBytes = 6;
constexpr size_t kLongestHeader = 65536;

[[noreturn]] void refuse(const std::string& origin, const std::string& seen) {
  throw Failure(ExitCode::kBadInput, origin + ": " + seen,
                "expected a .npy array (version 1 or 2, C order, little endian) of numbers or bool",
                "save it with numpy.save(path, numpy.ascontiguousarray(array))");
}

// The text of the header's value for `key`, from after the colon and blanks.
std::string value_after(const std::string& header, const std::string& key, const std::string& origin) {
  const size_t at = header.find("'" + key + "':");
  if (at == std::string::npos) refuse(origin, "a header without " + key);
  const size_t value = header.find_first_not_of(' ', at + key.size() + 3);
  if (value == std::string::npos) refuse(origin, "a header that ends after " + key);
  return header.substr(value);
}

uint8_t parse_dtype(const std::string& header, const std::string& origin) {
  const std::string value = value_after(header, "descr", origin);
  const size_t end = value.find('\'', 1);
  if (value[0] != '\'' || end == std::string::npos || end < 3)
    refuse(origin, "a header with a structured dtype");
  const std::string descr = value.substr(1, end - 1);
  const std::optional<uint8_t> dtype = dtype_of_npy_code(descr.substr(1));
  const bool little = descr[0] == '<' || (descr[0] == '|' && dtype && element_bytes(*dtype) == 1);
  if (!dtype || !little) refuse(origin, "dtype " + descr);
  return *dtype;
}

std::vector<int64_t> parse_shape(const std::string& header, const std::string& origin) {
  const std::string value = value_after(header, "shape", origin);
  const size_t end = value.find(')');
  if (value[0] != '(' || end == std::string::npos) refuse(origin, "a header without a shape tuple");
  std::vector<int64_t> sizes;
  const char* at = value.data() + 1;
  const char* const stop = value.data() + end;
  while (at < stop) {
    int64_t size = 0;
    const auto parsed = std::from_chars(at, stop, size);
    if (parsed.ec != std::errc() || size < 0 || sizes.size() == kMostDimensions)
      refuse(origin, "a header with a damaged shape");
    sizes.push_back(size);
    at = parsed.ptr;
    while (at < stop && (*at == ' ' || *at == ',')) ++at;
  }
  return sizes;
}

}  // namespace

Tensor parse_npy(const std::vector<uint8_t>& bytes, const std::string& origin) {
  if (bytes.size() < kMagicBytes + 4 || std::memcmp(bytes.data(), kMagic, kMagicBytes) != 0)
    refuse(origin, "no .npy header");
  const uint8_t major = bytes[6];
  if (major != 1 && major != 2) refuse(origin, ".npy version " + std::to_string(major));
  const size_t length_bytes = major == 1 ? 2 : 4;
  const size_t start = kMagicBytes + 2 + length_bytes;
  if (bytes.size() < start) refuse(origin, "a truncated header");
  size_t length = 0;
  for (size_t at = 0; at < length_bytes; ++at) length |= size_t{bytes[kMagicBytes + 2 + at]} << (8 * at);
  if (length > kLongestHeader || length > bytes.size() - start) refuse(origin, "a truncated header");
  const std::string header(bytes.begin() + static_cast<ptrdiff_t>(start),
                           bytes.begin() + static_cast<ptrdiff_t>(start + length));

  if (value_after(header, "fortran_order", origin).rfind("False", 0) != 0) refuse(origin, "Fortran order");
  const TensorSpec spec{parse_dtype(header, origin), parse_shape(header, origin)};
  const std::optional<size_t> expected = spec_bytes(spec);
  const size_t held = bytes.size() - start - length;
  if (!expected || *expected != held) {
    refuse(origin, describe(spec) + " with " + std::to_string(held) + " bytes of data");
  }
  Tensor tensor = make_tensor(spec);
  if (held != 0) std::memcpy(tensor.bytes.data(), bytes.data() + start + length, held);
  return tensor;
}

std::vector<uint8_t> format_npy(const TensorView& view) {
  const std::string code = npy_code(view.spec.dtype).value_or("u1");
  std::string header = std::string("{'descr': '") + (element_bytes(view.spec.dtype) == 1 ? "|" : "<") + code +
                       "', 'fortran_order': False, 'shape': (";
  for (const int64_t size : view.spec.sizes) header += std::to_string(size) + ",";
  header += "), }";
  // The data starts at a multiple of 64, as numpy writes it; the header ends in a newline.
  const size_t unpadded = kMagicBytes + 4 + header.size() + 1;
  header.append((64 - unpadded % 64) % 64, ' ');
  header += '\n';

  std::vector<uint8_t> bytes(kMagic, kMagic + kMagicBytes);
  bytes.insert(bytes.end(),
               {1, 0, static_cast<uint8_t>(header.size() & 0xff), static_cast<uint8_t>(header.size() >> 8)});
  bytes.insert(bytes.end(), header.begin(), header.end());
  const auto* data = static_cast<const uint8_t*>(view.data);
  bytes.insert(bytes.end(), data, data + view.bytes);
  return bytes;
}

}  // namespace edge
