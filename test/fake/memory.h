// SPDX-License-Identifier: Apache-2.0
// What a process has in memory, as the kernel tells in /proc/PID/status.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/file.h"

namespace enclayer::fake {

// Sanitizers keep what was freed and shadow what is used: figures of memory then say nothing about the product.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// `field` is "VmRSS" (resident now) or "VmHWM" (the most that ever was). MiB; -1 when the kernel does not tell.
inline double memory_mib(pid_t process, const std::string& field) {
  auto status = base::read_text("/proc/" + std::to_string(process) + "/status", 1 << 16);
  std::size_t at = status ? status->find(field + ":") : std::string::npos;
  return at == std::string::npos ? -1 : std::stod(status->substr(at + field.size() + 1)) / 1024;
}

}  // namespace enclayer::fake
