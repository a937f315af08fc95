// SPDX-License-Identifier: Apache-2.0
// SGX device nodes of a literal /dev, with what a literal /sys says of them. Making nodes takes rights, so they are
// links to character devices that every machine has, each to another one: no two have the same numbers.
#pragma once

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace enclayer::fake {

// What the kernel calls the character device `target`: for the kernel of `sys` it is `name` from now on.
inline void call_device(const std::filesystem::path& sys, const std::string& name,
                        const std::filesystem::path& target) {
  struct stat found {};
  if (::stat(target.c_str(), &found) != 0) std::abort();
  const std::string numbers = std::to_string(major(found.st_rdev)) + ":" + std::to_string(minor(found.st_rdev));
  const std::filesystem::path folder = sys / "dev/char" / numbers;
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "uevent") << "MAJOR=" << major(found.st_rdev) << "\nMINOR=" << minor(found.st_rdev)
                                   << "\nDEVNAME=" << name << "\n";
}

// A node that is not its driver's: `sys` does not hear of it.
inline void add_stray_device(const std::filesystem::path& dev, const std::string& name,
                             const std::filesystem::path& target) {
  std::filesystem::create_directories((dev / name).parent_path());
  std::filesystem::create_symlink(target, dev / name);
}

inline void add_device(const std::filesystem::path& dev, const std::filesystem::path& sys, const std::string& name) {
  static const std::map<std::string, const char*> kStandIns = {
      {"sgx_enclave", "/dev/null"}, {"sgx_provision", "/dev/zero"},   {"sgx_vepc", "/dev/tty"},
      {"sgx/enclave", "/dev/full"}, {"sgx/provision", "/dev/random"}, {"isgx", "/dev/urandom"}};
  const char* target = kStandIns.at(name);
  call_device(sys, name, target);
  add_stray_device(dev, name, target);
}

}  // namespace enclayer::fake
