// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include <executorch/runtime/backend/interface.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "crash_guard.h"
#include "layout.h"
#include "memory_limit.h"
#include "runtime_log.h"

namespace edge {
namespace {

using executorch::aten::ScalarType;
using RuntimeTensor = executorch::aten::Tensor;
using executorch::aten::TensorImpl;
using executorch::extension::MmapDataLoader;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::MethodMeta;
using executorch::runtime::Program;
using executorch::runtime::Result;
using executorch::runtime::Span;
using executorch::runtime::Tag;
using executorch::runtime::TensorInfo;

constexpr const char* kCrashed = "the runtime crashed on its contents";

Failure bad_program(const std::string& path, const std::string& seen) {
  return Failure(ExitCode::kBadProgram, path + ": " + seen, "expected an intact ExecuTorch program (.pte)",
                 "copy or export the file again");
}

std::string reason(Error error) {
  const std::string line = runtime_error_line("");
  return std::string(executorch::runtime::to_string(error)) + (line.empty() ? "" : ", " + line);
}

uint64_t regular_file_bytes(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) throw bad_program(path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) throw bad_program(path, "not a regular file");
  if (status.st_size == 0) throw bad_program(path, "an empty file");
  return static_cast<uint64_t>(status.st_size);
}

const char* tag_name(Tag tag) {
  switch (tag) {
    case Tag::Int:
      return "int";
    case Tag::Double:
      return "double";
    case Tag::Bool:
      return "bool";
    case Tag::String:
      return "string";
    case Tag::None:
      return "none";
    default:
      return "list";
  }
}

Port describe_port(const std::string& path, Result<Tag> tag, const Result<TensorInfo>& info) {
  if (!tag.ok()) throw bad_program(path, "an input or output without a type");
  Port port;
  if (*tag != Tag::Tensor) {
    port.kind = tag_name(*tag);
    return port;
  }
  if (!info.ok()) throw bad_program(path, "a damaged tensor description");
  port.kind = "tensor";
  port.name = std::string(info->name());
  port.spec.dtype = static_cast<uint8_t>(info->scalar_type());
  port.spec.sizes.assign(info->sizes().begin(), info->sizes().end());
  port.dim_order.assign(info->dim_order().begin(), info->dim_order().end());
  port.bytes = info->nbytes();
  port.planned = info->is_memory_planned();
  std::vector<bool> seen(port.spec.sizes.size());
  for (const uint8_t dim : port.dim_order) {
    if (dim >= seen.size() || seen[dim]) throw bad_program(path, "a damaged dimension order");
    seen[dim] = true;
  }
  if (port.dim_order.size() != seen.size() || seen.size() > kMostDimensions) {
    throw bad_program(path, "a tensor of " + std::to_string(seen.size()) + " dimensions");
  }
  return port;
}

void describe_plan(const std::string& path, const MethodMeta& meta, MethodDescription& method) {
  for (size_t index = 0; index < meta.num_memory_planned_buffers(); ++index) {
    const Result<int64_t> bytes = meta.memory_planned_buffer_size(index);
    if (!bytes.ok() || *bytes < 0 ||
        __builtin_add_overflow(method.planned_bytes, static_cast<size_t>(*bytes), &method.planned_bytes)) {
      throw bad_program(path, "a damaged memory plan");
    }
    method.arenas.push_back(static_cast<size_t>(*bytes));
  }
}

void check_delegates(const MethodDescription& method) {
  for (const std::string& name : method.delegates) {
    if (executorch::runtime::get_backend_class(name.c_str()) == nullptr) {
      throw Failure(ExitCode::kMissingKernel, "method " + method.name + " needs the delegate " + name,
                    "expected one that edge-runner info lists under backends",
                    "lower the program for XNNPACK or for no delegate");
    }
  }
}

void check_ports(const std::string& path, const MethodDescription& method) {
  const auto check = [&](const std::vector<Port>& ports, const char* role) {
    for (size_t index = 0; index < ports.size(); ++index) {
      const Port& port = ports[index];
      if (port.kind == "tensor" && element_bytes(port.spec.dtype) != 0) continue;
      const std::string seen =
          port.kind == "tensor" ? "a tensor of " + dtype_name(port.spec.dtype) : port.kind;
      throw Failure(ExitCode::kBadProgram,
                    path + ": " + role + " " + std::to_string(index) + " of " + method.name + " is " + seen,
                    "expected tensors of uint8, int8 to int64, float16 to float64 or bool",
                    "export the model with such tensors");
    }
  };
  check(method.inputs, "input");
  check(method.outputs, "output");
}

}  // namespace

