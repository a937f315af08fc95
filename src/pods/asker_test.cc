#include "pods/asker.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <vector>

#include "fake/temp_folder.h"

namespace enclayer::pods {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::HasSubstr;
using Kind = Asker::Kind;

const std::string kUid = "0b6f3c1e-7a52-4f0c-9d11-2f6f0c9a7b3d";
const std::string kOtherUid = "1c7a4d2f-8b63-4a1d-8e22-3a7a1d0b8c4e";
const std::string kId(64, 'a'), kOtherId(64, 'b');
const Askers::Clock::time_point kStart{1000h};

std::string cgroup_of(const std::string& uid, const std::string& id = kId) {
  return "0::/kubepods/burstable/pod" + uid + "/" + id + "\n";
}

// A child that connects, and then lives until it is let go or killed.
class Child {
 public:
  explicit Child(const fs::path& socket) {
    pid_ = ::fork();
    if (pid_ != 0) return;
    int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      // Who has its connection now keeps it when it ends.
      if (::fork() != 0) {
        ::pause();
      } else {
        char end;
        (void)!::read(fd, &end, 1);
      }
    }
    ::_exit(0);
  }
  ~Child() { end(); }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

// Real processes and connections, in a literal /proc.
class LiteralProc : public testing::Test {
 protected:
  LiteralProc() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket().c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
  }

