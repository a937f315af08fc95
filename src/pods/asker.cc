#include "pods/asker.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

// Younger than the headers of Debian 12.
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

namespace enclayer::pods {
namespace {

// Keys of pods have this bit, so that none is one of the two others.
constexpr std::uint64_t kPodBit = std::uint64_t{1} << 62;
constexpr std::uint64_t kHostKey = 1, kUnknownKey = 2;

// linux/proc_ns.h: PROC_PID_INIT_INO, PROC_CGROUP_INIT_INO.
constexpr std::string_view kFirstPidNamespace = "pid:[4026531836]", kFirstCgroupNamespace = "cgroup:[4026531835]";

// The UID's 128 bits, chosen at random by the API server, folded into 62.
std::uint64_t key_of(std::string_view uid) {
  std::uint64_t halves[2] = {};
  int digits = 0;
  for (char c : uid) {
    if (c == '-') continue;
    std::uint64_t& half = halves[digits++ / 16 % 2];
    half = half << 4 | static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return ((halves[0] ^ halves[1]) & (kPodBit - 1)) | kPodBit;
}

struct Process {
  bool gone = false;
  base::UniqueFd pidfd{};  // none: this kernel, or its guards, give none
};

// The peer itself; where the kernel cannot tell it, whoever has its number now.
Process process_of(pid_t pid, int socket) {
  if (socket >= 0) {
    int peer = -1;
    socklen_t size = sizeof peer;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &peer, &size) == 0) return {false, base::UniqueFd(peer)};
    if (errno != ENOPROTOOPT) return {true};
  }
  long now = ::syscall(SYS_pidfd_open, pid, 0);
  if (now >= 0) return {false, base::UniqueFd(static_cast<int>(now))};
  return {errno == ESRCH};
}

bool lives(const base::UniqueFd& process) {
  pollfd ended{process.get(), POLLIN, 0};
  return ::poll(&ended, 1, 0) == 0;
}

}  // namespace

Asker pod_asker(base::PodCgroup pod) {
  std::uint64_t key = key_of(pod.pod_uid);
  return {Asker::Kind::kPod, std::move(pod), key};
}

Asker host_asker() { return {Asker::Kind::kHost, {}, kHostKey}; }
Asker unknown_asker() { return {Asker::Kind::kUnknown, {}, kUnknownKey}; }

std::string_view Asker::name() const {
  switch (kind) {
    case Kind::kPod: return pod.pod_uid;
    case Kind::kHost: return "host";
    case Kind::kUnknown: break;
  }
  return "unknown";
}

std::shared_ptr<const Asker> Askers::who(pid_t pid, int socket, Clock::time_point now) {
  if (pid <= 0) return unknown_;
  if (!forgotten_ || now - *forgotten_ >= kForget) {
    known_.clear();
    forgotten_ = now;
  }
  if (auto known = known_.find(pid); known != known_.end()) {
    // It has had its number since it was first seen, and connections made before that were accepted before.
    if (lives(known->second.process)) return known->second.asker;
    known_.erase(known);
  }

  Process process = process_of(pid, socket);
  if (process.gone) return unknown_;
  auto cgroup = proc_.read_text(std::to_string(pid) + "/cgroup", base::kMaxCgroupText);
  if (!cgroup || cgroup->find(":/") == std::string::npos) return unknown_;
  if (process.pidfd && !lives(process.pidfd)) return unknown_;

  auto pod = base::pod_of_cgroup(*cgroup);
  auto asker = std::make_shared<const Asker>(pod ? pod_asker(std::move(*pod)) : host_asker());
  if (process.pidfd) {
    if (known_.size() >= most_known_) known_.clear();
    known_[pid] = {std::move(process.pidfd), asker};
  }
  return asker;
}

std::optional<std::string> why_not_identifiable(const base::Root& proc) {
  if (!proc.stat("self/cgroup"))
    return proc.path("self/cgroup").string() +
           " is not there, so it is no /proc that shows this process; mount the host's, or set hostPID: true";
  auto first = proc.read_text("1/cgroup", base::kMaxCgroupText);
  if (!first)
    return "the processes of others are hidden (" + first.error().message() + "): " + proc.path("").string() +
           " is mounted with hidepid; mount it without, or with gid= a group of this process";
  auto lives_in = [&proc](const char* which, std::string_view name) {
    std::error_code unreadable;
    auto found = std::filesystem::read_symlink(proc.path(which), unreadable);
    return !unreadable && found == name;
  };
  if (lives_in("self/ns/pid", kFirstPidNamespace)) return std::nullopt;
  // In the first cgroup namespace paths are whole, and the root is nobody's container.
  bool is_ours = lives_in("self/ns/cgroup", kFirstCgroupNamespace) ? base::pod_of_cgroup(*first).has_value()
                                                                   : base::is_of_our_container(*first);
  if (is_ours)
    return "the processes of the node cannot be seen: process 1 in " + proc.path("").string() +
           " is one of our own container or pod; set hostPID: true for the pod";
  return std::nullopt;
}

}  // namespace enclayer::pods
