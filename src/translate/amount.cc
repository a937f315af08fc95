// SPDX-License-Identifier: Apache-2.0
#include "translate/amount.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

namespace enclayer::translate {
namespace {

__extension__ typedef __int128 Wide;

constexpr std::string_view kBinary[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
constexpr std::string_view kDecimal[] = {"", "k", "M", "G", "T", "P", "E"};
constexpr std::size_t kMaxDigits = 18;  // of int64, whatever they are

std::optional<std::size_t> place_in(std::string_view suffix, const std::string_view (&list)[7]) {
  const auto* found = std::find(std::begin(list), std::end(list), suffix);
  if (found == std::end(list)) return std::nullopt;
  return static_cast<std::size_t>(found - std::begin(list));
}

// Whether Kubernetes keeps it as an int64, which it decides by counting digits (ParseQuantity's precision).
bool is_kept_whole(std::size_t digits, std::size_t exponent) { return digits + exponent * 3 + 1 <= 15; }

}  // namespace

std::optional<Amount> parse_amount(std::string_view text) {
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  Wide number = 0;
  std::size_t digits = 0;
  int below_one = 0;  // digits behind the point
  bool point = false;
  for (; !rest.empty() && (rest[0] == '.' || (rest[0] >= '0' && rest[0] <= '9')); rest.remove_prefix(1)) {
    if (rest[0] == '.') {
      if (point) return std::nullopt;
      point = true;
      continue;
    }
    if (++digits > kMaxDigits) return std::nullopt;
    number = number * 10 + (rest[0] - '0');
    below_one += point;
  }
  if (digits == 0) return std::nullopt;

  bool exponential = false;
  const auto binary = place_in(rest, kBinary);
  if (binary && *binary > 0) {
    number <<= 10 * *binary;
  } else if (const auto decimal = place_in(rest, kDecimal)) {
    below_one -= static_cast<int>(3 * *decimal);
  } else if (rest == "m" || rest == "u" || rest == "n") {
    below_one += rest == "m" ? 3 : rest == "u" ? 6 : 9;
  } else if (rest[0] == 'e' || rest[0] == 'E') {
    exponential = true;
    rest.remove_prefix(rest.size() > 1 && rest[1] == '+' ? 2 : 1);
    int exponent = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), exponent);
    if (error != std::errc() || end != rest.data() + rest.size() || std::abs(exponent) > 18) return std::nullopt;
    below_one -= exponent;
  } else {
    return std::nullopt;
  }
  for (; below_one > 0; --below_one) {
    if (number % 10 != 0) return std::nullopt;
    number /= 10;
  }
  for (; below_one < 0; ++below_one) {
    number *= 10;
    if (number > INT64_MAX) return std::nullopt;
  }
  if (number > INT64_MAX) return std::nullopt;

  Amount out{static_cast<std::int64_t>(negative ? -number : number), "", binary && *binary > 0};
  std::int64_t shown = out.value;
  std::size_t place = 0;
  const bool by_1024 = out.binary && std::abs(out.value) >= 1024;
  for (const int step = by_1024 ? 1024 : 1000; shown != 0 && shown % step == 0 && place < 6; ++place) shown /= step;
  out.text = std::to_string(shown);
  if (by_1024 && !is_kept_whole(out.text.size() - negative, place)) return std::nullopt;
  if (place > 0)
    out.text += by_1024       ? std::string(kBinary[place])
                : exponential ? "e" + std::to_string(3 * place)
                              : std::string(kDecimal[place]);
  return out;
}

}  // namespace enclayer::translate
