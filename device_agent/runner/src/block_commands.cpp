// SPDX-License-Identifier: Apache-2.0
#include "block_commands.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "failure.h"

namespace edge {
namespace {

constexpr size_t kLongestLine = 64;

}  // namespace

// Without its newline. Longer ones come cut: they are no command either way.
std::string BlockCommands::read_line() {
  size_t end = unread_.find('\n');
  while (end == std::string::npos && !ended_ && unread_.size() < kLongestLine) {
    char bytes[kLongestLine];
    const ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      throw Failure(ExitCode::kIo, std::string("standard input: ") + std::strerror(errno),
                    "expected the commands of --paced", "open it, or leave --paced out");
    }
    ended_ = count == 0;
    unread_.append(bytes, static_cast<size_t>(count));
    end = unread_.find('\n');
  }
  const std::string line = unread_.substr(0, end);
  unread_.erase(0, end == std::string::npos ? end : end + 1);
  return line;
}

bool BlockCommands::next() {
  const std::string line = read_line();
  if (line == "block") return true;
  if (line == "end" || (line.empty() && ended_)) return false;
  throw Failure(ExitCode::kUsage, "the command " + line.substr(0, kLongestLine),
                "expected block or end, each on a line of its own", "send one of them");
}

}  // namespace edge
