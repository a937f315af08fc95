// Who asks: the pod and container of the process at the other end of a unix socket.
//
// The kernel tells the process that made a connection (SO_PEERCRED), and the process's cgroup tells its pod
// (base/pod_cgroup.h). /proc/PID/cgroup is readable for everybody, so this needs neither root nor a capability, but it
// needs to see the node's processes: hostPID for a pod. Where it cannot, peers have the number 0.
//
// A number may come to mean another process. Where the kernel hands out the peer itself (SO_PEERPIDFD, Linux 6.5) no
// mistake is left: what was read counts only if that very process still lives afterwards. Before 6.5 one is left: a
// peer that ends after connect(), and whose number is given to a new process before we look, is taken for that process.
// All numbers of the node have to be gone through meanwhile, with us looking as soon as the connection is accepted.
//
// In both cases a process can lend its name: who it gives its connection to (fork, SCM_RIGHTS) asks in its place.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/file.h"
#include "base/pod_cgroup.h"

namespace enclayer::pods {

struct Asker {
  // kHost: a process of no pod; also one of our own pod in another container than ours, where a cgroup namespace hides
  // the pod's name. kUnknown: a process that we cannot see, or that ended before we looked.
  enum class Kind { kPod, kHost, kUnknown };

  Kind kind = Kind::kUnknown;
  base::PodCgroup pod;    // of kPod
  std::uint64_t key = 0;  // the same for all of a pod, for all of the host, for all unknown; below 1 << 63

  // For logs and labels: the pod's UID, "host" or "unknown".
  std::string_view name() const;
};

Asker pod_asker(base::PodCgroup pod);
Asker host_asker();
Asker unknown_asker();

// Used by one thread.
class Askers {
 public:
  using Clock = std::chrono::steady_clock;

  // Processes that are remembered; each costs a descriptor. When there are more, and every ten seconds, all are
  // forgotten: looking again costs some 25 us, remembering 1 us.
  static constexpr std::size_t kMostKnown = 256;
  static constexpr std::chrono::seconds kForget{10};

  // `proc` is a /proc.
  explicit Askers(base::Root proc, std::size_t most_known = kMostKnown)
      : proc_(std::move(proc)), most_known_(most_known) {}

  // `pid` as SO_PEERCRED of `socket` tells it, 0 for a process that we cannot see; without a socket (-1) it is looked
  // at as before Linux 6.5. To be called as soon as a connection is accepted, for one after the other: a later
  // connection of a process that still lives is known by its number. Never null.
  std::shared_ptr<const Asker> who(pid_t pid, int socket, Clock::time_point now);

  std::size_t known() const { return known_.size(); }

 private:
  struct Known {
    base::UniqueFd process;  // a pidfd
    std::shared_ptr<const Asker> asker;
  };

  const base::Root proc_;
  const std::size_t most_known_;
  const std::shared_ptr<const Asker> unknown_ = std::make_shared<Asker>(unknown_asker());
  std::unordered_map<pid_t, Known> known_;
  std::optional<Clock::time_point> forgotten_;
};

// nullopt when the processes of the node can be told apart through `proc`, a /proc. Otherwise what is missing and how
// to give it, in a sentence: hostPID, or a /proc without hidepid.
std::optional<std::string> why_not_identifiable(const base::Root& proc);

}  // namespace enclayer::pods
