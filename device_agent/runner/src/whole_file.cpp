// SPDX-License-Identifier: Apache-2.0
#include "whole_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "failure.h"

namespace edge {

void write_whole(const std::string& path, const void* data, size_t bytes) {
  const std::string temporary = path + ".part";
  const auto fail = [&]() {
    const std::string seen = path + ": " + std::strerror(errno);
    unlink(temporary.c_str());
    return Failure(ExitCode::kIo, seen, "expected a place to write " + std::to_string(bytes) + " bytes",
                   "check the directory and its free space");
  };
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) throw fail();
  const auto* at = static_cast<const uint8_t*>(data);
  for (size_t left = bytes; left > 0;) {
    const ssize_t count = write(file, at, left);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      close(file);
      throw fail();
    }
    at += count;
    left -= static_cast<size_t>(count);
  }
  if (close(file) != 0 || rename(temporary.c_str(), path.c_str()) != 0) throw fail();
}

}  // namespace edge
