// SPDX-License-Identifier: Apache-2.0
// Writes JSON text. Strings that are not UTF-8 come out with U+FFFD for each bad byte.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace edge {

class Json {
 public:
  Json& begin_object();
  Json& end_object();
  Json& begin_array();
  Json& end_array();
  Json& key(std::string_view name);
  Json& value(std::string_view text);
  Json& value(const char* text) { return value(std::string_view(text)); }
  Json& value(bool flag);
  Json& value(double number);  // NaN and infinities become null
  Json& null();

  template <typename Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  Json& value(Integer number) {
    return raw(std::to_string(number));
  }
  template <typename Value>
  Json& value(const std::optional<Value>& maybe) {
    return maybe ? value(*maybe) : null();
  }
  template <typename Value>
  Json& value(const std::vector<Value>& list) {
    begin_array();
    for (const Value& item : list) value(item);
    return end_array();
  }

  const std::string& text() const { return text_; }

  // Writes out what there is so far and forgets it. False where `stream` cannot be written.
  bool drain(std::FILE* stream);

 private:
  Json& raw(std::string_view token);
  void separate();

  std::string text_;
  bool needs_comma_ = false;
};

}  // namespace edge
