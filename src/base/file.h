// SPDX-License-Identifier: Apache-2.0
// The one small layer through which files are read and written. A Root makes the place where we look movable, so that a
// literal tree in a test is a node.
#pragma once

#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::base {

// A file descriptor that closes itself.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// The whole file, at most `max` bytes; a longer one is kMalformed (and not read), the message names the path.
Result<Bytes> read_file(const std::filesystem::path& path, std::size_t max);
Result<std::string> read_text(const std::filesystem::path& path, std::size_t max);

// The same of what is open already, a pipe for example; the message names it so.
Result<Bytes> read_all(int fd, const std::string& name, std::size_t max);

// Replaces the file as a whole: temporary name in the same folder, fsync, rename, fsync of the folder. Readers see the
// old content or the new. The new file has exactly `mode`.
// What is there and is no plain file (/dev/null, a pipe) is written to and stays what it is.
Result<> write_file_atomic(const std::filesystem::path& path, ByteView content, mode_t mode);

// Makes the file, with exactly `mode`. kConflict where something is there, be it a link or a pipe that somebody else has
// made a moment ago. What cannot be written whole is removed.
Result<> write_new_file(const std::filesystem::path& path, ByteView content, mode_t mode);

// Makes the folder and its parents; the last, which may be no link, has exactly `mode`, made or found. kConflict if not.
Result<> make_folder(const std::filesystem::path& path, mode_t mode);

// Opens the file (makes it, mode 0600) and locks it against every other process that does the same. Closing the
// descriptor unlocks it. Locks are held for moments: whoever holds one longer than `timeout` is stuck, and that must
// not spread, so kTimedOut.
Result<UniqueFd> lock_file(const std::filesystem::path& path,
                           std::chrono::milliseconds timeout = std::chrono::seconds(5));

// A folder that stands for "/" (or for "/dev", "/sys").
class Root {
 public:
  explicit Root(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // `relative` has no leading slash: Root("/dev").path("sgx_enclave").
  std::filesystem::path path(std::string_view relative) const { return folder_ / relative; }

  // What is there, symbolic links followed; nullopt when nothing is. Nothing is opened.
  std::optional<struct stat> stat(std::string_view relative) const;

  Result<std::string> read_text(std::string_view relative, std::size_t max) const;

  // Names in a folder, sorted; empty when the folder is not there.
  std::vector<std::string> list(std::string_view relative) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace enclayer::base
