// SPDX-License-Identifier: Apache-2.0
#include "arguments.h"

#include <charconv>

#include "failure.h"

namespace edge {
namespace {

Failure usage(const std::string& seen, const std::string& expected) {
  return Failure(ExitCode::kUsage, seen, expected, "see edge-runner --help");
}

const OptionSpec& find_option(const std::vector<OptionSpec>& known, const std::string& word) {
  std::string names;
  for (const OptionSpec& option : known) {
    if (word == option.name) return option;
    names += std::string(names.empty() ? "" : " ") + option.name;
  }
  throw usage("unknown option " + word, "expected one of " + names);
}

bool is_option(const std::string& word) { return word.size() > 1 && word[0] == '-' && word[1] == '-'; }

template <typename Number>
Number parse_number(const std::string& option, const std::string& word, Number lowest, Number highest) {
  Number number{};
  const char* end = word.data() + word.size();
  const auto parsed = std::from_chars(word.data(), end, number);
  // The negated form also refuses NaN.
  if (parsed.ec != std::errc() || parsed.ptr != end || !(number >= lowest && number <= highest)) {
    throw usage(option + " " + word,
                "expected a number from " + std::to_string(lowest) + " to " + std::to_string(highest));
  }
  return number;
}

}  // namespace

Arguments::Arguments(const std::vector<std::string>& words, const std::vector<OptionSpec>& known) {
  for (size_t at = 0; at < words.size();) {
    const std::string& word = words[at++];
    if (!is_option(word)) {
      if (model_)
        throw usage("a second program " + word, "expected one program, before any option that takes a list");
      model_ = word;
      continue;
    }
    const OptionSpec& option = find_option(known, word);
    std::vector<std::string>& values = values_[word];
    if (option.takes == Takes::kNothing) continue;
    const size_t limit = option.takes == Takes::kOne ? at + 1 : words.size();
    const size_t first = at;
    while (at < words.size() && at < limit && !is_option(words[at])) values.push_back(words[at++]);
    if (at == first) throw usage(word + " without a value", "expected a value after it");
  }
}

std::string Arguments::required_model() const {
  if (!model_) throw usage("no program given", "expected the path of a .pte file");
  return *model_;
}

std::string Arguments::text(const std::string& option, const std::string& otherwise) const {
  const auto found = values_.find(option);
  return found == values_.end() ? otherwise : found->second.back();
}

std::vector<std::string> Arguments::list(const std::string& option) const {
  const auto found = values_.find(option);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

uint64_t Arguments::integer(const std::string& option, uint64_t lowest, uint64_t highest,
                            uint64_t otherwise) const {
  return has(option) ? parse_number<uint64_t>(option, text(option, ""), lowest, highest) : otherwise;
}

int64_t Arguments::signed_integer(const std::string& option, int64_t lowest, int64_t highest,
                                  int64_t otherwise) const {
  return has(option) ? parse_number<int64_t>(option, text(option, ""), lowest, highest) : otherwise;
}

double Arguments::number(const std::string& option, double lowest, double highest, double otherwise) const {
  return has(option) ? parse_number<double>(option, text(option, ""), lowest, highest) : otherwise;
}

}  // namespace edge
