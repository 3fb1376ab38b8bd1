// SPDX-License-Identifier: Apache-2.0
// The .npy format, versions 1.0 and 2.0 (numpy.lib.format): C order, little endian.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor_spec.h"

namespace edge {

// `origin` names the bytes in messages. Throws Failure(kBadInput).
Tensor parse_npy(const std::vector<uint8_t>& bytes, const std::string& origin);

std::vector<uint8_t> format_npy(const TensorView& view);

}  // namespace edge
