// SPDX-License-Identifier: Apache-2.0
#include "threads.h"

// The wheel exports these symbols but ships no threadpool.h: only the members used are declared, none of the
// data, and a ThreadPool is never created here.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t count);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

namespace edge {

void set_thread_count(uint64_t count) {
  auto* pool = executorch::extension::threadpool::get_threadpool();
  if (pool != nullptr && count != 0) pool->_unsafe_reset_threadpool(static_cast<uint32_t>(count));
}

size_t thread_count() {
  const auto* pool = executorch::extension::threadpool::get_threadpool();
  return pool == nullptr ? 1 : pool->get_thread_count();
}

}  // namespace edge
