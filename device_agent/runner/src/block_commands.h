// SPDX-License-Identifier: Apache-2.0
// The lines on standard input that drive `bench --paced`.
#pragma once

#include <string>

namespace edge {

class BlockCommands {
 public:
  // Waits for the next line. True for "block"; false for "end" and where the input ends. Throws
  // Failure(kUsage) on any other line, Failure(kIo) where standard input cannot be read.
  bool next();

 private:
  std::string read_line();

  std::string unread_;
  bool ended_ = false;
};

}  // namespace edge
