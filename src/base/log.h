// SPDX-License-Identifier: Apache-2.0
// Log lines on standard error. The message is a constant, what varies are fields: that is what makes a log searchable.
//   log::warn("frame refused", {{"reason", "too long"}, {"bytes", n}});
// text:  2026-11-21T10:00:00.123Z warn  frame refused reason="too long" bytes=70000
// json:  {"time":"...","level":"warn","message":"frame refused","reason":"too long","bytes":70000}
// Values are escaped: bytes from outside can neither break a line nor forge one. Secrets and report data are never
// logged.
//
// Writing never waits: what nobody reads must hold nobody up. A line that finds no room is dropped and counted, and the
// next one that finds some is preceded by "log lines dropped" lines=N.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

namespace enclayer::base::log {

enum class Level { kError, kWarn, kInfo, kDebug };
enum class Format { kText, kJson };

// A field's value. Longer strings than 1,024 bytes are cut, and say so.
class Value {
 public:
  Value(std::string_view text) : value_(std::string(text)) {}
  Value(const std::string& text) : value_(text) {}
  Value(const char* text) : value_(std::string(text)) {}
  Value(bool yes) : value_(yes) {}
  Value(double number) : value_(number) {}
  template <class T>
  requires std::is_integral_v<T> &&(!std::is_same_v<T, bool>)Value(T number)
      : value_(static_cast<std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>(number)) {}

  const auto& get() const { return value_; }

 private:
  std::variant<std::string, bool, double, std::int64_t, std::uint64_t> value_;
};

struct Field {
  std::string_view key;
  Value value;
};
using Fields = std::initializer_list<Field>;

// Before the first line is written; the default is info, text. Opens standard error anew, so that whoever shares ours
// goes on as before: call it before another user is taken on, who may not open it.
void setup(Level level, Format format);

// How many lines found no room so far; every metrics page says it (metrics.h).
std::uint64_t dropped_lines();

void error(std::string_view message, Fields fields = {});
void warn(std::string_view message, Fields fields = {});
void info(std::string_view message, Fields fields = {});
void debug(std::string_view message, Fields fields = {});

// One line as setup() would have it written, without the time: what the tests look at.
std::string format_line(Format format, Level level, std::string_view message, Fields fields);

}  // namespace enclayer::base::log
