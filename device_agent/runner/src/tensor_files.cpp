// SPDX-License-Identifier: Apache-2.0
#include "tensor_files.h"

#include <executorch/runtime/core/exec_aten/exec_aten.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "failure.h"
#include "npy.h"
#include "npz.h"
#include "whole_file.h"

namespace edge {
namespace {

// What .npy and zip headers may add to the elements.
constexpr size_t kHeaderAllowance = size_t{1} << 20;

Failure unreadable(const std::string& path, const std::string& seen) {
  return Failure(ExitCode::kBadInput, path + ": " + seen, "expected a readable tensor file",
                 "check the path");
}

std::vector<uint8_t> read_file(const std::string& path, size_t limit) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) throw unreadable(path, std::strerror(errno));
  struct stat status {};
  const bool regular = fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  const auto size = regular ? static_cast<size_t>(status.st_size) : 0;
  std::vector<uint8_t> bytes(regular && size <= limit ? size : 0);
  size_t held = 0;
  while (held < bytes.size()) {
    const ssize_t count = read(file, bytes.data() + held, bytes.size() - held);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    held += static_cast<size_t>(count);
  }
  close(file);
  if (!regular) throw unreadable(path, "not a regular file");
  if (size > limit)
    throw unreadable(path, std::to_string(size) + " bytes, more than the tensors can need (" +
                               std::to_string(limit) + ")");
  if (held < bytes.size()) throw unreadable(path, "it shrank while being read");
  return bytes;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

Tensor read_raw(const std::string& path, const TensorSpec& spec) {
  Tensor tensor = make_tensor(spec);
  const std::vector<uint8_t> bytes = read_file(path, tensor.bytes.size() + kHeaderAllowance);
  if (bytes.size() != tensor.bytes.size()) {
    throw Failure(ExitCode::kBadInput, path + ": " + std::to_string(bytes.size()) + " bytes",
                  "expected " + std::to_string(tensor.bytes.size()) + " for " + describe(spec),
                  "pass exactly the elements, row-major");
  }
  if (!bytes.empty()) std::memcpy(tensor.bytes.data(), bytes.data(), bytes.size());
  return tensor;
}

void fill_uniform(Tensor& tensor, uint64_t& state) {
  const size_t width = element_bytes(tensor.spec.dtype);
  for (size_t at = 0; at < tensor.bytes.size(); at += width) {
    // Knuth's MMIX linear congruential generator; its high bits are the good ones.
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const double number = static_cast<double>(state >> 40) / static_cast<double>(1 << 23) - 1.0;
    if (width == 8) {
      std::memcpy(&tensor.bytes[at], &number, width);
    } else if (width == 4) {
      const auto single = static_cast<float>(number);
      std::memcpy(&tensor.bytes[at], &single, width);
    } else {
      const auto half = static_cast<executorch::aten::Half>(static_cast<float>(number));
      std::memcpy(&tensor.bytes[at], &half, width);
    }
  }
}

}  // namespace

std::vector<Tensor> read_tensors(const std::vector<std::string>& paths, const std::vector<TensorSpec>& specs,
                                 bool raw) {
  size_t limit = kHeaderAllowance;
  for (const TensorSpec& spec : specs) limit += spec_bytes(spec).value_or(0);
  std::vector<Tensor> tensors;
  for (const std::string& path : paths) {
    if (raw) {
      if (tensors.size() == specs.size())
        throw unreadable(path, "one file more than there are tensors (" + std::to_string(specs.size()) + ")");
      tensors.push_back(read_raw(path, specs[tensors.size()]));
    } else if (ends_with(path, ".npz")) {
      for (const ZipMember& member : parse_npz(read_file(path, limit), path)) {
        tensors.push_back(parse_npy(member.bytes, path + ":" + member.name));
      }
    } else {
      tensors.push_back(parse_npy(read_file(path, limit), path));
    }
  }
  return tensors;
}

void write_tensors(const std::vector<std::string>& paths, const std::vector<TensorView>& views, bool raw) {
  if (!raw && paths.size() == 1 && ends_with(paths[0], ".npz")) {
    std::vector<ZipMember> members;
    for (size_t index = 0; index < views.size(); ++index) {
      members.push_back({"arr_" + std::to_string(index) + ".npy", format_npy(views[index])});
    }
    const std::vector<uint8_t> archive = format_npz(members);
    write_whole(paths[0], archive.data(), archive.size());
    return;
  }
  if (paths.size() != views.size()) {
    throw Failure(ExitCode::kUsage, std::to_string(paths.size()) + " output paths",
                  "expected " + std::to_string(views.size()) + ", or one .npz",
                  "name one file for each output, or use --output-dir");
  }
  for (size_t index = 0; index < views.size(); ++index) {
    if (raw) {
      write_whole(paths[index], views[index].data, views[index].bytes);
    } else {
      const std::vector<uint8_t> bytes = format_npy(views[index]);
      write_whole(paths[index], bytes.data(), bytes.size());
    }
  }
}

std::vector<TensorSpec> specs_of(const std::vector<Port>& ports) {
  std::vector<TensorSpec> specs;
  for (const Port& port : ports) specs.push_back(port.spec);
  return specs;
}

std::vector<Tensor> default_inputs(const std::vector<TensorSpec>& specs) {
  std::vector<Tensor> tensors;
  uint64_t state = 1;
  for (const TensorSpec& spec : specs) {
    tensors.push_back(make_tensor(spec));
    if (is_floating(spec.dtype)) fill_uniform(tensors.back(), state);
  }
  return tensors;
}

}  // namespace edge
