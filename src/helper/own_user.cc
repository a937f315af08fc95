// SPDX-License-Identifier: Apache-2.0
#include "helper/own_user.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/file.h"
#include "sgx/devices.h"
#include "slots/slots.h"

namespace enclayer::helper {
namespace {

namespace fs = std::filesystem;

constexpr gid_t kGroup = slots::kHelperGroup;

Error denied(const fs::path& path, uid_t owner, uid_t user) {
  return {ErrorKind::kPermissionDenied, path.string() + " belongs to user " + std::to_string(owner) +
                                            ", and the helper is user " + std::to_string(user) + ": chown -R " +
                                            std::to_string(user) + ":" + std::to_string(kGroup) + " " + path.string()};
}

Result<> let_in(const fs::path& path, uid_t user) {
  std::error_code error;
  if (!fs::is_directory(path, error)) ENCLAYER_CHECK(base::make_folder(path, 0755));
  base::UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat found {};
  if (!folder || ::fstat(folder.get(), &found) != 0) return base::errno_error(errno, "cannot look at " + path.string());
  struct stat entry {};
  for (const char* name : {"private", "lock"})  // of the state directory
    if (::fstatat(folder.get(), name, &entry, AT_SYMLINK_NOFOLLOW) == 0 && entry.st_uid != user)
      return denied(path / name, entry.st_uid, user);
  if ((found.st_mode & S_IWOTH) != 0 || found.st_uid == user) return {};
  if (found.st_uid != 0) return denied(path, found.st_uid, user);
  if (found.st_gid != kGroup && ::fchown(folder.get(), static_cast<uid_t>(-1), kGroup) != 0)
    return Error(ErrorKind::kPermissionDenied,
                 "cannot let group " + std::to_string(kGroup) + " into " + path.string() +
                     ": user 0 has to be in that group (supplementalGroups), or to have the capability CHOWN");
  if ((found.st_mode & 0070) != 0070 && ::fchmod(folder.get(), (found.st_mode | 0070) & 07777) != 0)
    return base::errno_error(errno, "cannot let group " + std::to_string(kGroup) + " into " + path.string());
  return {};
}

std::vector<gid_t> groups_of_devices(const fs::path& dev_dir) {
  const base::Root dev(dev_dir);
  std::vector<gid_t> groups;
  for (const sgx::Driver& driver : sgx::drivers())
    for (std::string_view name : {driver.enclave, driver.provision}) {
      if (name.empty()) continue;
      sgx::DeviceNode node = sgx::look_at_node(dev, name);
      bool is_for_group = node.state == sgx::NodeState::kUsable && !node.everybody() && (node.mode & 0060) == 0060;
      if (is_for_group && node.group != 0 && std::find(groups.begin(), groups.end(), node.group) == groups.end())
        groups.push_back(node.group);
    }
  return groups;
}

}  // namespace

Result<> become(uid_t user, const std::vector<fs::path>& folders, const fs::path& dev_dir) {
  for (const fs::path& folder : folders) ENCLAYER_CHECK(let_in(folder, user));
  std::vector<gid_t> groups = groups_of_devices(dev_dir);
  if (::setgroups(groups.size(), groups.data()) != 0 || ::setresgid(kGroup, kGroup, kGroup) != 0 ||
      ::setresuid(user, user, user) != 0) {
    Error error = base::errno_error(errno, "cannot become user " + std::to_string(user));
    return Error(error.kind(),
                 error.message() + "; the capabilities SETUID and SETGID are needed for it, or start as that user");
  }
  // Giving up user 0 gave up the capabilities too; nothing that is started gets any by its file.
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return {};
}

}  // namespace enclayer::helper
