// SPDX-License-Identifier: Apache-2.0
#include "kubelet/registration.h"

#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/folder_watch.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/metric_names.h"
#include "base/wakeup.h"
#include "kubelet/grpc_runtime.h"
#include "kubelet/plugin_server.h"
#include "kubelet/plugin_sockets.h"
#include "kubelet/resource_lock.h"
#include "proto/deviceplugin.grpc.pb.h"

namespace enclayer::kubelet {
namespace {

namespace api = v1beta1;
namespace fs = std::filesystem;
namespace log = base::log;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto kSubfolder = "enclayer";
constexpr std::size_t kMaxRegisterReply = std::size_t{4} << 20;  // gRPC's own default; it is an empty message

// A kubelet that runs on and ends our list this many times, before each had been up for kPeace times the longest pause,
// is asked only once in the longest pause from then on. One end may be the late one of an older stream; more of them
// are somebody who takes our place.
constexpr int kTurns = 3;
constexpr int kPeace = 6;

// Which socket file it is. An inode number alone comes back soon after a file is deleted.
struct FileIdentity {
  dev_t device;
  ino_t inode;
  std::int64_t changed_ns;

  bool operator==(const FileIdentity&) const = default;
};

std::optional<FileIdentity> identity_of(const fs::path& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) return std::nullopt;
  return FileIdentity{found.st_dev, found.st_ino, found.st_ctim.tv_sec * 1'000'000'000LL + found.st_ctim.tv_nsec};
}

// "sgx_epc_mem_in_MiB.1a2b3c4d": what our files for this resource begin with. The resource's last word, short enough
// for a path, and a hash of the whole name (FNV-1a): two vendors may both call theirs ".../epc".
std::string stem_of(std::string_view resource) {
  std::uint32_t hash = 2166136261;
  for (unsigned char c : resource) hash = (hash ^ c) * 16777619;
  const std::uint8_t bytes[] = {static_cast<std::uint8_t>(hash >> 24), static_cast<std::uint8_t>(hash >> 16),
                                static_cast<std::uint8_t>(hash >> 8), static_cast<std::uint8_t>(hash)};
  return std::string(resource.substr(resource.find('/') + 1).substr(0, 24)) + "." + base::to_hex(bytes);
}

// Where one registration's files lie, and what they are called.
PluginSockets sockets_of(Registration::Way way, const fs::path& kubelet_dir, std::string_view resource) {
  if (way == Registration::Way::kWatcher) return {kubelet_dir / kWatchedFolder, "enclayer." + stem_of(resource)};
  return {kubelet_dir / "device-plugins" / kSubfolder, stem_of(resource)};
}

bool same(const DeviceList& a, const DeviceList& b) {
  return a.count() == b.count() && (a.bytes() == b.bytes() || *a.bytes() == *b.bytes());
}

class GrpcRegistration final : public Registration {
 public:
  GrpcRegistration(Plugin plugin, const fs::path& kubelet_dir, Way way, base::Metrics& metrics, Timing timing)
      : plugin_(std::move(plugin)),
        way_(way),
        device_plugins_(kubelet_dir / "device-plugins"),
        kubelet_socket_(device_plugins_ / "kubelet.sock"),
        place_(sockets_of(way, kubelet_dir, plugin_.resource)),
        metrics_(metrics),
        timing_(timing),
        registered_(registrations("ok")),
        not_registered_(registrations("error")),
        list_patience_(timing.first_list_deadline),
        wanted_(plugin_.devices) {}

  ~GrpcRegistration() override {
    stopping_ = true;
    {
      std::lock_guard lock(mutex_);
      if (call_) call_->TryCancel();
    }
    wake_.ring();
    if (thread_.joinable()) thread_.join();
  }

