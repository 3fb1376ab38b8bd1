// SPDX-License-Identifier: Apache-2.0
// The listening socket: a path of our own, or one inherited from the agent, which outlives this process.
#pragma once

#include <optional>
#include <string>

namespace edge {

class Listener {
 public:
  // Binds with mode 0600. A stale socket file at `path` is replaced, a live one refused. Throws Failure(kIo).
  static Listener at_path(const std::string& path);

  // Takes over a listening Unix socket. O_NONBLOCK is set on it, which its other holders share. Throws
  // Failure(kIo).
  static Listener from_descriptor(int descriptor);

  ~Listener();
  Listener(Listener&& other) noexcept : socket_(other.socket_), path_(std::move(other.path_)) {
    other.socket_ = -1;
  }
  Listener& operator=(Listener&&) = delete;

  int socket() const { return socket_; }

 private:
  Listener(int socket, std::optional<std::string> path) : socket_(socket), path_(std::move(path)) {}

  int socket_;
  std::optional<std::string> path_;  // removed at the end
};

}  // namespace edge
