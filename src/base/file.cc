// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "base/bytes.h"
#include "base/error.h"

namespace enclayer::base {
namespace {

constexpr std::chrono::milliseconds kLongestPause(20);

Error failed(std::string_view doing, const std::filesystem::path& path) {
  return errno_error(errno, std::string(doing) + " " + path.string());
}

Result<> write_all(int fd, ByteView content, const std::filesystem::path& path) {
  while (!content.empty()) {
    ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("cannot write", path);
    content = content.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<Bytes> read_file(const std::filesystem::path& path, std::size_t max) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return failed("cannot open", path);
  return read_all(fd.get(), path.string(), max);
}

Result<Bytes> read_all(int fd, const std::string& name, std::size_t max) {
  Bytes content;
  std::uint8_t chunk[16384];
  while (true) {
    ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("cannot read", name);
    if (n == 0) return content;
    if (content.size() + static_cast<std::size_t>(n) > max)
      return Error(ErrorKind::kMalformed,
                   name + " is longer than the " + std::to_string(max) + " bytes that are read at most");
    content.insert(content.end(), chunk, chunk + n);
  }
}

Result<std::string> read_text(const std::filesystem::path& path, std::size_t max) {
  ENCLAYER_TRY(Bytes content, read_file(path, max));
  return std::string(as_text(content));
}

Result<> write_file_atomic(const std::filesystem::path& path, ByteView content, mode_t mode) {
  struct stat found {};
  if (::stat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode)) {
    UniqueFd there(::open(path.c_str(), O_WRONLY | O_CLOEXEC));  // says itself what is wrong with a folder
    if (!there) return failed("cannot open", path);
    return write_all(there.get(), content, path);
  }
  std::string temporary = path.string() + ".XXXXXX";
  UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return failed("cannot make a file beside", path);
  auto finish = [&]() -> Result<> {
    ENCLAYER_CHECK(write_all(fd.get(), content, temporary));
    if (::fchmod(fd.get(), mode) != 0) return failed("cannot set the mode of", temporary);
    if (::fsync(fd.get()) != 0) return failed("cannot sync", temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) return failed("cannot rename " + temporary + " to", path);
    return {};
  };
  if (auto done = finish(); !done) {
    ::unlink(temporary.c_str());
    return done;
  }
  UniqueFd folder(
      ::open(path.parent_path().empty() ? "." : path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder) ::fsync(folder.get());
  return {};
}

Result<> write_new_file(const std::filesystem::path& path, ByteView content, mode_t mode) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd && errno == EEXIST) return Error(ErrorKind::kConflict, path.string() + " is there already");
  if (!fd) return failed("cannot make", path);
  auto written = write_all(fd.get(), content, path);
  if (written && ::fchmod(fd.get(), mode) != 0) written = failed("cannot set the mode of", path);
  if (!written) ::unlink(path.c_str());
  return written;
}

Result<> make_folder(const std::filesystem::path& path, mode_t mode) {
  // Parents that are missing are for nobody else to write to, whatever the umask is.
  std::filesystem::path parent;
  for (const auto& part : path.parent_path()) ::mkdir((parent /= part).c_str(), 0755);
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return failed("cannot make the folder", path);
  // What a link leads to is somebody else's, and keeps its mode.
  UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder && (errno == ENOTDIR || errno == ELOOP))
    return Error(ErrorKind::kConflict,
                 path.string() +
                     (std::filesystem::is_symlink(path) ? " is a symbolic link, which is not followed"
                                                        : " is there, but is not a folder") +
                     ": remove it");
  if (!folder) return failed("cannot open the folder", path);
  if (::fchmod(folder.get(), mode) != 0) return failed("cannot set the mode of", path);
  return {};
}

Result<UniqueFd> lock_file(const std::filesystem::path& path, std::chrono::milliseconds timeout) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return failed("cannot open", path);
  auto deadline = std::chrono::steady_clock::now() + timeout;
  // Asked again and again: a flock() that waits can only be ended by a signal.
  for (std::chrono::milliseconds pause(1);; pause = std::min(2 * pause, kLongestPause)) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
    if (errno != EWOULDBLOCK && errno != EINTR) return failed("cannot lock", path);
    if (std::chrono::steady_clock::now() >= deadline)
      return Error(ErrorKind::kTimedOut, path.string() + " is locked by another process for longer than " +
                                             std::to_string(timeout.count()) + " ms: end the one that `fuser " +
                                             path.string() + "` names");
    std::this_thread::sleep_for(pause);
  }
}

std::optional<struct stat> Root::stat(std::string_view relative) const {
  struct stat found {};
  if (::stat(path(relative).c_str(), &found) != 0) return std::nullopt;
  return found;
}

Result<std::string> Root::read_text(std::string_view relative, std::size_t max) const {
  return base::read_text(path(relative), max);
}

std::vector<std::string> Root::list(std::string_view relative) const {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(path(relative), error), end; !error && it != end; it.increment(error))
    names.push_back(it->path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace enclayer::base
