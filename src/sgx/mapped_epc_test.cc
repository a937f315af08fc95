// SPDX-License-Identifier: Apache-2.0
#include "sgx/mapped_epc.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "fake/temp_folder.h"

namespace enclayer::sgx {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kUid = "0b6f3c1e-7a52-4f0c-9d11-2f6f0c9a7b3d";
const std::string kOtherUid = "1c7a4d2f-8b63-4a1d-8e22-3a7a1d0b8c4e";
const std::string kId(64, 'a');

std::string cgroup_of(const std::string& uid) { return "0::/kubepods/burstable/pod" + uid + "/" + kId + "\n"; }

TEST(MappedEpc, enclave_mappings_are_those_of_every_drivers_node) {
  for (const char* path : {"/dev/sgx_enclave", "/dev/sgx/enclave", "/dev/isgx", "/dev/sgx_enclave (deleted)",
                           "/host/dev/sgx_enclave", "/sgx_enclave"})
    EXPECT_TRUE(is_enclave_mapping(path)) << path;
  for (const char* path :
       {"", "/", "/dev/sgx_provision", "/dev/sgx_vepc", "/dev/sgx", "/dev/enclave", "/dev/xsgx_enclave",
        "/dev/sgx_enclave/x", "/dev/sgx_enclave2", "sgx_enclave", "/memfd:sgx_enclave (deleted)"})
    EXPECT_FALSE(is_enclave_mapping(path)) << path;
}

// A literal /proc.
class LiteralProc : public testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& text) {
    fs::path path = folder_.path() / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path;
  }
  void process(const std::string& pid, const std::string& maps, const std::string& cgroup) {
    write(pid + "/maps", maps);
    write(pid + "/cgroup", cgroup);
  }
  MappedEpc mapped() const { return mapped_epc(base::Root(folder_.path())); }

  fake::TempFolder folder_;
};

constexpr auto kOneMiB = "7f0000000000-7f0000100000 rw-s 00000000 00:06 1064                       /dev/sgx_enclave\n";
constexpr auto kNone =
    "55f000000000-55f000001000 r-xp 00000000 fe:00 12 /usr/bin/app\n"
    "55f000001000-55f000002000 rw-p 00000000 00:00 0 \n"
    "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]\n";

TEST_F(LiteralProc, bytes_are_summed_by_pod_and_the_rest_is_the_hosts) {
  process("1", kNone, "0::/init.scope\n");
  process("10",
          std::string(kNone) + kOneMiB +
              "7f0000200000-7f0000201000 r-xs 00000000 00:06 1064 /dev/sgx_enclave\n"
              "7f0000300000-7f0000301000 ---s 00000000 00:06 1064 /dev/sgx/enclave (deleted)\n",
          cgroup_of(kUid));
  process("11", kOneMiB, cgroup_of(kUid));
  process("12", kOneMiB, cgroup_of(kOtherUid));
  process("13", kOneMiB, "0::/system.slice/aesmd.service\n");
  process("self", kOneMiB, "0::/\n");  // is one of the others
  write("version", "Linux");
  MappedEpc found = mapped();
  EXPECT_EQ(found.pods, (std::map<std::string, std::uint64_t>{{kUid, 0x202000}, {kOtherUid, 0x100000}}));
  EXPECT_EQ(found.host, 0x100000u);
  EXPECT_EQ(found.bytes(), 0x402000u);
  EXPECT_EQ(found.processes, 5u);
  EXPECT_EQ(found.unread, 0u);
}

