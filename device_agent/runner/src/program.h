// SPDX-License-Identifier: Apache-2.0
// A .pte file, checked and opened; and one of its methods, loaded and ready to execute.
#pragma once

#include <executorch/extension/data_loader/mmap_data_loader.h>
#include <executorch/extension/memory_allocator/malloc_memory_allocator.h>
#include <executorch/runtime/executor/method.h>
#include <executorch/runtime/executor/program.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "failure.h"
#include "tensor_spec.h"

namespace edge {

// One input or output of a method. `sizes` are upper bounds where a dimension is dynamic.
struct Port {
  std::string name;  // often empty: an exporter need not name them
  std::string kind;  // "tensor", or the scalar's kind
  TensorSpec spec;
  std::vector<uint8_t> dim_order;
  size_t bytes = 0;
  bool planned = true;  // its memory lies in the planned arena
};

struct MethodDescription {
  std::string name;
  std::vector<Port> inputs, outputs;
  std::vector<size_t> arenas;  // planned buffers, bytes
  size_t planned_bytes = 0;
  std::vector<std::string> delegates;
  size_t instructions = 0;
};

class ProgramFile {
 public:
  // Maps the file and verifies its structure. Throws Failure(kBadProgram).
  explicit ProgramFile(const std::string& path);

  const std::string& path() const { return path_; }
  uint64_t bytes() const { return bytes_; }
  std::vector<std::string> method_names() const;
  MethodDescription describe_method(const std::string& name) const;
  executorch::runtime::Program& program() { return *program_; }

 private:
  std::string path_;
  uint64_t bytes_ = 0;
  std::optional<executorch::extension::MmapDataLoader> loader_;
  std::optional<executorch::runtime::Program> program_;
};

class LoadedMethod {
 public:
  // `file` and `tracer`, which sees each instruction run, outlive this. Throws Failure(kMissingKernel) or
  // Failure(kBadProgram).
  LoadedMethod(ProgramFile& file, const std::string& name,
               executorch::runtime::EventTracer* tracer = nullptr);

  const MethodDescription& description() const { return description_; }

  // Row-major elements; they outlive every execute until set again. Throws Failure(kBadInput).
  void set_inputs(const std::vector<TensorView>& views);

  bool execute() { return method_->execute() == executorch::runtime::Error::Ok; }
  Failure execution_failure() const;  // throws std::bad_alloc where that was the reason
  Failure execution_crash() const;

  // Valid until the next execute.
  std::vector<TensorView> outputs();

 private:
  struct Arena {
    explicit Arena(size_t size);
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    size_t bytes;
    void* data;
  };

  void plan_memory();
  bool set_input(size_t index, const TensorView& view);
  TensorView output(size_t index);
  void provide_unplanned_outputs();

  MethodDescription description_;
  std::vector<std::unique_ptr<Arena>> arenas_;
  std::vector<executorch::runtime::Span<uint8_t>> spans_;
  std::optional<executorch::runtime::HierarchicalAllocator> planned_;
  executorch::extension::MallocMemoryAllocator method_memory_, temporary_memory_;
  std::optional<executorch::runtime::MemoryManager> memory_;
  std::optional<executorch::runtime::Method> method_;
  std::vector<std::vector<uint8_t>> reordered_inputs_, reordered_outputs_;
};

}  // namespace edge
