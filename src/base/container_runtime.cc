// SPDX-License-Identifier: Apache-2.0
#include "base/container_runtime.h"

#include <charconv>

#include "base/printable.h"

namespace enclayer::base {

std::string why_no_cdi(const std::string& runtime) {
  const auto mark = runtime.find("://");
  const std::string name = runtime.substr(0, mark);
  const std::string version = mark == std::string::npos ? "" : runtime.substr(mark + 3);
  int major = 0, minor = 0;
  auto [after, bad] = std::from_chars(version.data(), version.data() + version.size(), major);
  if (bad == std::errc() && after != version.data() + version.size() && *after == '.')
    std::from_chars(after + 1, version.data() + version.size(), minor);
  if (name == "containerd" && major >= 2) return {};
  if (name == "cri-o" && (major > 1 || (major == 1 && minor >= 23))) return {};
  return "the node's container runtime is '" + printable(runtime, 64) +
         "', which may start containers without the devices of their claims: use containerd 2.0 or later, or CRI-O "
         "1.23 or later";
}

}  // namespace enclayer::base
