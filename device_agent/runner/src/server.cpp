// SPDX-License-Identifier: Apache-2.0
#include "server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "failure.h"
#include "runtime_log.h"
#include "tensor_files.h"

namespace edge {
namespace {

constexpr size_t kMostClients = 64;
// How long clients may take to fetch the last answers once the server is told to stop.
constexpr std::chrono::seconds kFarewell{2};
constexpr int kFarewellPollMs = 50;

}  // namespace

Server::Server(LoadedMethod& method, int listening_socket, int stop_descriptor, size_t queue_limit)
    : method_(method),
      listening_socket_(listening_socket),
      stop_descriptor_(stop_descriptor),
      queue_limit_(queue_limit),
      most_payload_(payload_bytes_of(specs_of(method.description().inputs))) {}

void Server::run() {
  while (!stopping_) {
    poll_once();
    execute_next();
  }
  // A request that had arrived whole is answered; no new one is read.
  for (auto& [client, connection] : clients_) connection->stop_reading();
  const auto deadline = std::chrono::steady_clock::now() + kFarewell;
  while (!finished() && std::chrono::steady_clock::now() < deadline) {
    poll_once();
    execute_next();
  }
}

bool Server::finished() const { return queue_.empty() && clients_.empty(); }

std::vector<pollfd> Server::interests() const {
  const short accept = !stopping_ && accepting_ ? POLLIN : 0;
  std::vector<pollfd> polled{{stopping_ ? -1 : stop_descriptor_, POLLIN, 0},
                             {accept != 0 ? listening_socket_ : -1, accept, 0}};
  for (const auto& [client, connection] : clients_) {
    const int events = (connection->wants_read() ? POLLIN : 0) | (connection->wants_write() ? POLLOUT : 0);
    polled.push_back({connection->socket(), static_cast<short>(events), 0});
  }
  return polled;
}

void Server::poll_once() {
  std::vector<pollfd> polled = interests();
  const int timeout = !queue_.empty() ? 0 : stopping_ ? kFarewellPollMs : -1;
  if (poll(polled.data(), polled.size(), timeout) < 0 && errno != EINTR) {
    throw Failure(ExitCode::kIo, "poll failed", "expected usable sockets", "restart the runner");
  }
  stopping_ = stopping_ || (polled[0].revents & POLLIN) != 0;
  // The clients in `polled` are those of clients_, in its order: nobody joined or left since.
  size_t at = 2;
  std::vector<uint64_t> gone;
  for (auto& [client, connection] : clients_) {
    const short events = polled[at++].revents;
    if ((events & (POLLIN | POLLHUP)) != 0 && connection->wants_read()) read_client(client, *connection);
    // A peer that hung up while it is not being read from would wake poll without end.
    const bool hung_up =
        (events & (POLLERR | POLLNVAL)) != 0 || ((events & POLLHUP) != 0 && !connection->wants_read());
    if (hung_up) gone.push_back(client);
  }
  for (const uint64_t client : gone) drop_client(client);
  if ((polled[1].revents & POLLIN) != 0) accept_clients();
  settle_clients();
}

void Server::accept_clients() {
  while (true) {
    const int socket = accept4(listening_socket_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (socket < 0) {
      // Out of descriptors: wait until a client leaves, or poll would spin on the waiting one.
      accepting_ = errno == EAGAIN || errno == EWOULDBLOCK || clients_.empty();
      return;
    }
    if (clients_.size() >= kMostClients) {
      refuse_client(socket);
    } else {
      clients_.emplace(next_client_++, std::make_unique<Connection>(socket, most_payload_));
    }
  }
}

void Server::refuse_client(int socket) {
  stats_.record_rejected();
  Connection connection(socket, most_payload_);
  connection.fill_answer(connection.reserve_answer(),
                         error_frame(0, FrameStatus::kBusy,
                                     std::to_string(kMostClients) +
                                         " clients are connected; expected fewer; connect again later"));
  connection.flush();
}

void Server::read_client(uint64_t client, Connection& connection) {
  while (connection.wants_read()) {
    Frame frame;
    std::string problem;
    const Connection::Read read = connection.read_frame(frame, problem);
    if (read == Connection::Read::kFrame) {
      take_frame(client, connection, std::move(frame));
      continue;
    }
    if (read == Connection::Read::kBadFrame) {
      stats_.record_error();
      connection.fill_answer(connection.reserve_answer(),
                             error_frame(frame.header.id, FrameStatus::kBadFrame, problem));
    }
    return;
  }
}

void Server::take_frame(uint64_t client, Connection& connection, Frame frame) {
  const uint64_t place = connection.reserve_answer();
  if (frame.header.kind == static_cast<uint8_t>(FrameKind::kStats)) {
    connection.fill_answer(place, stats_frame(frame.header.id, stats_.report(clients_.size())));
  } else if (queue_.size() >= queue_limit_) {
    stats_.record_rejected();
    connection.fill_answer(
        place, error_frame(frame.header.id, FrameStatus::kBusy,
                           std::to_string(queue_.size()) + " requests are waiting; expected fewer than " +
                               std::to_string(queue_limit_) + "; send it again later"));
  } else {
    queue_.push_back({client, place, std::move(frame)});
  }
}

void Server::execute_next() {
  if (queue_.empty()) return;
  Request request = std::move(queue_.front());
  queue_.pop_front();
  executing_ = std::move(request.frame);
  const auto found = clients_.find(request.client);
  found->second->fill_answer(request.place, infer(executing_));
  settle_clients();
}

Answer Server::infer(const Frame& frame) {
  const uint64_t id = frame.header.id;
  clear_runtime_log();
  try {
    const std::vector<TensorView> inputs = parse_tensors(frame.payload.get(), frame.header.payload_bytes);
    method_.set_inputs(inputs);
    const auto before = std::chrono::steady_clock::now();
    const bool worked = method_.execute();
    const auto spent = std::chrono::steady_clock::now() - before;
    if (!worked) throw method_.execution_failure();
    const auto nanoseconds = static_cast<uint64_t>(std::chrono::nanoseconds(spent).count());
    stats_.record_inference(nanoseconds);
    return result_frame(id, nanoseconds, method_.outputs());
  } catch (const Failure& failure) {
    stats_.record_error();
    const bool input = failure.code() == ExitCode::kBadInput;
    return error_frame(id, input ? FrameStatus::kBadInput : FrameStatus::kExecutionFailed, failure.what());
  }
}

void Server::settle_clients() {
  std::vector<uint64_t> gone;
  for (auto& [client, connection] : clients_) {
    if (!connection->flush() || connection->finished()) gone.push_back(client);
  }
  for (const uint64_t client : gone) drop_client(client);
}

void Server::drop_client(uint64_t client) {
  const auto waits = [client](const Request& request) { return request.client == client; };
  queue_.erase(std::remove_if(queue_.begin(), queue_.end(), waits), queue_.end());
  clients_.erase(client);
  accepting_ = true;
}

}  // namespace edge
