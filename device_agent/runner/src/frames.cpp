// SPDX-License-Identifier: Apache-2.0
#include "frames.h"

#include "failure.h"

namespace edge {
namespace {

constexpr uint32_t kMagic = 0x52474445;  // "EDGR" as it lies in memory
constexpr uint8_t kVersion = 1;
constexpr size_t kCountBytes = 8, kTensorHeadBytes = 8;

// Byte by byte, so that the format does not follow the machine's byte order.
uint64_t read_integer(const uint8_t* at, size_t width) {
  uint64_t value = 0;
  for (size_t byte = 0; byte < width; ++byte) value |= uint64_t{at[byte]} << (8 * byte);
  return value;
}

void append_integer(std::vector<uint8_t>& out, uint64_t value, size_t width) {
  for (size_t byte = 0; byte < width; ++byte) out.push_back(static_cast<uint8_t>(value >> (8 * byte)));
}

uint64_t padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

Answer begin_frame(FrameKind kind, FrameStatus status, uint64_t id, uint64_t nanoseconds,
                   uint64_t payload_bytes) {
  Answer frame;
  frame.reserve(kHeaderBytes + payload_bytes);
  append_integer(frame, kMagic, 4);
  append_integer(frame, kVersion, 1);
  append_integer(frame, static_cast<uint64_t>(kind), 1);
  append_integer(frame, static_cast<uint64_t>(status), 2);
  append_integer(frame, id, 8);
  append_integer(frame, nanoseconds, 8);
  append_integer(frame, payload_bytes, 8);
  append_integer(frame, 0, 8);
  return frame;
}

[[noreturn]] void refuse(const std::string& seen) {
  throw Failure(ExitCode::kBadInput, seen, "expected tensors as in docs/runner-frames.md",
                "check the client");
}

// Reads tensors one after another, never beyond the payload.
class TensorReader {
 public:
  TensorReader(const uint8_t* payload, size_t bytes) : at_(payload), left_(bytes) {}

  const uint8_t* take(uint64_t bytes, const char* what) {
    if (bytes > left_) refuse(std::string("a payload that ends in ") + what);
    const uint8_t* start = at_;
    at_ += bytes;
    left_ -= static_cast<size_t>(bytes);
    return start;
  }

  TensorView tensor() {
    const uint8_t* head = take(kTensorHeadBytes, "a tensor's head");
    TensorView view;
    view.spec.dtype = head[0];
    const size_t rank = head[1];
    if (element_bytes(view.spec.dtype) == 0) refuse("a tensor of dtype " + std::to_string(head[0]));
    if (rank > kMostDimensions) refuse("a tensor of rank " + std::to_string(rank));
    const uint8_t* sizes = take(8 * rank + 8, "a tensor's sizes");
    for (size_t dim = 0; dim < rank; ++dim)
      view.spec.sizes.push_back(static_cast<int64_t>(read_integer(sizes + 8 * dim, 8)));
    const uint64_t bytes = read_integer(sizes + 8 * rank, 8);
    const std::optional<size_t> expected = spec_bytes(view.spec);
    if (!expected || *expected != bytes)
      refuse("a tensor " + describe(view.spec) + " with " + std::to_string(bytes) + " bytes");
    // Compared before padding, which could overflow.
    if (bytes > left_) refuse("a payload that ends in a tensor's data");
    view.bytes = static_cast<size_t>(bytes);
    view.data = take(padded(bytes), "a tensor's padding");
    return view;
  }

  bool finished() const { return left_ == 0; }

 private:
  const uint8_t* at_;
  size_t left_;
};

}  // namespace

std::optional<std::string> parse_request_header(const uint8_t* bytes, uint64_t most_payload,
                                                FrameHeader& header) {
  if (read_integer(bytes, 4) != kMagic) return "the magic is wrong; expected EDGR";
  header.kind = bytes[5];
  header.id = read_integer(bytes + 8, 8);
  header.payload_bytes = read_integer(bytes + 24, 8);
  if (bytes[4] != kVersion)
    return "version " + std::to_string(bytes[4]) + "; expected " + std::to_string(kVersion);
  const bool infer = header.kind == static_cast<uint8_t>(FrameKind::kInfer);
  if (!infer && header.kind != static_cast<uint8_t>(FrameKind::kStats)) {
    return "kind " + std::to_string(header.kind) + "; expected 1 (INFER) or 2 (STATS)";
  }
  const uint64_t most = infer ? most_payload : 0;
  if (header.payload_bytes > most) {
    return "a payload of " + std::to_string(header.payload_bytes) + " bytes; expected at most " +
           std::to_string(most);
  }
  return std::nullopt;
}

std::vector<TensorView> parse_tensors(const uint8_t* payload, size_t bytes) {
  TensorReader reader(payload, bytes);
  const uint64_t count = read_integer(reader.take(kCountBytes, "the tensor count"), 4);
  // Each tensor takes 16 bytes or more, so a false count ends at the payload's end.
  std::vector<TensorView> tensors;
  for (uint64_t index = 0; index < count; ++index) tensors.push_back(reader.tensor());
  if (!reader.finished()) refuse("a payload that goes on after its tensors");
  return tensors;
}

uint64_t payload_bytes_of(const std::vector<TensorSpec>& specs) {
  uint64_t bytes = kCountBytes;
  for (const TensorSpec& spec : specs)
    bytes += kTensorHeadBytes + 8 * spec.sizes.size() + 8 + padded(spec_bytes(spec).value_or(0));
  return bytes;
}

Answer result_frame(uint64_t id, uint64_t execute_nanoseconds, const std::vector<TensorView>& tensors) {
  std::vector<TensorSpec> specs;
  for (const TensorView& tensor : tensors) specs.push_back(tensor.spec);
  Answer frame =
      begin_frame(FrameKind::kResult, FrameStatus::kOk, id, execute_nanoseconds, payload_bytes_of(specs));
  append_integer(frame, tensors.size(), 8);
  for (const TensorView& tensor : tensors) {
    append_integer(frame, tensor.spec.dtype, 1);
    append_integer(frame, tensor.spec.sizes.size(), 7);
    for (const int64_t size : tensor.spec.sizes) append_integer(frame, static_cast<uint64_t>(size), 8);
    append_integer(frame, tensor.bytes, 8);
    const auto* data = static_cast<const uint8_t*>(tensor.data);
    frame.insert(frame.end(), data, data + tensor.bytes);
    frame.resize(frame.size() + padded(tensor.bytes) - tensor.bytes);
  }
  return frame;
}

Answer stats_frame(uint64_t id, const std::string& json) {
  Answer frame = begin_frame(FrameKind::kStatsResult, FrameStatus::kOk, id, 0, json.size());
  frame.insert(frame.end(), json.begin(), json.end());
  return frame;
}

Answer error_frame(uint64_t id, FrameStatus status, const std::string& message) {
  Answer frame = begin_frame(FrameKind::kError, status, id, 0, message.size());
  frame.insert(frame.end(), message.begin(), message.end());
  return frame;
}

}  // namespace edge
