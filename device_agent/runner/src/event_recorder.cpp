// SPDX-License-Identifier: Apache-2.0
#include "event_recorder.h"

#include <executorch/runtime/platform/clock.h>

#include <utility>

namespace edge {
namespace {

using executorch::runtime::kUnsetChainId;
using executorch::runtime::kUnsetDebugHandle;

constexpr int64_t kNotRecorded = -1;

uint64_t nanoseconds_now() {
  return executorch::runtime::ticks_to_ns(executorch::runtime::pal_current_ticks());
}

std::string name_or_id(const char* name, EventRecorder::DelegateDebugIntId id) {
  return name != nullptr ? name : "operator " + std::to_string(id);
}

}  // namespace

std::vector<Event> EventRecorder::take_events() {
  entries_.clear();
  std::vector<Event> taken = std::exchange(events_, {});
  events_.reserve(taken.size());
  return taken;
}

// The other tracer takes an instruction's place from where the method left it, as this one does.
executorch::runtime::EventTracer* EventRecorder::other() {
  if (also_ != nullptr) also_->set_chain_debug_handle(chain_id_, debug_handle_);
  return also_;
}

void EventRecorder::create_event_block(const char* name) {
  if (recording_ && also_ != nullptr) also_->create_event_block(name);
}

EventRecorder::EventTracerEntry EventRecorder::open_event(std::string name, bool in_delegate, ChainID chain,
                                                          DebugHandle instruction) {
  EventTracerEntry entry{};
  entry.event_id = static_cast<int64_t>(events_.size());
  events_.push_back({std::move(name), in_delegate, chain, instruction, nanoseconds_now(), 0});
  return entry;
}

// False for one that began before the recording did.
bool EventRecorder::close_event(const EventTracerEntry& entry) {
  if (entry.event_id == kNotRecorded) return false;
  events_[static_cast<size_t>(entry.event_id)].end_ns = nanoseconds_now();
  return true;
}

EventRecorder::EventTracerEntry EventRecorder::start_profiling(const char* name, ChainID chain,
                                                               DebugHandle instruction) {
  EventTracerEntry entry{};
  entry.event_id = kNotRecorded;
  if (!recording_) return entry;
  entries_.push_back(also_ != nullptr ? other()->start_profiling(name, chain, instruction) : entry);
  const bool placed = chain != kUnsetChainId || instruction != kUnsetDebugHandle;
  return open_event(name, false, placed ? chain : chain_id_, placed ? instruction : debug_handle_);
}

void EventRecorder::end_profiling(EventTracerEntry entry) {
  if (!close_event(entry) || also_ == nullptr) return;
  also_->end_profiling(entries_[static_cast<size_t>(entry.event_id)]);
}

EventRecorder::EventTracerEntry EventRecorder::start_profiling_delegate(const char* name,
                                                                        DelegateDebugIntId id) {
  EventTracerEntry entry{};
  entry.event_id = kNotRecorded;
  if (!recording_) return entry;
  entries_.push_back(also_ != nullptr ? other()->start_profiling_delegate(name, id) : entry);
  return open_event(name_or_id(name, id), true, chain_id_, debug_handle_);
}

void EventRecorder::end_profiling_delegate(EventTracerEntry entry, const void* metadata, size_t bytes) {
  if (!close_event(entry) || also_ == nullptr) return;
  also_->end_profiling_delegate(entries_[static_cast<size_t>(entry.event_id)], metadata, bytes);
}

void EventRecorder::log_profiling_delegate(const char* name, DelegateDebugIntId id, et_timestamp_t begin,
                                           et_timestamp_t end, const void* metadata, size_t bytes) {
  if (!recording_) return;
  if (also_ != nullptr) other()->log_profiling_delegate(name, id, begin, end, metadata, bytes);
  entries_.push_back({});
  events_.push_back({name_or_id(name, id), true, chain_id_, debug_handle_,
                     executorch::runtime::ticks_to_ns(begin), executorch::runtime::ticks_to_ns(end)});
}

}  // namespace edge
