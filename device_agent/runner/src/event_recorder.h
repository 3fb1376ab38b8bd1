// SPDX-License-Identifier: Apache-2.0
// Keeps what the runtime tells a tracer of each run, and hands it on to an ETDump where one is wanted.
#pragma once

#include <executorch/runtime/core/event_tracer.h>

#include <string>
#include <vector>

namespace edge {

// One thing that took time. Instructions are known by their place in the program.
struct Event {
  std::string name;
  bool in_delegate;  // an operator, told by the delegate it ran in
  int chain;
  uint32_t instruction;
  uint64_t begin_ns, end_ns;
};

class EventRecorder : public executorch::runtime::EventTracer {
 public:
  using ChainID = executorch::runtime::ChainID;
  using DebugHandle = executorch::runtime::DebugHandle;
  using DelegateDebugIntId = executorch::runtime::DelegateDebugIntId;
  using EValue = executorch::runtime::EValue;
  using EventTracerEntry = executorch::runtime::EventTracerEntry;
  using RuntimeTensor = executorch::aten::Tensor;
  template <typename Value>
  using Result = executorch::runtime::Result<Value>;

  // `also` outlives this; it may be null.
  explicit EventRecorder(executorch::runtime::EventTracer* also) : also_(also) {}

  // Nothing is kept before it.
  void start() { recording_ = true; }

  // Those since the last call, in the order in which they began. Operators of a delegate follow their call.
  std::vector<Event> take_events();

  void create_event_block(const char* name) override;
  EventTracerEntry start_profiling(const char* name, ChainID chain, DebugHandle instruction) override;
  void end_profiling(EventTracerEntry entry) override;
  EventTracerEntry start_profiling_delegate(const char* name, DelegateDebugIntId id) override;
  void end_profiling_delegate(EventTracerEntry entry, const void* metadata, size_t bytes) override;
  void log_profiling_delegate(const char* name, DelegateDebugIntId id, et_timestamp_t begin,
                              et_timestamp_t end, const void* metadata, size_t bytes) override;

  // Values and allocations are not recorded.
  void track_allocation(executorch::runtime::AllocatorID, size_t) override {}
  executorch::runtime::AllocatorID track_allocator(const char*) override { return 0; }
  Result<bool> log_evalue(const EValue&, executorch::runtime::LoggedEValueType) override { return false; }
  Result<bool> log_intermediate_output_delegate(const char*, DelegateDebugIntId,
                                                const RuntimeTensor&) override {
    return false;
  }
  Result<bool> log_intermediate_output_delegate(const char*, DelegateDebugIntId,
                                                const executorch::runtime::ArrayRef<RuntimeTensor>) override {
    return false;
  }
  Result<bool> log_intermediate_output_delegate(const char*, DelegateDebugIntId, const int&) override {
    return false;
  }
  Result<bool> log_intermediate_output_delegate(const char*, DelegateDebugIntId, const bool&) override {
    return false;
  }
  Result<bool> log_intermediate_output_delegate(const char*, DelegateDebugIntId, const double&) override {
    return false;
  }
  void set_delegation_intermediate_output_filter(executorch::runtime::EventTracerFilterBase*) override {}

 private:
  executorch::runtime::EventTracer* other();
  EventTracerEntry open_event(std::string name, bool in_delegate, ChainID chain, DebugHandle instruction);
  bool close_event(const EventTracerEntry& entry);

  executorch::runtime::EventTracer* also_;
  bool recording_ = false;
  std::vector<Event> events_;
  std::vector<EventTracerEntry> entries_;  // what the other tracer calls them
};

}  // namespace edge
