#include "own_user.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/error.h"
#include "base/file.h"
#include "sgx/devices.h"

namespace enclayer::quote_helper {
namespace {

namespace fs = std::filesystem;

Result<> give(const fs::path& path, const User& user) {
  if (::lchown(path.c_str(), user.uid, user.gid) == 0) return {};
  return base::errno_error(errno, "cannot give " + path.string() + " to user " + std::to_string(user.uid));
}

// A file, or a folder with all that is in it. Without the capability to read what is others' (DAC_OVERRIDE) user 0 may
// look into a folder only as its owner: so each is user 0's for a moment, unless it is the user's already.
Result<> give_with_content(const fs::path& path, const User& user) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) {
    if (errno == ENOENT) return {};
    return base::errno_error(errno, "cannot look at " + path.string());
  }
  bool is_users = found.st_uid == user.uid && found.st_gid == user.gid;
  if (S_ISDIR(found.st_mode)) {
    if (!is_users) ENCLAYER_CHECK(give(path, User{0, 0}));
    std::error_code error;
    for (auto entry = fs::directory_iterator(path, error); !error && entry != fs::directory_iterator();
         entry.increment(error))
      ENCLAYER_CHECK(give_with_content(entry->path(), user));
    if (error && !is_users) return Error(ErrorKind::kIo, "cannot read " + path.string() + ": " + error.message());
  }
  return is_users ? Result<>() : give(path, user);
}

Result<> give(const OwnFolder& folder, const User& user) {
  std::error_code error;
  if (!fs::is_directory(folder.path, error)) ENCLAYER_CHECK(base::make_folder(folder.path, 0755));
  struct stat found {};
  if (::stat(folder.path.c_str(), &found) != 0)
    return base::errno_error(errno, "cannot look at " + folder.path.string());
  if ((found.st_mode & S_IWOTH) == 0) ENCLAYER_CHECK(give(folder.path, user));
  for (const std::string& name : folder.entries) ENCLAYER_CHECK(give_with_content(folder.path / name, user));
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

bool read_number(std::string_view text, std::uint32_t& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number != 0 && number != ~0U;
}

}  // namespace

Result<User> parse_user(const std::string& text) {
  User user;
  auto colon = text.find(':');
  if (!read_number(std::string_view(text).substr(0, colon), user.uid) ||
      !read_number(colon == std::string::npos ? std::string_view(text) : std::string_view(text).substr(colon + 1),
                   user.gid))
    return Error(ErrorKind::kInvalidArgument,
                 "--user is \"" + text + "\"; it has to be UID or UID:GID, as numbers other than 0");
  return user;
}

Result<> become(const User& user, const std::vector<OwnFolder>& folders, const fs::path& dev_dir) {
  for (const OwnFolder& folder : folders) ENCLAYER_CHECK(give(folder, user));
  std::vector<gid_t> groups = groups_of_devices(dev_dir);
  if (::setgroups(groups.size(), groups.data()) != 0 || ::setresgid(user.gid, user.gid, user.gid) != 0 ||
      ::setresuid(user.uid, user.uid, user.uid) != 0) {
    Error error = base::errno_error(errno, "cannot become user " + std::to_string(user.uid));
    return Error(error.kind(),
                 error.message() + "; the capabilities SETUID and SETGID are needed for it, or start as that user");
  }
  // Giving up user 0 gave up the capabilities too; nothing that is started gets any by its file.
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return {};
}

}  // namespace enclayer::quote_helper
