// SPDX-License-Identifier: Apache-2.0
#include "sgx/kernel_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

#include "base/error.h"

namespace enclayer::sgx {
namespace {

constexpr std::size_t kMaxRecord = 16'384;    // the kernel's are 8,192 at most
constexpr std::size_t kMaxPoisoned = 65'536;  // 256 MiB of them: the machine has other worries
constexpr std::uint64_t kPageSize = 4096;

// The hexadecimal number that follows `mark` in `text`; `ends` has to come right after it, unless it is empty.
std::optional<std::uint64_t> hex_after(std::string_view text, std::string_view mark, std::string_view ends) {
  std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + mark.size());
  std::uint64_t number = 0;
  auto read = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (read.ec != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
  if (!text.starts_with(ends)) return std::nullopt;
  return number;
}

}  // namespace

Result<KernelLog> KernelLog::open(const std::filesystem::path& path, std::vector<EpcSection> epc) {
  base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) {
    Error error = base::errno_error(errno, "cannot read the kernel's log at " + path.string());
    return Error(error.kind(), error.message() +
                                   "; leaked and poisoned EPC pages are not counted. Where kernel.dmesg_restrict is 1 "
                                   "the capability CAP_SYSLOG is needed");
  }
  return KernelLog(std::move(fd), std::move(epc));
}

KernelLog::News KernelLog::read_new(std::size_t most) {
  News news;
  char record[kMaxRecord];
  for (std::size_t i = 0; i < most; ++i) {
    ssize_t n = ::read(fd_.get(), record, sizeof record);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EPIPE || errno == EINVAL)) {  // overwritten; longer than our buffer: stepped over
      ++news.lost;
      continue;
    }
    if (n <= 0) break;
    std::string_view rest(record, static_cast<std::size_t>(n));
    for (std::size_t end; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1)) {
      pending_.append(rest.substr(0, end));
      take(pending_, news);
      pending_.clear();
    }
    pending_.append(rest.substr(0, kMaxRecord - std::min(kMaxRecord, pending_.size())));
  }
  return news;
}

// "<priority>,<sequence>,<microseconds>,<flags>[,...];<text>", or a line of a record's dictionary, which begins with a
// space.
void KernelLog::take(std::string_view line, News& news) {
  std::uint32_t priority = 0;
  auto read = std::from_chars(line.data(), line.data() + line.size(), priority);
  if (read.ec != std::errc() || read.ptr == line.data() + line.size() || *read.ptr != ',') return;
  std::uint32_t facility = priority >> 3;
  std::size_t text_at = line.find(';');
  if (facility != 0 || text_at == std::string_view::npos) return;
  std::string_view text = line.substr(text_at + 1);

  if (std::size_t at = text.find("EREMOVE returned "); at != std::string_view::npos) {
    if (text.find("and an EPC page was leaked", at) != std::string_view::npos) ++news.leaks;
  } else if (auto address = hex_after(text, "Uncorrected hardware memory error in user-access at ", "")) {
    take_page(*address / kPageSize, news);
  } else if (auto page = hex_after(text, "Memory failure: 0x", ":")) {
    take_page(*page, news);
  }
}

void KernelLog::take_page(std::uint64_t page, News& news) {
  bool in_epc = std::any_of(epc_.begin(), epc_.end(), [page](const EpcSection& section) {
    return page >= section.base / kPageSize && page - section.base / kPageSize < section.size / kPageSize;
  });
  if (in_epc && pages_.size() < kMaxPoisoned && pages_.insert(page).second) ++news.poisoned_pages;
}

}  // namespace enclayer::sgx
