// SPDX-License-Identifier: Apache-2.0
// The .npz format, as numpy.savez writes it: a zip archive of stored .npy members. Compressed members are
// refused.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace edge {

struct ZipMember {
  std::string name;
  std::vector<uint8_t> bytes;
};

// Members in the order of the archive's directory. Throws Failure(kBadInput).
std::vector<ZipMember> parse_npz(const std::vector<uint8_t>& archive, const std::string& origin);

std::vector<uint8_t> format_npz(const std::vector<ZipMember>& members);

}  // namespace edge