  Result<> start() {
    // What else may be wrong with the folder may be right later, and each round tries again.
    if (auto held = hold_resource(); !held && held.error().kind() == ErrorKind::kConflict) return held;
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void set_devices(DeviceList devices) override {
    {
      std::lock_guard lock(mutex_);
      wanted_ = std::move(devices);
    }
    wake_.ring();
  }

  bool established() const override { return established_; }

 private:
  base::Counter& registrations(const char* result) const {
    return metrics_.counter(base::metric::kRegistrations, {{"resource", plugin_.resource}, {"result", result}});
  }

  // What there is of a kubelet.
  struct Snapshot {
    std::optional<FileIdentity> socket;
    bool folder = false;  // the parent of ours, which is the kubelet's to make
  };

  Snapshot look() {
    std::error_code ignored;
    watch_.arm(device_plugins_);
    watch_.arm(place_.folder);
    return {identity_of(kubelet_socket_), fs::is_directory(kubelets_folder(), ignored)};
  }

  const fs::path& kubelets_folder() const { return way_ == Way::kWatcher ? place_.folder : device_plugins_; }

  // 0 when a round can begin, otherwise the errno that says what is missing.
  int missing_for_a_round(const Snapshot& now) const {
    if (way_ == Way::kWatcher) return now.folder ? 0 : ENOENT;
    return now.socket ? connect_error(kubelet_socket_) : ENOENT;
  }

  void run() {
    Snapshot known;
    milliseconds pause = timing_.shortest_pause;
    int drops = 0;
    bool waiting_said = false;
    while (!stopping_) {
      Snapshot now = look();
      if (now.socket != known.socket || now.folder != known.folder) {
        pause = timing_.shortest_pause;  // what an earlier kubelet did does not count against this one
        list_patience_ = timing_.first_list_deadline;
        drops = 0;
      }
      known = now;

      if (int error = missing_for_a_round(now); error != 0) {
        if (!waiting_said)
          log::info("waiting for the kubelet",
                    {{"path", (way_ == Way::kWatcher ? place_.folder : kubelet_socket_).string()},
                     {"reason", std::strerror(error)}});
        waiting_said = true;
        wait_for_another_kubelet(known, now.socket ? pause : timing_.look_again);
      } else {
        waiting_said = false;
        Outcome outcome = one_round(known.socket, pause);
        if (outcome.lasted >= kPeace * timing_.longest_pause) {
          pause = timing_.shortest_pause;
          drops = 0;
        }
        if (outcome.dropped && ++drops >= kTurns) {
          pause = timing_.longest_pause;
          log::warn("the kubelet ends our list again and again: another plugin may offer the same resource",
                    {{"resource", plugin_.resource}, {"times", drops}, {"pause_ms", pause.count()}});
        }
        wait_for_another_kubelet(known, pause);
      }
      pause = std::min(pause * 2, timing_.longest_pause);
    }
  }

  struct Outcome {
    steady_clock::duration lasted{};  // 0 when the kubelet did not take us
    bool dropped = false;             // the kubelet took us, and ended the list
  };

  // Registers and stays registered until the round is over.
  Outcome one_round(const std::optional<FileIdentity>& kubelet, milliseconds pause) {
    auto round = begin_round(kubelet);
    if (!round) {
      if (stopping_) return {};
      not_registered_.add();
      log::warn("registration failed, trying again",
                {{"resource", plugin_.resource}, {"reason", round.error().message()}, {"pause_ms", pause.count()}});
      return {};
    }
    registered_.add();
    auto begun = steady_clock::now();
    established_ = true;
    bool dropped = stay(**round);
    established_ = false;
    bool cut = (*round)->server->watchers() > 0;
    round->reset();
    if (cut) settle();
    return {steady_clock::now() - begun, dropped};
  }

  struct Round {
    Plugin plugin;
    fs::path socket;
    std::optional<FileIdentity> kubelet;  // the one that has our list
    DeviceList told;                      // what the server has
    steady_clock::time_point told_at;
    std::unique_ptr<PluginServer> server;
  };

  Result<std::unique_ptr<Round>> begin_round(const std::optional<FileIdentity>& kubelet) {
    ENCLAYER_CHECK(hold_resource());
    ENCLAYER_CHECK(place_.check_room());
    {
      std::lock_guard lock(mutex_);
      refusal_.reset();
    }
    auto round = std::make_unique<Round>(Round{plugin_, place_.fresh(), kubelet, wanted(), {}, nullptr});
    round->plugin.devices = round->told;
    round->told_at = steady_clock::now() - timing_.coalesce;
    ENCLAYER_TRY(round->server, PluginServer::serve(
                                    round->plugin, round->socket, metrics_,
                                    {[this] { wake_.ring(); }, [this](const std::string& why) { watcher_told(why); }}));
    if (way_ == Way::kWatcher) {
      log::info("waiting for the kubelet's plugin watcher",
                {{"resource", plugin_.resource}, {"socket", round->socket.string()}});
      ENCLAYER_CHECK(wait_for_plugin_watcher(*round));
    } else {
      log::debug("registering", {{"resource", plugin_.resource}, {"socket", round->socket.string()}});
      ENCLAYER_CHECK(call_register(std::string(kSubfolder) + "/" + round->socket.filename().string()));
      ENCLAYER_CHECK(wait_for_list(*round));
    }
    round->told_at = steady_clock::now();
    log::info("registered with the kubelet", {{"resource", plugin_.resource}, {"socket", round->socket.string()}});
    return {std::move(round)};
  }

  // Takes the lock on our resource, or takes it anew after the folder was deleted.
  Result<> hold_resource() {
    std::error_code ignored;
    if (!fs::is_directory(kubelets_folder(), ignored))
      return Error(ErrorKind::kNotFound, "there is no folder " + kubelets_folder().string() + " yet");
    if (way_ == Way::kRegister)
      if (auto made = base::make_folder(place_.folder, 0750); !made)
        return Error(ErrorKind::kUnavailable, made.error().message());  // what is in its place may go
    if (lock_ && lock_->in_place()) return {};
    lock_.reset();
    auto taken = ResourceLock::take(place_.folder / ("." + place_.stem + ".lock"));
    if (!taken && taken.error().kind() == ErrorKind::kConflict)
      return Error(ErrorKind::kConflict, "another plugin offers " + plugin_.resource + " from " +
                                             place_.folder.string() + " already: " + taken.error().message() +
                                             "; stop one of the two");
    if (!taken) return taken.error().with_context("cannot hold " + plugin_.resource);
    lock_ = std::move(*taken);
    place_.remove_dead();
    return {};
  }

  // After Register: until the list is on its way.
  Result<> wait_for_list(Round& round) {
    const auto patience = list_patience_;
    list_patience_ = std::min(2 * patience, timing_.list_deadline);
    auto deadline = steady_clock::now() + patience;
    while (!stopping_ && !round.server->was_listed()) {
      if (auto now = look().socket; now && now != round.kubelet)
        return Error(ErrorKind::kUnavailable, "the kubelet was replaced before it asked for " + plugin_.resource);
      auto left = until(deadline);
      if (left.count() <= 0) return not_listed("accepted " + plugin_.resource + " but", patience);
      wait(std::min(left, tell(round)));
    }
    list_patience_ = timing_.first_list_deadline;
    return {};
  }

  // The other way: until the kubelet has found the socket and asked for the list. Without a kubelet there is nothing to
  // be late. With one there is: older ones ask a socket only once, whatever came of it (kubernetes#127457).
  Result<> wait_for_plugin_watcher(Round& round) {
    auto deadline = steady_clock::now() + timing_.list_deadline;
    while (!stopping_ && !round.server->was_listed()) {
      look();
      if (auto why = refusal())
        return Error(ErrorKind::kUnavailable, "the kubelet's plugin watcher refused " + plugin_.resource + ": " + *why);
      if (!identity_of(round.socket))
        return Error(ErrorKind::kUnavailable, "our socket " + round.socket.string() + " is gone");
      if (connect_error(kubelet_socket_) != 0) deadline = steady_clock::now() + timing_.list_deadline;
      auto left = until(deadline);
      if (left.count() <= 0) return not_listed("runs, but its plugin watcher", timing_.list_deadline);
      wait(std::min(left, tell(round)));
    }
    round.kubelet = look().socket;
    return {};
  }

  Error not_listed(const std::string& what, milliseconds waited) const {
    return {ErrorKind::kTimedOut, "the kubelet " + what + " has not asked for the devices of " + plugin_.resource +
                                      " in " + std::to_string(waited.count()) + " ms"};
  }

  // Gives the server the newest list, unless the kubelet was told another one only just; how long to wait for that.
  milliseconds tell(Round& round) {
    std::lock_guard lock(mutex_);
    if (same(wanted_, round.told)) return timing_.look_again;
    if (auto left = until(round.told_at + timing_.coalesce); left.count() > 0) return left;
    round.server->update(wanted_);
    round.told = wanted_;
    round.told_at = steady_clock::now();
    return timing_.look_again;
  }

  DeviceList wanted() const {
    std::lock_guard lock(mutex_);
    return wanted_;
  }

  // In the server's thread.
  void watcher_told(const std::string& why) {
    if (why.empty()) return;  // the list that follows says more
    {
      std::lock_guard lock(mutex_);
      refusal_ = why;
    }
    wake_.ring();
  }

  std::optional<std::string> refusal() const {
    std::lock_guard lock(mutex_);
    return refusal_;
  }

  Result<> call_register(const std::string& endpoint) {
    auto stub = api::Registration::NewStub(channel_to(kubelet_socket_, kMaxRegisterReply));

    api::RegisterRequest request;
    request.set_version("v1beta1");
    request.set_endpoint(endpoint);
    request.set_resource_name(plugin_.resource);
    api::Empty answer;
    grpc::ClientContext context;
    context.set_deadline(gpr_time_from_millis(timing_.register_deadline.count(), GPR_TIMESPAN));
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return Error(ErrorKind::kUnavailable, "stopping");
      call_ = &context;
    }
    grpc::Status status = stub->Register(&context, request, &answer);
    {
      std::lock_guard lock(mutex_);
      call_ = nullptr;
    }
    if (status.ok()) return {};
    return Error(
        status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED ? ErrorKind::kTimedOut : ErrorKind::kUnavailable,
        "the kubelet at " + kubelet_socket_.string() + " did not register " + plugin_.resource + ": " +
            status.error_message() + " (gRPC status " + std::to_string(status.error_code()) + ")");
  }