ProgramFile::ProgramFile(const std::string& path) : path_(path), bytes_(regular_file_bytes(path)) {
  const CrashGuard guard(bad_program(path_, kCrashed));
  clear_runtime_log();
  set_abort_code(ExitCode::kBadProgram);
  Result<MmapDataLoader> loader = MmapDataLoader::from(path_.c_str(), MmapDataLoader::MlockConfig::NoMlock);
  if (!loader.ok()) throw bad_program(path, reason(loader.error()));
  loader_.emplace(std::move(*loader));
  Result<Program> program = Program::load(&*loader_, Program::Verification::InternalConsistency);
  if (!program.ok()) throw bad_program(path, reason(program.error()));
  program_.emplace(std::move(*program));
}

std::vector<std::string> ProgramFile::method_names() const {
  const CrashGuard guard(bad_program(path_, kCrashed));
  std::vector<std::string> names;
  for (size_t index = 0; index < program_->num_methods(); ++index) {
    const Result<const char*> name = program_->get_method_name(index);
    if (!name.ok()) throw bad_program(path_, "a method without a name");
    names.emplace_back(*name);
  }
  return names;
}

MethodDescription ProgramFile::describe_method(const std::string& name) const {
  const CrashGuard guard(bad_program(path_, kCrashed));
  const Result<MethodMeta> meta = program_->method_meta(name.c_str());
  if (!meta.ok()) {
    std::string names;
    for (const std::string& known : method_names()) {
      if (known == name) throw bad_program(path_, "a method whose description is damaged");
      names += (names.empty() ? "" : ", ") + known;
    }
    throw Failure(ExitCode::kUsage, path_ + " has no method " + name, "expected one of: " + names,
                  "choose one with --method");
  }
  MethodDescription method;
  method.name = name;
  for (size_t index = 0; index < meta->num_inputs(); ++index) {
    method.inputs.push_back(describe_port(path_, meta->input_tag(index), meta->input_tensor_meta(index)));
  }
  for (size_t index = 0; index < meta->num_outputs(); ++index) {
    method.outputs.push_back(describe_port(path_, meta->output_tag(index), meta->output_tensor_meta(index)));
  }
  describe_plan(path_, *meta, method);
  for (size_t index = 0; index < meta->num_backends(); ++index) {
    const Result<const char*> backend = meta->get_backend_name(index);
    if (!backend.ok()) throw bad_program(path_, "a delegate without a name");
    method.delegates.emplace_back(*backend);
  }
  method.instructions = meta->num_instructions();
  return method;
}

LoadedMethod::Arena::Arena(size_t size) : bytes(size), data(nullptr) {
  if (bytes == 0) return;
  // Zero pages on demand: a plan's size is a claim of the file until its memory is touched.
  data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    if (allocation_failed()) throw std::bad_alloc();
    throw Failure(ExitCode::kBadProgram, "a planned buffer of " + std::to_string(bytes) + " bytes",
                  "expected one that this machine's memory holds", "use a smaller model or check the file");
  }
}

LoadedMethod::Arena::~Arena() {
  if (data != nullptr && data != MAP_FAILED) munmap(data, bytes);
}

LoadedMethod::LoadedMethod(ProgramFile& file, const std::string& name,
                           executorch::runtime::EventTracer* tracer)
    : description_(file.describe_method(name)) {
  const CrashGuard guard(bad_program(file.path(), kCrashed));
  check_ports(file.path(), description_);
  check_delegates(description_);
  plan_memory();
  clear_runtime_log();
  forget_failed_allocations();
  Result<executorch::runtime::Method> method = file.program().load_method(name.c_str(), &*memory_, tracer);
  if (!method.ok()) {
    if (allocation_failed()) throw std::bad_alloc();
    if (method.error() == Error::OperatorMissing) {
      const std::string line = runtime_error_line("issing operator");
      const size_t at = line.rfind(' ');
      throw Failure(ExitCode::kMissingKernel,
                    "method " + name + " needs the operator " +
                        (at == std::string::npos ? "(unnamed)" : line.substr(at + 1)),
                    "expected operators that this runner links",
                    "rewrite the model without it or lower it into a delegate");
    }
    throw Failure(
        ExitCode::kBadProgram, file.path() + ": method " + name + " does not load, " + reason(method.error()),
        "expected an intact program and the memory to load it", "free memory, or export the file again");
  }
  method_.emplace(std::move(*method));
  provide_unplanned_outputs();
  reordered_inputs_.resize(description_.inputs.size());
  set_abort_code(ExitCode::kExecutionFailed);
}

void LoadedMethod::plan_memory() {
  for (const size_t bytes : description_.arenas) {
    arenas_.push_back(std::make_unique<Arena>(bytes));
    spans_.emplace_back(static_cast<uint8_t*>(arenas_.back()->data), bytes);
  }
  planned_.emplace(Span<Span<uint8_t>>(spans_.data(), spans_.size()));
  memory_.emplace(&method_memory_, &*planned_, &temporary_memory_);
}