  fs::path socket() const { return folder_.path() / "s"; }
  base::UniqueFd accept() const { return base::UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
  void write(const std::string& name, const std::string& text) {
    fs::path path = proc() / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  void cgroup(pid_t pid, const std::string& text) { write(std::to_string(pid) + "/cgroup", text); }
  fs::path proc() const { return folder_.path() / "proc"; }
  base::Root root() const { return base::Root(proc()); }

  fake::TempFolder folder_;
  base::UniqueFd listener_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  Askers askers_{root()};
};

TEST_F(LiteralProc, peers_are_told_apart_by_pod_and_container) {
  Child first(socket());
  base::UniqueFd a = accept();
  Child second(socket());
  base::UniqueFd b = accept();
  cgroup(first.pid(), cgroup_of(kUid));
  cgroup(second.pid(), cgroup_of(kUid, kOtherId));
  auto one = askers_.who(first.pid(), a.get(), kStart), two = askers_.who(second.pid(), b.get(), kStart);
  EXPECT_EQ(one->kind, Kind::kPod);
  EXPECT_EQ(one->name(), kUid);
  EXPECT_EQ(one->pod, (base::PodCgroup{kUid, kId}));
  EXPECT_EQ(two->pod, (base::PodCgroup{kUid, kOtherId}));
  EXPECT_EQ(one->key, two->key) << "a pod's containers share what the pod may have";
}

TEST_F(LiteralProc, a_living_process_is_looked_up_once_in_ten_seconds) {
  Child child(socket());
  base::UniqueFd connection = accept();
  cgroup(child.pid(), cgroup_of(kUid));
  EXPECT_EQ(askers_.who(child.pid(), connection.get(), kStart)->name(), kUid);
  cgroup(child.pid(), cgroup_of(kOtherUid));
  EXPECT_EQ(askers_.who(child.pid(), connection.get(), kStart + 9s)->name(), kUid);
  EXPECT_EQ(askers_.who(child.pid(), connection.get(), kStart + 10s)->name(), kOtherUid);
}

TEST_F(LiteralProc, a_peer_that_ended_is_unknown_whoever_has_its_number_now) {
  Child child(socket());
  base::UniqueFd connection = accept();
  cgroup(child.pid(), cgroup_of(kUid));
  EXPECT_EQ(askers_.who(child.pid(), connection.get(), kStart)->name(), kUid);
  pid_t pid = child.pid();
  child.end();
  EXPECT_EQ(askers_.who(pid, connection.get(), kStart)->kind, Kind::kUnknown);
  EXPECT_EQ(Askers(root()).who(pid, connection.get(), kStart)->kind, Kind::kUnknown);
}

TEST_F(LiteralProc, peers_are_known_by_their_number_where_the_kernel_tells_no_more) {
  cgroup(::getpid(), cgroup_of(kUid));
  EXPECT_EQ(askers_.who(::getpid(), -1, kStart)->name(), kUid);
  EXPECT_EQ(askers_.known(), 1u);
  Child child(socket());
  base::UniqueFd connection = accept();
  cgroup(child.pid(), cgroup_of(kUid));
  pid_t pid = child.pid();
  child.end();
  EXPECT_EQ(askers_.who(pid, -1, kStart)->kind, Kind::kUnknown);
}

TEST_F(LiteralProc, a_process_of_no_pod_is_the_hosts) {
  Child child(socket());
  base::UniqueFd connection = accept();
  cgroup(child.pid(), "12:devices:/system.slice/a.service\n0::/system.slice/a.service\n");
  auto host = askers_.who(child.pid(), connection.get(), kStart);
  EXPECT_EQ(host->kind, Kind::kHost);
  EXPECT_EQ(host->name(), "host");
}

TEST_F(LiteralProc, what_cannot_be_seen_or_read_is_unknown) {
  Child child(socket());
  base::UniqueFd connection = accept();
  EXPECT_EQ(askers_.who(0, connection.get(), kStart)->kind, Kind::kUnknown) << "of a hidden pid namespace";
  EXPECT_EQ(askers_.who(child.pid(), connection.get(), kStart)->name(), "unknown") << "hidden by hidepid";
  for (const std::string& text :
       {std::string(), std::string("rubbish\n"), std::string(base::kMaxCgroupText + 1, '/')}) {
    cgroup(child.pid(), text);
    EXPECT_EQ(askers_.who(child.pid(), connection.get(), kStart)->kind, Kind::kUnknown);
  }
  EXPECT_EQ(askers_.known(), 0u) << "they may be seen the next time";
}

TEST_F(LiteralProc, no_more_than_the_bound_are_remembered) {
  Askers two(root(), 2);
  std::vector<std::unique_ptr<Child>> children;
  std::vector<std::size_t> known;
  for (int i = 0; i < 4; ++i) {
    children.push_back(std::make_unique<Child>(socket()));
    base::UniqueFd connection = accept();
    cgroup(children.back()->pid(), cgroup_of(kUid));
    EXPECT_EQ(two.who(children.back()->pid(), connection.get(), kStart)->name(), kUid);
    known.push_back(two.known());
  }
  EXPECT_EQ(known, (std::vector<std::size_t>{1, 2, 1, 2}));
}

TEST(Askers, we_ourselves_are_seen_through_the_real_proc) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  base::UniqueFd ours(pair[0]), theirs(pair[1]);
  std::ifstream in("/proc/self/cgroup");
  auto expected = base::pod_of_cgroup(std::string{std::istreambuf_iterator<char>(in), {}});
  auto we = Askers(base::Root("/proc")).who(::getpid(), ours.get(), kStart);
  EXPECT_EQ(we->kind, expected ? Kind::kPod : Kind::kHost);
  EXPECT_EQ(we->name(), expected ? expected->pod_uid : "host");
}

TEST(Asker, keys_of_pods_hosts_and_unknown_never_meet) {
  std::set<std::uint64_t> keys;
  for (const std::string& uid :
       {kUid, kOtherUid, std::string("00000000-0000-0000-0000-000000000000"), std::string(32, 'f'),
        std::string("0b6f3c1e-7a52-4f0c-9d11-2f6f0c9a7b3e"), std::string("1b6f3c1e-7a52-4f0c-9d11-2f6f0c9a7b3d")})
    EXPECT_LT(pod_asker({uid, kId}).key, std::uint64_t{1} << 63);
  for (const std::string& uid :
       {kUid, kOtherUid, std::string(32, '0'), std::string(15, '0') + std::string(17, '1'),
        std::string("0b6f3c1e-7a52-4f0c-9d11-2f6f0c9a7b3e"), std::string("1b6f3c1e-7a52-4f0c-9d11-2f6f0c9a7b3d")})
    EXPECT_TRUE(keys.insert(pod_asker({uid, kId}).key).second) << uid;
  EXPECT_TRUE(keys.insert(host_asker().key).second);
  EXPECT_TRUE(keys.insert(unknown_asker().key).second);
}

class WhyNotIdentifiable : public LiteralProc {
 protected:
  WhyNotIdentifiable() { write("self/cgroup", "0::/\n"), fs::create_directories(proc() / "self/ns"); }
};

TEST_F(WhyNotIdentifiable, nothing_is_missing_in_the_first_pid_namespace) {
  write("1/cgroup", "0::/init.scope\n");
  fs::create_symlink("pid:[4026531836]", proc() / "self/ns/pid");
  EXPECT_EQ(why_not_identifiable(root()), std::nullopt);
}

TEST_F(WhyNotIdentifiable, nothing_is_missing_where_the_node_is_a_container_itself) {
  write("1/cgroup", "0::/../../../../../init.scope\n");
  fs::create_symlink("pid:[4026532000]", proc() / "self/ns/pid");
  EXPECT_EQ(why_not_identifiable(root()), std::nullopt);
}

TEST_F(WhyNotIdentifiable, a_pid_namespace_of_our_own_needs_hostPID) {
  fs::create_symlink("pid:[4026532000]", proc() / "self/ns/pid");
  for (const std::string& first : {std::string("0::/\n"), "0::/../" + kId + "\n", cgroup_of(kUid)}) {
    write("1/cgroup", first);
    EXPECT_THAT(why_not_identifiable(root()).value_or(""), HasSubstr("hostPID: true")) << first;
  }
}

TEST_F(WhyNotIdentifiable, whole_paths_of_cgroups_tell_the_node_from_a_pod) {
  fs::create_symlink("pid:[4026532000]", proc() / "self/ns/pid");
  fs::create_symlink("cgroup:[4026531835]", proc() / "self/ns/cgroup");
  write("1/cgroup", "2:pids:/\n0::/\n");
  EXPECT_EQ(why_not_identifiable(root()), std::nullopt);
  write("1/cgroup", cgroup_of(kUid));
  EXPECT_THAT(why_not_identifiable(root()).value_or(""), HasSubstr("hostPID: true"));
}

TEST_F(WhyNotIdentifiable, hidden_processes_are_named) {
  fs::create_symlink("pid:[4026531836]", proc() / "self/ns/pid");
  EXPECT_THAT(why_not_identifiable(root()).value_or(""), HasSubstr("hidepid"));
}

TEST_F(WhyNotIdentifiable, no_proc_is_named) {
  EXPECT_THAT(why_not_identifiable(base::Root(folder_.path() / "nowhere")).value_or(""), HasSubstr("is no /proc"));
}

}  // namespace
}  // namespace enclayer::pods
