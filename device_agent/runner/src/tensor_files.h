// SPDX-License-Identifier: Apache-2.0
// Tensors from and to files: .npy, .npz, or with `raw` the bare elements.
#pragma once

#include <string>
#include <vector>

#include "program.h"
#include "tensor_spec.h"

namespace edge {

// The tensors in `paths`, in order (an .npz adds each of its members). `specs` say what is wanted: raw files
// are read by them, other files are bounded by them. Throws Failure(kBadInput).
std::vector<Tensor> read_tensors(const std::vector<std::string>& paths, const std::vector<TensorSpec>& specs,
                                 bool raw);

// One file per tensor, or a single .npz for all. Each is complete or absent. Throws Failure(kIo).
void write_tensors(const std::vector<std::string>& paths, const std::vector<TensorView>& views, bool raw);

std::vector<TensorSpec> specs_of(const std::vector<Port>& ports);

// Deterministic inputs: floats uniform in [-1, 1), integers and bools zero (an index must stay in range).
std::vector<Tensor> default_inputs(const std::vector<TensorSpec>& specs);

}  // namespace edge