  // Until the round is over; says why. Whether it was the kubelet that ended the list.
  bool stay(Round& round) {
    constexpr auto kListEnded = "the kubelet ended the device list", kSocketGone = "our own socket is gone";
    auto over = [&](const Snapshot& now) -> const char* {
      // No kubelet.sock at all: the kubelet may be there all the same, and nothing better can be had.
      if (now.socket && round.kubelet && now.socket != round.kubelet) return "there is a new kubelet.sock";
      if (round.server->watchers() == 0) return kListEnded;
      if (refusal()) return "the kubelet's plugin watcher refused us";
      bool can_ask = way_ == Way::kWatcher ? now.folder : now.socket.has_value();
      if (can_ask && !identity_of(round.socket)) return kSocketGone;
      return nullptr;
    };
    bool looked_twice = false;
    while (!stopping_) {
      if (const char* reason = over(look())) {
        // Whoever deletes the whole folder may have come to kubelet.sock only a moment later.
        if (reason == kSocketGone && !std::exchange(looked_twice, true)) {
          settle();
          continue;
        }
        log::info("registering again", {{"resource", plugin_.resource}, {"reason", reason}});
        return reason == kListEnded;
      }
      wait(tell(round));
    }
    return false;
  }

  // At most `pause`; less when kubelet.sock becomes another one than `known`, or the kubelet's folder is made.
  void wait_for_another_kubelet(const Snapshot& known, milliseconds pause) {
    auto deadline = steady_clock::now() + pause;
    while (!stopping_) {
      Snapshot now = look();
      auto left = until(deadline);
      if ((now.socket && now.socket != known.socket) || (now.folder && !known.folder) || left.count() <= 0) return;
      wait(left);
    }
  }

