// SPDX-License-Identifier: Apache-2.0
#include "attest/release_secrets.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/error.h"

namespace enclayer::attest {

Result<SecretFolder> SecretFolder::open(const std::filesystem::path& folder) {
  base::UniqueFd fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return base::errno_error(errno, "opening the folder " + folder.string());
  return SecretFolder(folder, std::move(fd));
}

bool SecretFolder::is_name(std::string_view name) {
  auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  return !name.empty() && name.size() <= kMaxName && name.front() != '.' && std::all_of(name.begin(), name.end(), good);
}

Result<Bytes> SecretFolder::read(std::string_view name, std::size_t max) const {
  if (!is_name(name))
    return Error(ErrorKind::kInvalidArgument,
                 "a secret's name has 1 to 253 letters, digits, '-', '_' and '.', and does not begin with '.'");
  const std::string path = (path_ / name).string();
  struct open_how how {};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;  // a pipe must not hold us up
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  base::UniqueFd file(
      static_cast<int>(::syscall(SYS_openat2, folder_.get(), std::string(name).c_str(), &how, sizeof how)));
  if (!file && errno == EXDEV)
    return Error(ErrorKind::kPermissionDenied, path + " is a link that leads out of its folder");
  if (!file) return base::errno_error(errno, "opening " + path);
  struct stat found {};
  if (::fstat(file.get(), &found) != 0) return base::errno_error(errno, "looking at " + path);
  if (!S_ISREG(found.st_mode)) return Error(ErrorKind::kPermissionDenied, path + " is no plain file");
  ENCLAYER_TRY(Bytes content, base::read_all(file.get(), path, max));
  if (content.empty()) return Error(ErrorKind::kMalformed, path + " is empty");
  return content;
}

}  // namespace enclayer::attest
