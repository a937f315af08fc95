#include "pods/epc_holders.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/error.h"
#include "pods/checkpoint.h"

namespace enclayer::pods {
namespace {

Result<struct stat> stat_of(const base::UniqueFd& checkpoint) {
  struct stat found {};
  if (::fstat(checkpoint.get(), &found) != 0)
    return base::errno_error(errno, "cannot look at the kubelet's checkpoint");
  if (!S_ISREG(found.st_mode)) return Error(ErrorKind::kMalformed, "the kubelet's checkpoint is no plain file");
  return found;
}

}  // namespace

Error checkpoint_error(const std::filesystem::path& path, int error_number) {
  Error error = base::errno_error(error_number, "cannot open the kubelet's checkpoint " + path.string());
  std::string remedy;
  if (error_number == ENOENT || error_number == ENOTDIR)
    remedy = "; mount the node's folder " + path.parent_path().string() + " (not the file) read-only";
  if (error_number == EACCES || error_number == EPERM)
    remedy = "; it is readable for user 0 only, start as that (runAsUser: 0, no capability is needed for it)";
  return {error.kind(), error.message() + remedy};
}

Result<base::UniqueFd> open_checkpoint(const std::filesystem::path& path) {
  base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return checkpoint_error(path, errno);
  return fd;
}

bool EpcHolders::is_known(const std::string& pod_uid) {
  std::lock_guard lock(pods_mutex_);
  return pods_.contains(pod_uid);
}

Result<bool> EpcHolders::holds(const std::string& pod_uid, Clock::time_point now) {
  if (is_known(pod_uid)) return true;
  std::lock_guard lock(reading_);
  if (!looked_ || now - *looked_ >= interval_) {
    looked_ = now;
    auto done = look();
    error_ = done ? std::nullopt : std::optional<Error>(done.error());
  }
  if (is_known(pod_uid)) return true;
  if (error_) return *error_;
  return false;
}

Result<> EpcHolders::look() {
  ENCLAYER_TRY(base::UniqueFd fd, open_());
  ENCLAYER_TRY(struct stat found, stat_of(fd));
  if (found.st_nlink == 0) {  // replaced: just now, or long ago under a mount of the file
    ENCLAYER_TRY(fd, open_());
    ENCLAYER_TRY(struct stat again, stat_of(fd));
    if (again.st_dev == found.st_dev && again.st_ino == found.st_ino)
      return Error(ErrorKind::kUnavailable,
                   "the kubelet has replaced its checkpoint, and the old one is mounted here; mount its folder instead "
                   "of the file");
    found = again;
  }
  if (version_ && version_->device == found.st_dev && version_->inode == found.st_ino &&
      version_->size == found.st_size && version_->written.tv_sec == found.st_mtim.tv_sec &&
      version_->written.tv_nsec == found.st_mtim.tv_nsec)
    return {};
  auto read = [&](std::span<char> into) -> Result<std::size_t> {
    while (true) {
      ssize_t n = ::read(fd.get(), into.data(), into.size());
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno != EINTR) return base::errno_error(errno, "cannot read the kubelet's checkpoint");
    }
  };
  ENCLAYER_TRY(auto pods, pods_holding(read, resource_));
  version_ = Version{found.st_dev, found.st_ino, found.st_size, found.st_mtim};
  std::lock_guard lock(pods_mutex_);
  pods_ = std::move(pods);
  return {};
}

}  // namespace enclayer::pods
