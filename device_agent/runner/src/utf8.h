// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

namespace edge {

// Length of the valid UTF-8 sequence at `at`, or 0 (RFC 3629: no overlong forms, no surrogates).
size_t utf8_sequence_length(std::string_view text, size_t at);

}  // namespace edge
