// SPDX-License-Identifier: Apache-2.0
// The command line: which options a mode knows, and typed access to what was given.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace edge {

enum class Takes { kNothing, kOne, kMany };

struct OptionSpec {
  const char* name;
  Takes takes;
};

class Arguments {
 public:
  // `words` follow the mode's name. Throws Failure(kUsage) on an unknown or incomplete option.
  Arguments(const std::vector<std::string>& words, const std::vector<OptionSpec>& known);

  bool has(const std::string& option) const { return values_.count(option) != 0; }
  std::optional<std::string> model() const { return model_; }
  std::string required_model() const;
  std::string text(const std::string& option, const std::string& otherwise) const;
  std::vector<std::string> list(const std::string& option) const;
  uint64_t integer(const std::string& option, uint64_t lowest, uint64_t highest, uint64_t otherwise) const;
  int64_t signed_integer(const std::string& option, int64_t lowest, int64_t highest, int64_t otherwise) const;
  double number(const std::string& option, double lowest, double highest, double otherwise) const;

 private:
  std::optional<std::string> model_;
  std::map<std::string, std::vector<std::string>> values_;
};

}  // namespace edge
