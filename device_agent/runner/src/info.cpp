// SPDX-License-Identifier: Apache-2.0
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/kernel/operator_registry.h>

#include "arguments.h"
#include "modes.h"
#include "processor_core.h"

namespace edge {
namespace {

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (size_t index = 0; index < executorch::runtime::get_num_registered_backends(); ++index) {
    const auto name = executorch::runtime::get_backend_name(index);
    if (name.ok()) names.emplace_back(*name);
  }
  return names;
}

void write_method(Json& out, const MethodDescription& method) {
  out.begin_object().key("name").value(method.name).key("inputs");
  write_ports(out, method.inputs);
  out.key("outputs");
  write_ports(out, method.outputs);
  out.key("planned_bytes").value(method.planned_bytes).key("delegates").value(method.delegates);
  out.key("instructions").value(method.instructions).end_object();
}

std::string port_lines(const std::vector<Port>& ports, const char* role) {
  std::string lines;
  for (size_t index = 0; index < ports.size(); ++index) {
    const Port& port = ports[index];
    lines += std::string("  ") + role + " " + std::to_string(index) +
             (port.name.empty() ? "" : " " + port.name) + ": " +
             (port.kind == "tensor" ? describe(port.spec) : port.kind) + "\n";
  }
  return lines;
}

std::string method_lines(const MethodDescription& method) {
  std::string delegates;
  for (const std::string& name : method.delegates) delegates += (delegates.empty() ? "" : ", ") + name;
  return "method " + method.name + "\n" + port_lines(method.inputs, "input") +
         port_lines(method.outputs, "output") + "  planned memory: " + std::to_string(method.planned_bytes) +
         " bytes\n  delegates: " + (delegates.empty() ? "none" : delegates) +
         "\n  instructions: " + std::to_string(method.instructions) + "\n";
}

}  // namespace

int info_mode(const Words& words, const Start& start) {
  const Arguments arguments(words, {{"--json", Takes::kNothing}});
  std::vector<MethodDescription> methods;
  uint64_t program_bytes = 0;
  if (arguments.model()) {
    const ProgramFile file(*arguments.model());
    program_bytes = file.bytes();
    for (const std::string& name : file.method_names()) methods.push_back(file.describe_method(name));
  }
  const size_t kernels = executorch::runtime::get_registered_kernels().size();
  if (!arguments.has("--json")) {
    std::string text =
        std::string(kRuntimeVersion) + " on " + architecture() + ", " + std::to_string(kernels) + " kernels";
    for (const std::string& name : backend_names()) text += ", " + name;
    text += "\n";
    for (const MethodDescription& method : methods) text += method_lines(method);
    text.pop_back();
    print_line(text);
    return 0;
  }
  Json out;
  out.begin_object().key("runtime").value(kRuntimeVersion).key("architecture").value(architecture());
  out.key("core").value(recognised_core());
  out.key("backends").value(backend_names()).key("kernels").value(kernels);
  out.key("start_rss_bytes").value(start.memory.rss_bytes);
  if (arguments.model()) {
    out.key("program_bytes").value(program_bytes).key("methods").begin_array();
    for (const MethodDescription& method : methods) write_method(out, method);
    out.end_array();
  }
  print_line(out.end_object().text());
  return 0;
}

}  // namespace edge
