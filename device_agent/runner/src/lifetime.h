// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "arguments.h"

namespace edge {

// With --die-with-parent or --parent-pid PID the kernel kills this process when the *thread* that started it
// ends: start it from one that lives as long as its process. Throws Failure where the parent is gone already.
void tie_to_parent(const Arguments& arguments);

}  // namespace edge
