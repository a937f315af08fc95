// SPDX-License-Identifier: Apache-2.0
#include "container.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"

namespace enclayer::demo {
namespace {

namespace fs = std::filesystem;

Error failed(const std::string& what) { return base::errno_error(errno, what); }

Result<> mount_at(const char* source, const std::string& target, const char* type, unsigned long flags) {
  if (::mount(source, target.c_str(), type, flags, nullptr) != 0) return failed("cannot mount on " + target);
  return {};
}

Result<> write_to(const char* path, const std::string& text) {
  base::UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), text.data(), text.size()) < 0) return failed(std::string("cannot write ") + path);
  return {};
}

// Root needs only the mount namespace; everybody else a user namespace around it.
Result<> unshare_mounts() {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
  if (::unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0)
    return failed("cannot make a mount namespace");
  if (uid != 0) {
    ENCLAYER_CHECK(write_to("/proc/self/setgroups", "deny"));
    ENCLAYER_CHECK(write_to("/proc/self/uid_map", std::to_string(uid) + " " + std::to_string(uid) + " 1"));
    ENCLAYER_CHECK(write_to("/proc/self/gid_map", std::to_string(gid) + " " + std::to_string(gid) + " 1"));
  }
  return mount_at("none", "/", nullptr, MS_REC | MS_PRIVATE);
}

// Binds host_path onto a fresh file at `target`.
Result<> bind_device(const std::string& host_path, const std::string& target) {
  std::error_code ignored;
  fs::create_directories(fs::path(target).parent_path(), ignored);
  base::UniqueFd fd(::open(target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return failed("cannot make " + target);
  return mount_at(host_path.c_str(), target, nullptr, MS_BIND);
}

}  // namespace

Result<> enter_container(const std::string& scratch, const std::vector<BindMount>& devices,
                         const std::vector<BindMount>& mounts) {
  ENCLAYER_CHECK(unshare_mounts());
  const std::string dev = scratch + "/dev";
  ENCLAYER_CHECK(base::make_folder(dev, 0755));
  ENCLAYER_CHECK(mount_at("tmpfs", dev, "tmpfs", 0));
  for (const char* name : {"null", "zero", "urandom"})
    ENCLAYER_CHECK(bind_device(std::string("/dev/") + name, dev + "/" + name));
  for (const BindMount& device : devices) {
    if (!device.container_path.starts_with("/dev/"))
      return Error(ErrorKind::kUnsupported, "a device outside /dev: " + device.container_path);
    ENCLAYER_CHECK(bind_device(device.host_path, dev + device.container_path.substr(4)));
  }
  ENCLAYER_CHECK(mount_at(dev.c_str(), "/dev", nullptr, MS_BIND | MS_REC));

  // The scratch folder may itself lie under /run, so the sources are held open while /run is covered.
  std::vector<base::UniqueFd> sources;
  for (const BindMount& mount : mounts) {
    sources.emplace_back(::open(mount.host_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!sources.back()) return failed("cannot open " + mount.host_path);
  }
  ENCLAYER_CHECK(mount_at("tmpfs", "/run", "tmpfs", 0));
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    std::string target = mounts[i].container_path;
    if (target.starts_with("/var/run/")) target = target.substr(4);  // /var/run is a link to /run
    if (!target.starts_with("/run/")) return Error(ErrorKind::kUnsupported, "a mount outside /run: " + target);
    std::error_code ignored;
    fs::create_directories(target, ignored);
    ENCLAYER_CHECK(mount_at(("/proc/self/fd/" + std::to_string(sources[i].get())).c_str(), target, nullptr, MS_BIND));
    if (mounts[i].read_only) ENCLAYER_CHECK(mount_at("none", target, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY));
  }
  return {};
}

}  // namespace enclayer::demo
