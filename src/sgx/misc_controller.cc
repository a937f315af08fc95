// SPDX-License-Identifier: Apache-2.0
#include "sgx/misc_controller.h"

#include <algorithm>
#include <charconv>

namespace enclayer::sgx {

std::optional<std::uint64_t> misc_epc_capacity(const base::Root& sys) {
  constexpr std::size_t kMaxFile = 4096;
  constexpr std::string_view kOurs = "sgx_epc ";
  for (const char* file : {"fs/cgroup/misc.capacity", "fs/cgroup/misc/misc.capacity"}) {  // cgroup v2, v1
    auto text = sys.read_text(file, kMaxFile);
    if (!text) continue;
    std::string_view rest = *text;
    while (!rest.empty()) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (!line.starts_with(kOurs)) continue;
      std::uint64_t bytes = 0;
      const char* end = line.data() + line.size();
      auto number = std::from_chars(line.data() + kOurs.size(), end, bytes);
      if (number.ec == std::errc() && number.ptr == end) return bytes;
    }
  }
  return std::nullopt;
}

}  // namespace enclayer::sgx