void LoadedMethod::provide_unplanned_outputs() {
  reordered_outputs_.resize(description_.outputs.size());
  for (size_t index = 0; index < description_.outputs.size(); ++index) {
    const Port& port = description_.outputs[index];
    const EValue& value = method_->get_output(index);
    if (port.planned || !value.isTensor() || value.toTensor().const_data_ptr() != nullptr) continue;
    void* memory = method_memory_.allocate(port.bytes);
    if (memory == nullptr || method_->set_output_data_ptr(memory, port.bytes, index) != Error::Ok) {
      if (allocation_failed()) throw std::bad_alloc();
      throw Failure(ExitCode::kBadProgram, "output " + std::to_string(index) + " has no memory planned",
                    "expected an output that takes a buffer", "export with planned output memory");
    }
  }
}

bool LoadedMethod::set_input(size_t index, const TensorView& view) {
  const Port& port = description_.inputs[index];
  if (view.spec.dtype != port.spec.dtype || view.spec.sizes.size() != port.spec.sizes.size()) return false;
  for (size_t dim = 0; dim < view.spec.sizes.size(); ++dim) {
    if (view.spec.sizes[dim] < 0 || view.spec.sizes[dim] > port.spec.sizes[dim]) return false;
  }
  const void* data = view.data;
  if (!is_row_major(port.dim_order)) {
    std::vector<uint8_t>& reordered = reordered_inputs_[index];
    reordered.reserve(port.bytes + kReadSlack);
    reordered.resize(view.bytes);
    from_row_major(view.data, view.spec.sizes, port.dim_order, element_bytes(port.spec.dtype),
                   reordered.data());
    data = reordered.data();
  }
  std::vector<TensorImpl::SizesType> sizes(view.spec.sizes.begin(), view.spec.sizes.end());
  std::vector<TensorImpl::DimOrderType> order(port.dim_order);
  std::vector<TensorImpl::StridesType> strides(sizes.size());
  uint32_t stride = 1;
  for (size_t at = sizes.size(); at-- > 0; stride *= static_cast<uint32_t>(sizes[order[at]])) {
    strides[order[at]] = static_cast<TensorImpl::StridesType>(stride);
  }
  TensorImpl tensor(static_cast<ScalarType>(port.spec.dtype), static_cast<ssize_t>(sizes.size()),
                    sizes.data(), const_cast<void*>(data), order.data(), strides.data());
  return method_->set_input(EValue(RuntimeTensor(&tensor)), index) == Error::Ok;
}

void LoadedMethod::set_inputs(const std::vector<TensorView>& views) {
  if (views.size() != description_.inputs.size()) {
    throw Failure(
        ExitCode::kBadInput, std::to_string(views.size()) + " input tensors",
        "expected " + std::to_string(description_.inputs.size()) + " for method " + description_.name,
        "pass one tensor for each input");
  }
  for (size_t index = 0; index < views.size(); ++index) {
    if (set_input(index, views[index])) continue;
    throw Failure(
        ExitCode::kBadInput, "input " + std::to_string(index) + " is " + describe(views[index].spec),
        "expected " + describe(description_.inputs[index].spec), "pass a tensor of that dtype and shape");
  }
  forget_failed_allocations();  // here and not in execute, which is timed
}

Failure LoadedMethod::execution_crash() const {
  return Failure(ExitCode::kExecutionFailed, "method " + description_.name + " crashed",
                 "expected it to run on these inputs", "check that the file is intact, or export it again");
}

Failure LoadedMethod::execution_failure() const {
  if (allocation_failed()) throw std::bad_alloc();
  const std::string line = runtime_error_line("");
  return Failure(ExitCode::kExecutionFailed,
                 "method " + description_.name + " failed" + (line.empty() ? "" : ": " + line),
                 "expected it to run on these inputs",
                 "check the inputs' values against what the model accepts");
}

std::vector<TensorView> LoadedMethod::outputs() {
  std::vector<TensorView> views;
  for (size_t index = 0; index < description_.outputs.size(); ++index) views.push_back(output(index));
  return views;
}

TensorView LoadedMethod::output(size_t index) {
  const RuntimeTensor& tensor = method_->get_output(index).toTensor();
  TensorView view;
  view.spec.dtype = static_cast<uint8_t>(tensor.scalar_type());
  view.spec.sizes.assign(tensor.sizes().begin(), tensor.sizes().end());
  view.bytes = tensor.nbytes();
  view.data = tensor.const_data_ptr();
  const std::vector<uint8_t> order(tensor.dim_order().begin(), tensor.dim_order().end());
  if (!is_row_major(order)) {
    std::vector<uint8_t>& reordered = reordered_outputs_[index];
    reordered.resize(view.bytes);
    to_row_major(view.data, view.spec.sizes, order, element_bytes(view.spec.dtype), reordered.data());
    view.data = reordered.data();
  }
  return view;
}

}  // namespace edge