TEST_F(LiteralProc, maps_longer_than_a_piece_are_read_to_the_end) {
  std::string maps;
  for (int i = 0; i < 5'000; ++i) maps += i % 2 ? kOneMiB : kNone;
  maps += std::string(200'000, 'x') + "\n" + kOneMiB;  // a line that is no line of maps
  maps += std::string(kOneMiB).substr(0, std::strlen(kOneMiB) - 1);
  process("10", maps, cgroup_of(kUid));
  EXPECT_EQ(mapped().pods[kUid], 2'502u * 0x100000u);
}

TEST_F(LiteralProc, lines_that_make_no_sense_count_nothing) {
  process("10",
          "/dev/sgx_enclave\n-/dev/sgx_enclave\nzz-11 rw-s 0 0 0 /dev/sgx_enclave\n"
          "7f0000100000-7f0000000000 rw-s 0 0 0 /dev/sgx_enclave\n7f0000100000 /dev/sgx_enclave\n",
          cgroup_of(kUid));
  EXPECT_EQ(mapped().bytes(), 0u);
}

TEST_F(LiteralProc, processes_that_vanish_are_skipped_and_unreadable_ones_counted) {
  fs::create_directories(folder_.path() / "10");  // no maps any more
  write("11/maps", kOneMiB);                      // no cgroup any more
  process("12", kOneMiB, cgroup_of(kUid));
  fs::resize_file(write("13/maps", kOneMiB), kMaxMapsBytes + 1);
  fs::create_directories(folder_.path() / "14/maps");
  fs::permissions(write("15/maps", kOneMiB), fs::perms::none);
  fs::permissions(folder_.path(), fs::perms::all);
  const uid_t we = ::geteuid();
  if (we == 0) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  MappedEpc found = mapped();
  if (we == 0) {
    ASSERT_EQ(::seteuid(we), 0);
  }
  EXPECT_EQ(found.pods, (std::map<std::string, std::uint64_t>{{kUid, 0x100000}}));
  EXPECT_EQ(found.unread, 3u);
}

// ---- Who has EPC open ----

class OpenEpc : public LiteralProc {
 protected:
  void descriptor(const std::string& pid, const std::string& number, const std::string& target) {
    fs::create_directories(folder_.path() / pid / "fd");
    fs::create_symlink(target, folder_.path() / pid / "fd" / number);
  }
};

TEST_F(OpenEpc, descriptors_and_mappings_of_enclaves_and_guests_count_each_process_once) {
  process("10", kOneMiB, cgroup_of(kUid));
  descriptor("10", "3", "/dev/sgx_enclave");
  process("11", kNone, cgroup_of(kUid));
  descriptor("11", "0", "/dev/null");
  descriptor("11", "9", "/dev/sgx/enclave (deleted)");
  process("12", "7f0000000000-7f0000100000 rw-s 00000000 00:06 1065 /dev/sgx_vepc\n", "0::/machine.slice/qemu.scope\n");
  process("13", kNone, "0::/machine.slice/qemu2.scope\n");
  descriptor("13", "30", "/sgx_vepc");  // as a container's own /dev shows it to the host
  MappedEpc found = mapped();
  EXPECT_EQ(found.open_by_pod, (std::map<std::string, std::size_t>{{kUid, 2}}));
  EXPECT_EQ(found.open_by_host, 2u);
  EXPECT_EQ(found.pods, (std::map<std::string, std::uint64_t>{{kUid, 0x100000}})) << "a descriptor maps nothing";
  EXPECT_EQ(found.host, 0u) << "what guests map is not counted as enclaves' memory";
}

TEST_F(OpenEpc, other_descriptors_do_not_count) {
  process("10", kNone, cgroup_of(kUid));
  int number = 3;
  for (const char* target : {"/dev/sgx_provision", "/dev/sgx_enclave/x", "sgx_enclave", "socket:[77]", "/dev/xsgx_vepc",
                             "/memfd:sgx_enclave (deleted)", ""})
    if (*target != '\0') descriptor("10", std::to_string(number++), target);
  EXPECT_TRUE(mapped().open_by_pod.empty());
  EXPECT_EQ(mapped().processes, 1u);
}

TEST_F(OpenEpc, process_whose_descriptors_cannot_be_read_is_unread) {
  process("10", kNone, cgroup_of(kUid));
  write("10/fd", "no folder");
  EXPECT_EQ(mapped().unread, 1u);
  EXPECT_EQ(mapped().processes, 0u);
}

TEST_F(OpenEpc, a_real_process_with_a_descriptor_is_seen) {
  fake::TempFolder dev;
  const base::UniqueFd file(::open((dev.path() / "sgx_enclave").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(file);
  process("10", kNone, cgroup_of(kUid));
  fs::create_symlink("/proc/self/fd", folder_.path() / "10/fd");
  EXPECT_EQ(mapped().open_by_pod, (std::map<std::string, std::size_t>{{kUid, 1}}));
}

// A child that maps a clone of /dev/zero under the name of the SGX device.
class ChildWithMapping {
 public:
  static constexpr std::size_t kBytes = 12 << 20;

  explicit ChildWithMapping(const fs::path& node) {
    int told[2];
    if (::pipe2(told, O_CLOEXEC) != 0) std::abort();
    base::UniqueFd reader(told[0]), writer(told[1]);
    pid_ = ::fork();
    if (pid_ == 0) {
      int fd = ::open(node.c_str(), O_RDWR | O_CLOEXEC);
      void* at = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
      char ok = fd >= 0 && at != MAP_FAILED ? 'y' : 'n';
      if (::write(told[1], &ok, 1) == 1) ::pause();
      ::_exit(0);
    }
    writer.reset();
    char ok = 'n';
    mapped_ = ::read(reader.get(), &ok, 1) == 1 && ok == 'y';
  }
  ~ChildWithMapping() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  bool mapped() const { return mapped_; }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  bool mapped_ = false;
};

TEST_F(LiteralProc, a_real_process_that_maps_the_stand_in_node_is_seen) {
  fake::TempFolder dev;
  const fs::path node = dev.path() / "sgx_enclave";
  if (::mknod(node.c_str(), S_IFCHR | 0600, makedev(1, 5)) != 0)
    GTEST_SKIP() << "mknod of a character device is not permitted here: " << std::strerror(errno);
  ChildWithMapping child(node);
  if (!child.mapped())
    GTEST_SKIP() << "device nodes in " << dev.path() << " cannot be opened or mapped (nodev, noexec)";

  // Its own maps and cgroup, alone: exactly what it maps.
  fs::path real = fs::path("/proc") / std::to_string(child.pid());
  fs::create_directories(folder_.path() / "7");
  fs::create_symlink(real / "maps", folder_.path() / "7/maps");
  write("7/cgroup", cgroup_of(kUid));
  EXPECT_EQ(mapped().pods, (std::map<std::string, std::uint64_t>{{kUid, ChildWithMapping::kBytes}}));

  // And among all processes of this machine, of which others may map such nodes too.
  MappedEpc all = mapped_epc(base::Root("/proc"));
  EXPECT_GE(all.bytes(), ChildWithMapping::kBytes);
  EXPECT_GE(all.processes, 2u);
}

class Accountable : public LiteralProc {
 protected:
  void SetUp() override {
    write("self/status", "Name:\tplugin\nCapPrm:\t0000000000080000\nCapEff:\t0000000000080000\nCapBnd:\t0\n");
    write("1/cgroup", "0::/init.scope\n");
    fs::create_directories(folder_.path() / "1/ns");
    pid_namespace("pid:[4026531836]");
  }
  void pid_namespace(const char* name) {
    fs::remove(folder_.path() / "1/ns/pid");
    fs::create_symlink(name, folder_.path() / "1/ns/pid");
  }
  std::string why() const { return why_not_accountable(base::Root(folder_.path())).value_or(""); }
};

TEST_F(Accountable, the_capability_is_needed) {
  EXPECT_EQ(why(), "");
  for (const char* status : {"Name:\tx\nCapEff:\t0000000000040000\n", "Name:\tx\nCapPrm:\t0000000000080000\n", ""}) {
    write("self/status", status);
    EXPECT_THAT(why(), HasSubstr("SYS_PTRACE")) << status;
  }
  fs::remove_all(folder_.path() / "self");
  EXPECT_THAT(why(), HasSubstr("self is not there"));
}

TEST_F(Accountable, the_first_pid_namespace_is_the_hosts_whatever_the_cgroups_say) {
  write("1/cgroup", "0::/\n");
  EXPECT_EQ(why(), "");
}

TEST_F(Accountable, process_1_of_our_own_pod_is_not_the_nodes) {
  pid_namespace("pid:[4026532500]");
  for (const std::string& cgroup :
       {std::string("0::/\n"), "0::/../" + kId + "\n", cgroup_of(kUid),
        "4:pids:/kubepods/pod" + kUid + "/" + kId + "\n", std::string("9:pids:/\n0::/\n"), std::string()}) {
    write("1/cgroup", cgroup);
    EXPECT_THAT(why(), HasSubstr("hostPID: true")) << cgroup;
  }
}

TEST_F(Accountable, a_node_that_is_a_container_has_a_process_1_elsewhere) {
  pid_namespace("pid:[4026532500]");
  for (const char* cgroup : {"0::/../../../../init.scope\n", "0::/../../../..\n", "0::/init.scope\n"}) {
    write("1/cgroup", cgroup);
    EXPECT_EQ(why(), "") << cgroup;
  }
  fs::remove(folder_.path() / "1/ns/pid");  // AppArmor can forbid to read it
  EXPECT_EQ(why(), "");
}

}  // namespace
}  // namespace enclayer::sgx
