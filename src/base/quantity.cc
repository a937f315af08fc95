// SPDX-License-Identifier: Apache-2.0
#include "base/quantity.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <string>
#include <utility>

namespace enclayer::base {

Result<std::uint64_t> parse_quantity(std::string_view text) {
  const Error not_a_quantity(ErrorKind::kInvalidArgument,
                             "'" + std::string(text) +
                                 "' is not an amount of memory: write digits and Ki, Mi, Gi, Ti or "
                                 "nothing (bytes), as in 8Gi");
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::invalid_argument) return not_a_quantity;

  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  int shift = 0;
  if (unit == "Ki")
    shift = 10;
  else if (unit == "Mi")
    shift = 20;
  else if (unit == "Gi")
    shift = 30;
  else if (unit == "Ti")
    shift = 40;
  else if (!unit.empty())
    return not_a_quantity;

  if (error == std::errc::result_out_of_range || number > std::numeric_limits<std::uint64_t>::max() >> shift)
    return Error(ErrorKind::kInvalidArgument, "'" + std::string(text) + "' is more than 2^64 bytes");
  return number << shift;
}

std::optional<std::int64_t> whole_quantity(std::string_view text) {
  static constexpr std::pair<std::string_view, double> kSuffixes[] = {{"Ki", 1024.0},
                                                                      {"Mi", 1048576.0},
                                                                      {"Gi", 1073741824.0},
                                                                      {"Ti", 1099511627776.0},
                                                                      {"Pi", 1125899906842624.0},
                                                                      {"Ei", 1.152921504606846976e18},
                                                                      {"m", 1e-3},
                                                                      {"u", 1e-6},
                                                                      {"n", 1e-9},
                                                                      {"k", 1e3},
                                                                      {"M", 1e6},
                                                                      {"G", 1e9},
                                                                      {"T", 1e12},
                                                                      {"P", 1e15},
                                                                      {"E", 1e18}};
  static constexpr std::int64_t kTooMuch = std::int64_t{1} << 62;
  if (text.empty() || text.size() > 64) return std::nullopt;
  std::int64_t whole = 0;
  auto [after, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (error == std::errc() && after == text.data() + text.size())
    return whole > -kTooMuch && whole < kTooMuch ? std::optional(whole) : std::nullopt;
  double value = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return std::nullopt;
  std::string_view suffix = text.substr(static_cast<std::size_t>(parsed.ptr - text.data()));
  if (!suffix.empty()) {
    auto found = std::find_if(std::begin(kSuffixes), std::end(kSuffixes),
                              [&](const auto& candidate) { return candidate.first == suffix; });
    if (found == std::end(kSuffixes)) return std::nullopt;
    value *= found->second;
  }
  constexpr auto kTooMuchOfIt = static_cast<double>(kTooMuch);
  if (!(value > -kTooMuchOfIt && value < kTooMuchOfIt)) return std::nullopt;
  auto rounded = static_cast<std::int64_t>(value);
  return static_cast<double>(rounded) < value ? rounded + 1 : rounded;
}

}  // namespace enclayer::base
