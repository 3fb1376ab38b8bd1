// SPDX-License-Identifier: Apache-2.0
#include "npz.h"

#include <array>

#include "failure.h"

namespace edge {
namespace {

// Signatures and fixed sizes from the zip application note (APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16).
constexpr uint32_t kLocalSignature = 0x04034b50, kDirectorySignature = 0x02014b50, kEndSignature = 0x06054b50;
constexpr size_t kLocalBytes = 30, kDirectoryBytes = 46, kEndBytes = 22, kLongestComment = 65535;
constexpr uint32_t kInZip64 = 0xffffffff;

[[noreturn]] void refuse(const std::string& origin, const std::string& seen) {
  throw Failure(ExitCode::kBadInput, origin + ": " + seen, "expected an archive of stored .npy members",
                "save it with numpy.savez, not savez_compressed");
}

class Reader {
 public:
  Reader(const std::vector<uint8_t>& bytes, const std::string& origin) : bytes_(bytes), origin_(origin) {}

  void need(size_t at, size_t length) const {
    if (at > bytes_.size() || length > bytes_.size() - at) refuse(origin_, "a truncated zip archive");
  }
  uint64_t number(size_t at, size_t width) const {
    need(at, width);
    uint64_t value = 0;
    for (size_t byte = 0; byte < width; ++byte) value |= uint64_t{bytes_[at + byte]} << (8 * byte);
    return value;
  }
  std::vector<uint8_t> slice(size_t at, size_t length) const {
    need(at, length);
    const auto first = bytes_.begin() + static_cast<ptrdiff_t>(at);
    return {first, first + static_cast<ptrdiff_t>(length)};
  }
  size_t size() const { return bytes_.size(); }
  const std::string& origin() const { return origin_; }

 private:
  const std::vector<uint8_t>& bytes_;
  const std::string& origin_;
};

size_t find_end(const Reader& zip) {
  const size_t lowest =
      zip.size() > kEndBytes + kLongestComment ? zip.size() - kEndBytes - kLongestComment : 0;
  for (size_t at = zip.size() < kEndBytes ? 0 : zip.size() - kEndBytes + 1; at-- > lowest;) {
    if (zip.number(at, 4) == kEndSignature) return at;
  }
  refuse(zip.origin(), "no zip directory");
}

uint32_t crc32(const std::vector<uint8_t>& bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> rows{};
    for (uint32_t row = 0; row < 256; ++row) {
      uint32_t value = row;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320U : 0U);
      rows[row] = value;
    }
    return rows;
  }();
  uint32_t sum = 0xffffffff;
  for (const uint8_t byte : bytes) sum = (sum >> 8) ^ table[(sum ^ byte) & 0xff];
  return ~sum;
}

ZipMember read_member(const Reader& zip, size_t entry) {
  if (zip.number(entry, 4) != kDirectorySignature) refuse(zip.origin(), "a damaged zip directory");
  if (zip.number(entry + 10, 2) != 0) refuse(zip.origin(), "a compressed member");
  const uint64_t stored = zip.number(entry + 20, 4), plain = zip.number(entry + 24, 4);
  const uint64_t local = zip.number(entry + 42, 4);
  if (stored != plain || stored == kInZip64 || local == kInZip64)
    refuse(zip.origin(), "a member of 4 GiB or more, or damaged sizes");
  if (zip.number(local, 4) != kLocalSignature) refuse(zip.origin(), "a damaged member header");
  const size_t start = local + kLocalBytes + zip.number(local + 26, 2) + zip.number(local + 28, 2);
  const std::vector<uint8_t> name = zip.slice(entry + kDirectoryBytes, zip.number(entry + 28, 2));
  ZipMember member{{name.begin(), name.end()}, zip.slice(start, stored)};
  if (crc32(member.bytes) != zip.number(entry + 16, 4))
    refuse(zip.origin(), "a member with a wrong checksum");
  return member;
}

void append(std::vector<uint8_t>& out, uint64_t value, size_t width) {
  for (size_t byte = 0; byte < width; ++byte) out.push_back(static_cast<uint8_t>(value >> (8 * byte)));
}

// The fields that local and directory headers share, from "version needed" to "extra length". Stored,
// 1980-01-01.
void append_shared(std::vector<uint8_t>& out, const ZipMember& member) {
  append(out, 20, 2);
  append(out, 0, 6);
  append(out, 0x21, 2);
  append(out, crc32(member.bytes), 4);
  append(out, member.bytes.size(), 4);
  append(out, member.bytes.size(), 4);
  append(out, member.name.size(), 2);
  append(out, 0, 2);
}

}  // namespace

std::vector<ZipMember> parse_npz(const std::vector<uint8_t>& archive, const std::string& origin) {
  const Reader zip(archive, origin);
  const size_t end = find_end(zip);
  const uint64_t count = zip.number(end + 10, 2);
  size_t entry = zip.number(end + 16, 4);
  std::vector<ZipMember> members;
  uint64_t total = 0;
  for (uint64_t index = 0; index < count; ++index) {
    members.push_back(read_member(zip, entry));
    // Members that overlap could make a small archive large in memory.
    total += members.back().bytes.size();
    if (total > archive.size()) refuse(origin, "members that overlap");
    entry +=
        kDirectoryBytes + zip.number(entry + 28, 2) + zip.number(entry + 30, 2) + zip.number(entry + 32, 2);
  }
  return members;
}

std::vector<uint8_t> format_npz(const std::vector<ZipMember>& members) {
  std::vector<uint8_t> out, directory;
  for (const ZipMember& member : members) {
    append(directory, kDirectorySignature, 4);
    append(directory, 20, 2);
    append_shared(directory, member);
    append(directory, 0, 8);
    append(directory, 0, 2);
    append(directory, out.size(), 4);
    directory.insert(directory.end(), member.name.begin(), member.name.end());
    append(out, kLocalSignature, 4);
    append_shared(out, member);
    out.insert(out.end(), member.name.begin(), member.name.end());
    out.insert(out.end(), member.bytes.begin(), member.bytes.end());
  }
  const size_t start = out.size();
  out.insert(out.end(), directory.begin(), directory.end());
  append(out, kEndSignature, 4);
  append(out, 0, 4);
  append(out, members.size(), 2);
  append(out, members.size(), 2);
  append(out, directory.size(), 4);
  append(out, start, 4);
  append(out, 0, 2);
  return out;
}

}  // namespace edge
