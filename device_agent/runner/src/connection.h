// SPDX-License-Identifier: Apache-2.0
// One client. Never blocks. Answers leave in the order of the requests, whatever order they are made in.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "frames.h"

namespace edge {

struct Frame {
  FrameHeader header;
  std::unique_ptr<uint8_t[]> payload;
};

class Connection {
 public:
  enum class Read { kFrame, kNothingYet, kBadFrame, kEnded };

  Connection(int socket, uint64_t most_payload) : socket_(socket), most_payload_(most_payload) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int socket() const { return socket_; }

  // Reads until one frame is whole or the socket has no more. kBadFrame fills `problem`; nothing is read
  // after it.
  Read read_frame(Frame& frame, std::string& problem);

  // A place in the order of answers, and the answer for it.
  uint64_t reserve_answer();
  void fill_answer(uint64_t place, Answer answer);

  void stop_reading() { reading_ = false; }
  bool wants_read() const;
  bool wants_write() const { return !places_.empty() && places_.front().has_value(); }
  bool finished() const { return !reading_ && places_.empty(); }

  // Sends what can be sent. False where the client is gone.
  bool flush();

 private:
  Read read_into(uint8_t* target, size_t wanted);

  int socket_;
  uint64_t most_payload_;
  bool reading_ = true;
  uint8_t header_[kHeaderBytes];
  size_t held_ = 0;  // bytes of the header, then of the payload
  std::optional<Frame> incoming_;
  std::deque<std::optional<Answer>> places_;
  uint64_t first_place_ = 0;
  size_t sent_ = 0;  // of the front answer
  size_t unsent_bytes_ = 0;
};

}  // namespace edge
