// SPDX-License-Identifier: Apache-2.0
#include "operator_times.h"

#include <executorch/runtime/kernel/operator_registry.h>

#include <cstring>

namespace edge {
namespace {

constexpr const char* kDelegateCall = "DELEGATE_CALL";
constexpr const char* kOperatorCall = "OPERATOR_CALL";
constexpr const char* kKernelPrefix = "native_call_";
// The runtime's own kernels, for shapes and views, leave no event of theirs inside the call's.
constexpr const char* kUnnamedKernel = "executorch_prim::unnamed";

int64_t duration(const Event& event) { return static_cast<int64_t>(event.end_ns - event.begin_ns); }

void add_time(std::vector<int64_t>& times, size_t run, int64_t time) {
  times.resize(run + 1);
  times[run] += time;
}

// With the namespace it is registered in, which the event leaves out: aten where there are several.
std::string kernel_name(const std::string& event_name) {
  const std::string name = event_name.substr(std::strlen(kKernelPrefix));
  std::string found;
  for (const auto& kernel : executorch::runtime::get_registered_kernels()) {
    const std::string registered = kernel.name_;
    if (registered == "aten::" + name) return registered;
    const size_t at = registered.find("::");
    if (at != std::string::npos && registered.compare(at + 2, std::string::npos, name) == 0) {
      found = registered;
    }
  }
  return found.empty() ? name : found;
}

}  // namespace

CallTimes& OperatorRecord::call_of(const Event& event, bool delegate) {
  const auto [place, added] = calls_.try_emplace({event.chain, event.instruction});
  CallTimes& call = place->second;
  if (!added) return call;
  call.instruction = event.instruction;
  call.delegate = delegate;
  call.name = kUnnamedKernel;
  if (delegate) {
    call.name = delegates_seen_ < delegates_.size() ? delegates_[delegates_seen_] : "delegate";
    ++delegates_seen_;
  }
  return call;
}

void OperatorRecord::add_run(const std::vector<Event>& events) {
  CallTimes* call = nullptr;
  const Event* whole = nullptr;  // the call that a kernel's own event lies in
  size_t position = 0;
  for (const Event& event : events) {
    if (event.in_delegate) {
      if (call == nullptr || !call->delegate) continue;
      if (position == call->operators.size()) call->operators.push_back({event.name, {}});
      add_time(call->operators[position++].times, runs_, duration(event));
    } else if (event.name == kDelegateCall || event.name == kOperatorCall) {
      call = &call_of(event, event.name == kDelegateCall);
      whole = call->delegate ? nullptr : &event;
      position = 0;
      add_time(call->times, runs_, duration(event));
    } else if (whole != nullptr && event.name.rfind(kKernelPrefix, 0) == 0) {
      if (call->name == kUnnamedKernel) call->name = kernel_name(event.name);
      call->times[runs_] += duration(event) - duration(*whole);
      whole = nullptr;
    }
  }
  ++runs_;
}

std::vector<CallTimes> OperatorRecord::calls() const {
  std::vector<CallTimes> list;
  for (const auto& [place, call] : calls_) list.push_back(call);
  return list;
}

}  // namespace edge
