// SPDX-License-Identifier: Apache-2.0
// What the kernel says in its log about EPC that is lost until the next boot: leaked pages, and pages with memory
// errors.
//
// Only records of the kernel itself count (facility 0 of /dev/kmsg): whoever may write there writes as user space. A
// memory error counts when its address lies in the EPC; the messages are those of any memory:
//   "EREMOVE returned 13 (0xd) and an EPC page was leaked. ..."            WARN_ONCE: once a boot, and once for vEPC
//   "mce: Uncorrected hardware memory error in user-access at 1c0001000"   a physical address
//   "Memory failure: 0x1c0001: ..."                                        a page number
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "enclayer/error.h"
#include "sgx/epc.h"

namespace enclayer::sgx {

class KernelLog {
 public:
  struct News {
    std::uint64_t leaks = 0;
    std::uint64_t poisoned_pages = 0;  // a page counts once, however often the kernel names it
    std::uint64_t lost = 0;            // times that records were gone before they were read

    bool operator==(const News&) const = default;
  };

  // `path` is /dev/kmsg, or a file or pipe with such lines. Reading begins with the oldest record that the kernel still
  // has: after a restart of ours the sum is what it was. kPermissionDenied mostly means kernel.dmesg_restrict.
  static Result<KernelLog> open(const std::filesystem::path& path, std::vector<EpcSection> epc);

  // What has come since the last call, at most `most` records of it; never waits. A log that cannot be read any more
  // has no news.
  News read_new(std::size_t most = 4096);

 private:
  KernelLog(base::UniqueFd fd, std::vector<EpcSection> epc) : fd_(std::move(fd)), epc_(std::move(epc)) {}

  void take(std::string_view line, News& news);
  void take_page(std::uint64_t page, News& news);

  base::UniqueFd fd_;
  std::vector<EpcSection> epc_;
  std::string pending_;            // the start of a line whose end has not been read
  std::set<std::uint64_t> pages_;  // poisoned ones
};

}  // namespace enclayer::sgx
