// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "utf8.h"

namespace edge {
namespace {

void append_escaped(std::string& out, std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_sequence_length(text, at);
    const char character = text[at];
    if (length == 0) {
      out += "\\ufffd";
    } else if (character == '"' || character == '\\') {
      out += '\\';
      out += character;
    } else if (static_cast<unsigned char>(character) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(character));
      out += escape;
    } else {
      out.append(text.substr(at, length));
    }
    at += length == 0 ? 1 : length;
  }
}

}  // namespace

void Json::separate() {
  if (needs_comma_) text_ += ", ";
}

Json& Json::raw(std::string_view token) {
  separate();
  text_ += token;
  needs_comma_ = true;
  return *this;
}

Json& Json::begin_object() {
  raw("{");
  needs_comma_ = false;
  return *this;
}

Json& Json::end_object() {
  needs_comma_ = false;
  return raw("}");
}

Json& Json::begin_array() {
  raw("[");
  needs_comma_ = false;
  return *this;
}

Json& Json::end_array() {
  needs_comma_ = false;
  return raw("]");
}

Json& Json::key(std::string_view name) {
  value(name);
  text_ += ": ";
  needs_comma_ = false;
  return *this;
}

Json& Json::value(std::string_view text) {
  separate();
  text_ += '"';
  append_escaped(text_, text);
  text_ += '"';
  needs_comma_ = true;
  return *this;
}

Json& Json::value(bool flag) { return raw(flag ? "true" : "false"); }

Json& Json::value(double number) {
  if (!std::isfinite(number)) return null();
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  return raw(std::string_view(digits, static_cast<size_t>(end - digits)));
}

bool Json::drain(std::FILE* stream) {
  const bool written = std::fwrite(text_.data(), 1, text_.size(), stream) == text_.size();
  text_.clear();
  return written;
}

Json& Json::null() { return raw("null"); }

}  // namespace edge
