// SPDX-License-Identifier: Apache-2.0
#include "sgx/mapped_epc.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <memory>

#include "base/pod_cgroup.h"
#include "sgx/devices.h"

namespace enclayer::sgx {
namespace {

constexpr std::size_t kPiece = 65'536;
constexpr std::size_t kMaxStatus = 65'536;
constexpr int kCapSysPtrace = 19;                                    // linux/capability.h
constexpr std::string_view kFirstPidNamespace = "pid:[4026531836]";  // linux/proc_ns.h: PROC_PID_INIT_INO

bool is_pid(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "7f00a0000000-7f00b0000000 rw-s 00000000 00:06 1064  /dev/sgx_enclave": the mapping's size when it is an enclave's.
std::uint64_t enclave_bytes_of(std::string_view line) {
  std::size_t slash = line.find('/');
  if (slash == std::string_view::npos || !is_enclave_mapping(line.substr(slash))) return 0;
  std::uint64_t begin = 0, end = 0;
  const char* last = line.data() + line.size();
  auto first = std::from_chars(line.data(), last, begin, 16);
  if (first.ec != std::errc() || first.ptr == last || *first.ptr != '-') return 0;
  if (std::from_chars(first.ptr + 1, last, end, 16).ec != std::errc() || end < begin) return 0;
  return end - begin;
}

bool ends_in(std::string_view path, std::string_view name) {
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
  return path.ends_with(name) && path.size() > name.size() && path[path.size() - name.size() - 1] == '/';
}

// The lines of a file, one piece in memory at a time. A line that is longer than a piece is passed on in parts. False
// when it could not be read up to its end.
template <class F>
bool for_each_line(int fd, std::size_t max, F&& take) {
  std::string buffer(kPiece, '\0');
  std::size_t have = 0, total = 0;
  while (true) {
    ssize_t n = ::read(fd, buffer.data() + have, buffer.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == ESRCH;
    total += static_cast<std::size_t>(n);
    if (total > max) return false;
    have += static_cast<std::size_t>(n);
    std::string_view rest(buffer.data(), have);
    for (std::size_t end; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1))
      take(rest.substr(0, end));
    if (n == 0 || rest.size() == buffer.size()) {
      if (!rest.empty()) take(rest);
      rest = {};
    }
    if (n == 0) return true;
    have = rest.size();
    std::copy(rest.begin(), rest.end(), buffer.begin());
  }
}

// The start of a file below `folder`; empty when it cannot be read.
std::string read_at(int folder, const char* name, std::size_t max) {
  std::string text;
  base::UniqueFd fd(::openat(folder, name, O_RDONLY | O_CLOEXEC));
  if (!fd) return text;
  text.resize(max);
  std::size_t have = 0;
  for (ssize_t n; have < max && (n = ::read(fd.get(), text.data() + have, max - have)) > 0;)
    have += static_cast<std::size_t>(n);
  text.resize(have);
  return text;
}

// Whether a descriptor of the process is of an enclave's device or the guests'. nullopt: that cannot be told.
std::optional<bool> has_epc_descriptor(int process) {
  base::UniqueFd folder(::openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return errno == ENOENT || errno == ESRCH ? std::optional(false) : std::nullopt;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(folder.get()), ::closedir);
  if (!entries) return std::nullopt;
  const int at = folder.release();  // closedir() closes it
  std::size_t seen = 0;
  char target[512];
  while (const dirent* entry = ::readdir(entries.get())) {
    if (entry->d_name[0] == '.') continue;
    if (++seen > kMaxDescriptors) return std::nullopt;
    const ssize_t size = ::readlinkat(at, entry->d_name, target, sizeof target);
    if (size > 0 && is_epc_file({target, static_cast<std::size_t>(size)})) return true;
  }
  return false;
}

// One process, through its folder: whatever comes to have its number later is not looked at.
void add_process(const std::filesystem::path& path, MappedEpc& out) {
  base::UniqueFd folder(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return;
  base::UniqueFd maps(::openat(folder.get(), "maps", O_RDONLY | O_CLOEXEC));
  if (!maps) {
    if (errno == EACCES || errno == EPERM) ++out.unread;
    return;
  }
  std::uint64_t bytes = 0;
  bool open = false;
  bool whole = for_each_line(maps.get(), kMaxMapsBytes, [&](std::string_view line) {
    bytes += enclave_bytes_of(line);
    const std::size_t slash = line.find('/');
    open |= slash != std::string_view::npos && ends_in(line.substr(slash), kVepcNode);
  });
  open |= bytes > 0;
  if (!open) {
    const auto descriptor = has_epc_descriptor(folder.get());
    whole &= descriptor.has_value();
    open = descriptor.value_or(false);
  }
  ++(whole ? out.processes : out.unread);
  if (!open) return;
  std::string cgroup = read_at(folder.get(), "cgroup", base::kMaxCgroupText);
  if (cgroup.empty()) return;  // it has ended
  if (auto pod = base::pod_of_cgroup(cgroup)) {
    if (bytes > 0) out.pods[pod->pod_uid] += bytes;
    ++out.open_by_pod[pod->pod_uid];
  } else {
    out.host += bytes;
    ++out.open_by_host;
  }
}

bool has_ptrace(const std::string& status) {
  constexpr std::string_view kField = "\nCapEff:\t";
  std::size_t at = status.find(kField);
  if (at == std::string::npos) return false;
  std::uint64_t effective = 0;
  std::from_chars(status.data() + at + kField.size(), status.data() + status.size(), effective, 16);
  return (effective >> kCapSysPtrace & 1) != 0;
}

}  // namespace

bool is_enclave_mapping(std::string_view path) {
  return std::ranges::any_of(drivers(), [&](const Driver& driver) { return ends_in(path, driver.enclave); });
}

bool is_epc_file(std::string_view path) { return is_enclave_mapping(path) || ends_in(path, kVepcNode); }

std::uint64_t MappedEpc::bytes() const {
  std::uint64_t sum = host;
  for (const auto& pod : pods) sum += pod.second;
  return sum;
}

MappedEpc mapped_epc(const base::Root& proc) {
  MappedEpc out;
  std::size_t seen = 0;
  for (const std::string& name : proc.list("")) {
    if (!is_pid(name)) continue;
    if (++seen > kMaxProcesses)
      ++out.unread;
    else
      add_process(proc.path(name), out);
  }
  return out;
}

std::optional<std::string> why_not_accountable(const base::Root& proc) {
  base::UniqueFd self(::open(proc.path("self").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!self)
    return proc.path("self").string() +
           " is not there, so it is no /proc that shows this process; mount the host's, or set hostPID: true";
  if (!has_ptrace(read_at(self.get(), "status", kMaxStatus)))
    return "the maps of other users' processes cannot be read without the capability CAP_SYS_PTRACE; add SYS_PTRACE to "
           "securityContext.capabilities.add of the container";
  std::error_code unreadable;
  auto pid_namespace = std::filesystem::read_symlink(proc.path("1/ns/pid"), unreadable);
  if (!unreadable && pid_namespace == kFirstPidNamespace) return std::nullopt;
  base::UniqueFd first(::open(proc.path("1").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::string cgroup = first ? read_at(first.get(), "cgroup", base::kMaxCgroupText) : std::string();
  if (cgroup.empty() || base::is_of_our_container(cgroup))
    return "the processes of the node cannot be seen: process 1 in " + proc.path("").string() +
           " is one of our own container or pod; set hostPID: true for the pod";
  return std::nullopt;
}

}  // namespace enclayer::sgx
