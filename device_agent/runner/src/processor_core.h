// SPDX-License-Identifier: Apache-2.0
// Which core the runtime takes this processor for: XNNPACK chooses its kernels by it.
#pragma once

#include <string>

namespace edge {

// "cortex-a72"; cpuinfo's own number, such as "0x00300402", for one without a name here; empty where cpuinfo
// cannot tell.
std::string recognised_core();

}  // namespace edge