  void settle() {
    auto deadline = steady_clock::now() + timing_.settle;
    while (!stopping_) {
      auto left = until(deadline);
      if (left.count() <= 0) return;
      wait(left);
    }
  }

  static milliseconds until(steady_clock::time_point then) {
    return std::chrono::ceil<milliseconds>(then - steady_clock::now());
  }

  // Until something happens, or the time is over: in the folders, on the server's streams, or that we are to stop.
  void wait(milliseconds timeout) {
    pollfd alarms[] = {{wake_.fd(), POLLIN, 0}, {watch_.fd(), POLLIN, 0}};
    ::poll(alarms, 2, static_cast<int>(watch_.patience(timeout).count()));
    wake_.hear();
    watch_.drain();
  }

  const Plugin plugin_;
  const Way way_;
  const fs::path device_plugins_, kubelet_socket_;
  const PluginSockets place_;
  base::Metrics& metrics_;
  const Timing timing_;
  base::Counter& registered_;
  base::Counter& not_registered_;
  base::Wakeup wake_;
  milliseconds list_patience_;  // how long the next kubelet that takes us has until it asks for the list
  base::FolderWatch watch_;
  std::optional<ResourceLock> lock_;
  std::atomic<bool> stopping_ = false, established_ = false;
  mutable std::mutex mutex_;             // for what follows
  grpc::ClientContext* call_ = nullptr;  // the Register that is under way
  DeviceList wanted_;                    // what is true
  std::optional<std::string> refusal_;   // what the plugin watcher said in this round
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Registration>> Registration::start(Plugin plugin, const fs::path& kubelet_dir, Way way,
                                                          base::Metrics& metrics, Timing timing) {
  ENCLAYER_CHECK(sockets_of(way, kubelet_dir, plugin.resource).check_path());
  auto registration = std::make_unique<GrpcRegistration>(std::move(plugin), kubelet_dir, way, metrics, timing);
  ENCLAYER_CHECK(registration->start());
  return {std::move(registration)};
}

}  // namespace enclayer::kubelet
