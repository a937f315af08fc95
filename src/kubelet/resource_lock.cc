// SPDX-License-Identifier: Apache-2.0
#include "kubelet/resource_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/error.h"
#include "base/printable.h"

namespace enclayer::kubelet {
namespace {

constexpr std::size_t kMaxNote = 128;

bool is_at(const std::filesystem::path& file, int fd) {
  struct stat there {
  }, ours{};
  return ::stat(file.c_str(), &there) == 0 && ::fstat(fd, &ours) == 0 && there.st_dev == ours.st_dev &&
         there.st_ino == ours.st_ino;
}

// For people only, so a disk without room for it changes nothing.
void leave_note(int fd) {
  char host[65] = "";
  ::gethostname(host, sizeof host - 1);
  std::string note = "process " + std::to_string(::getpid()) + " on " + host;
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, note.data(), note.size(), 0) < 0) return;
}

std::string read_note(int fd) {
  char note[kMaxNote];
  ssize_t n = ::pread(fd, note, sizeof note, 0);
  if (n <= 0) return "another process";  // it has the lock, and has not left its note yet
  return base::printable({note, static_cast<std::size_t>(n)}, kMaxNote);
}

}  // namespace

Result<ResourceLock> ResourceLock::take(const std::filesystem::path& file) {
  while (true) {
    base::UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return base::errno_error(errno, "cannot open " + file.string());
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) return base::errno_error(errno, "cannot lock " + file.string());
      return Error(ErrorKind::kConflict, read_note(fd.get()) + " holds " + file.string());
    }
    if (!is_at(file, fd.get())) continue;  // deleted between the two calls: somebody may hold its successor
    leave_note(fd.get());
    return ResourceLock(file, std::move(fd));
  }
}

bool ResourceLock::in_place() const { return is_at(file_, fd_.get()); }

}  // namespace enclayer::kubelet
