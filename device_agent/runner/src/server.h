// SPDX-License-Identifier: Apache-2.0
// Answers frames from several clients with one loaded method, in one thread: poll, read what is whole,
// execute one request, poll again. Waiting requests are bounded; one beyond the bound is refused at once with
// BUSY.
#pragma once

#include <poll.h>

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "connection.h"
#include "program.h"
#include "serving_stats.h"

namespace edge {

class Server {
 public:
  // `stop_descriptor` becomes readable when the server shall finish its queue and return.
  Server(LoadedMethod& method, int listening_socket, int stop_descriptor, size_t queue_limit);

  void run();
  uint64_t most_payload() const { return most_payload_; }

 private:
  struct Request {
    uint64_t client;
    uint64_t place;
    Frame frame;
  };

  std::vector<pollfd> interests() const;
  void poll_once();
  void accept_clients();
  void refuse_client(int socket);
  void read_client(uint64_t client, Connection& connection);
  void take_frame(uint64_t client, Connection& connection, Frame frame);
  void execute_next();
  Answer infer(const Frame& frame);
  void settle_clients();
  void drop_client(uint64_t client);
  bool finished() const;

  LoadedMethod& method_;
  int listening_socket_;
  int stop_descriptor_;
  size_t queue_limit_;
  uint64_t most_payload_;
  bool stopping_ = false;
  bool accepting_ = true;
  uint64_t next_client_ = 0;
  std::map<uint64_t, std::unique_ptr<Connection>> clients_;
  std::deque<Request> queue_;
  Frame executing_;  // kept until the next one: a method may hold its inputs by address
  ServingStats stats_;
};

}  // namespace edge
