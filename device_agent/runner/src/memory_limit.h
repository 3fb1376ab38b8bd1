// SPDX-License-Identifier: Apache-2.0
// A fence for the process's own (anonymous, private) memory, and the end of a process that ran out of memory.
#pragma once

#include "arguments.h"

namespace edge {

// By --memory-limit BYTES: anonymous memory may grow until about so much of it is resident. After what is not
// the program's own was taken (threads' stacks, room for samples), before the program is loaded. Throws
// Failure.
void set_memory_limit(const Arguments& arguments);

// For what is done once the program has run.
void lift_memory_limit();

// Under a limit, what has failed since the former may be asked of the latter: whether an allocation of this
// thread was it.
void forget_failed_allocations();
bool allocation_failed();

// The same where the process crashed and nobody else can be asked. Safe in a signal handler.
bool ran_out_of_memory();

// Reports it and ends the process: how std::bad_alloc, thrown wherever memory ran out, ends. Takes no memory,
// and is safe in a signal handler.
[[noreturn]] void end_out_of_memory();

}  // namespace edge
