// SPDX-License-Identifier: Apache-2.0
#include "enclayer/time.h"

#include <cstdio>

namespace enclayer {

Result<Time> parse_time(std::string_view text) {
  static constexpr std::string_view kForm = "0000-00-00T00:00:00Z";
  auto malformed = [&] {
    return Error(ErrorKind::kMalformed,
                 "time \"" + std::string(text.substr(0, 32)) + "\" is not of the form YYYY-MM-DDThh:mm:ssZ");
  };
  if (text.size() != kForm.size()) return malformed();
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    bool is_digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == '0' ? !is_digit : text[i] != kForm[i]) return malformed();
  }
  auto number = [&](std::size_t at, std::size_t digits) {
    int value = 0;
    for (std::size_t i = at; i < at + digits; ++i) value = value * 10 + (text[i] - '0');
    return value;
  };
  std::chrono::year_month_day date{std::chrono::year(number(0, 4)), std::chrono::month(unsigned(number(5, 2))),
                                   std::chrono::day(unsigned(number(8, 2)))};
  int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
  if (!date.ok() || number(0, 4) < 1970 || hour > 23 || minute > 59 || second > 59) return malformed();
  return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         std::chrono::seconds(second);
}

std::string format_time(Time time) {
  auto day = std::chrono::floor<std::chrono::days>(time);
  std::chrono::year_month_day date(day);
  std::chrono::hh_mm_ss clock(time - day);
  char text[40];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ", int(date.year()), unsigned(date.month()),
                unsigned(date.day()), int(clock.hours().count()), int(clock.minutes().count()),
                int(clock.seconds().count()));
  return text;
}

}  // namespace enclayer
