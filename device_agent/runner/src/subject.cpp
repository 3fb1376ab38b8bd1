// SPDX-License-Identifier: Apache-2.0
#include "subject.h"

#include "modes.h"
#include "tensor_files.h"

namespace edge {
namespace {

std::vector<Tensor> inputs_for(const Arguments& arguments, const MethodDescription& method) {
  const std::vector<TensorSpec> specs = specs_of(method.inputs);
  if (!arguments.has("--input")) return default_inputs(specs);
  return read_tensors(arguments.list("--input"), specs, false);
}

}  // namespace

Subject::Subject(const Arguments& arguments, executorch::runtime::EventTracer* tracer)
    : file_(arguments.required_model()),
      method_(file_, arguments.text("--method", "forward"), tracer),
      loading_{file_.bytes(), milliseconds_since(loading_began_), read_memory_figures()},
      inputs_(inputs_for(arguments, method_.description())),
      views_(views_of(inputs_)),
      guard_(method_.execution_crash()) {}

void Subject::run() {
  prepare();
  if (!execute()) throw execution_failure();
}

void write_memory(Json& out, const Subject& subject, const MemoryFigures& later) {
  const Loading& loading = subject.loading();
  out.key("memory").begin_object();
  out.key("program_bytes").value(loading.program_bytes);
  out.key("planned_bytes").value(subject.description().planned_bytes);
  out.key("load_rss_bytes").value(loading.memory.rss_bytes);
  out.key("load_anon_bytes").value(loading.memory.anon_bytes);
  out.key("peak_rss_bytes").value(later.peak_rss_bytes);
  out.end_object();
}

}  // namespace edge
