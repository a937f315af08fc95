// SPDX-License-Identifier: Apache-2.0
#include "base/quantity.h"

#include <charconv>
#include <limits>
#include <string>

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

}  // namespace enclayer::base
