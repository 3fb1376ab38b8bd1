// SPDX-License-Identifier: Apache-2.0
// The socket's frame format: docs/runner-frames.md. Pure functions over bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tensor_spec.h"

namespace edge {

inline constexpr size_t kHeaderBytes = 40;

enum class FrameKind : uint8_t { kInfer = 1, kStats = 2, kResult = 129, kStatsResult = 130, kError = 255 };
enum class FrameStatus : uint16_t { kOk = 0, kBadFrame = 1, kBadInput = 2, kExecutionFailed = 3, kBusy = 4 };

struct FrameHeader {
  uint8_t kind = 0;
  uint64_t id = 0;
  uint64_t payload_bytes = 0;
};

// The bytes of one whole answer.
using Answer = std::vector<uint8_t>;

// What is wrong with a request's header, or nothing. `header` is filled as far as it can be read.
std::optional<std::string> parse_request_header(const uint8_t* bytes, uint64_t most_payload,
                                                FrameHeader& header);

// Views into the payload. Throws Failure(kBadInput).
std::vector<TensorView> parse_tensors(const uint8_t* payload, size_t bytes);

// The longest payload whose tensors match `specs`.
uint64_t payload_bytes_of(const std::vector<TensorSpec>& specs);

Answer result_frame(uint64_t id, uint64_t execute_nanoseconds, const std::vector<TensorView>& tensors);
Answer stats_frame(uint64_t id, const std::string& json);
Answer error_frame(uint64_t id, FrameStatus status, const std::string& message);

}  // namespace edge
