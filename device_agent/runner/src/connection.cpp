// SPDX-License-Identifier: Apache-2.0
#include "connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace edge {
namespace {

// Beyond these a client is not read from until it takes its answers: what a client can make the runner hold
// is bounded.
constexpr size_t kMostPlaces = 64;
constexpr size_t kMostUnsent = size_t{1} << 20;

}  // namespace

Connection::~Connection() { close(socket_); }

Connection::Read Connection::read_into(uint8_t* target, size_t wanted) {
  while (held_ < wanted) {
    const ssize_t count = recv(socket_, target + held_, wanted - held_, MSG_DONTWAIT);
    if (count > 0) {
      held_ += static_cast<size_t>(count);
    } else if (count < 0 && errno == EINTR) {
      continue;
    } else if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return Read::kNothingYet;
    } else {
      stop_reading();
      return Read::kEnded;
    }
  }
  return Read::kFrame;
}

Connection::Read Connection::read_frame(Frame& frame, std::string& problem) {
  if (!incoming_) {
    const Read head = read_into(header_, kHeaderBytes);
    if (head != Read::kFrame) return head;
    Frame next;
    const std::optional<std::string> wrong = parse_request_header(header_, most_payload_, next.header);
    if (wrong) {
      stop_reading();
      frame.header = next.header;
      problem = *wrong;
      return Read::kBadFrame;
    }
    // Left uninitialised: memory for a claimed payload becomes resident only as its bytes arrive.
    next.payload.reset(new uint8_t[next.header.payload_bytes + kReadSlack]);
    incoming_ = std::move(next);
    held_ = 0;
  }
  const Read body = read_into(incoming_->payload.get(), incoming_->header.payload_bytes);
  if (body != Read::kFrame) return body;
  frame = std::move(*incoming_);
  incoming_.reset();
  held_ = 0;
  return Read::kFrame;
}

uint64_t Connection::reserve_answer() {
  places_.emplace_back();
  return first_place_ + places_.size() - 1;
}

void Connection::fill_answer(uint64_t place, Answer answer) {
  unsent_bytes_ += answer.size();
  places_[place - first_place_] = std::move(answer);
}

bool Connection::wants_read() const {
  return reading_ && places_.size() < kMostPlaces && unsent_bytes_ < kMostUnsent;
}

bool Connection::flush() {
  while (wants_write()) {
    const Answer& answer = *places_.front();
    const ssize_t count =
        send(socket_, answer.data() + sent_, answer.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    sent_ += static_cast<size_t>(count);
    if (sent_ < answer.size()) continue;
    unsent_bytes_ -= answer.size();
    places_.pop_front();
    ++first_place_;
    sent_ = 0;
  }
  return true;
}

}  // namespace edge
