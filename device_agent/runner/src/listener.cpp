// SPDX-License-Identifier: Apache-2.0
#include "listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "failure.h"

namespace edge {
namespace {

constexpr int kBacklog = 64;

Failure unusable(const std::string& what, const std::string& seen) {
  return Failure(ExitCode::kIo, what + ": " + seen, "expected a place for a listening Unix socket",
                 "choose another with --socket or --listen-fd");
}

bool is_socket(const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
}

int make_socket(const std::string& path) {
  const int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (made < 0) throw unusable(path, std::strerror(errno));
  return made;
}

bool answers(const std::string& path, const sockaddr_un& address) {
  const int probe = make_socket(path);
  const bool refused = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
                       errno == ECONNREFUSED;
  close(probe);
  return !refused;
}

}  // namespace

Listener Listener::at_path(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    throw unusable(path, "a path of " + std::to_string(path.size()) + " bytes, 1 to " +
                             std::to_string(sizeof address.sun_path - 1) + " fit");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (is_socket(path)) {
    if (answers(path, address)) throw unusable(path, "another process listens there");
    unlink(path.c_str());
  }
  const int made = make_socket(path);
  const mode_t previous = umask(0177);
  const bool bound = bind(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  umask(previous);
  if (!bound || listen(made, kBacklog) != 0) {
    const std::string seen = std::strerror(errno);
    close(made);
    throw unusable(path, seen);
  }
  return {made, path};
}

Listener Listener::from_descriptor(int descriptor) {
  const std::string what = "descriptor " + std::to_string(descriptor);
  const auto option = [&](int name) {
    int value = 0;
    socklen_t size = sizeof value;
    if (getsockopt(descriptor, SOL_SOCKET, name, &value, &size) != 0)
      throw unusable(what, std::strerror(errno));
    return value;
  };
  if (option(SO_DOMAIN) != AF_UNIX || option(SO_TYPE) != SOCK_STREAM || option(SO_ACCEPTCONN) == 0) {
    throw unusable(what, "not a listening Unix stream socket");
  }
  fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  return {descriptor, std::nullopt};
}

Listener::~Listener() {
  if (socket_ < 0) return;
  close(socket_);
  if (path_) unlink(path_->c_str());
}

}  // namespace edge
