#include "kubelet/registration.h"

#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/metric_names.h"
#include "kubelet/folder_watch.h"
#include "kubelet/grpc_runtime.h"
#include "kubelet/plugin_server.h"
#include "proto/deviceplugin.grpc.pb.h"

namespace enclayer::kubelet {
namespace {

namespace api = v1beta1;
namespace fs = std::filesystem;
namespace log = base::log;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto kSubfolder = "enclayer";
constexpr milliseconds kWithoutInotify{1'000};

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

// 0 when somebody accepts connections there, otherwise the errno.
int connect_error(const fs::path& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.native().size() >= sizeof address.sun_path) return ENAMETOOLONG;
  std::memcpy(address.sun_path, socket.c_str(), socket.native().size());
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno;
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return 0;
  return errno == EAGAIN ? 0 : errno;  // EAGAIN: it listens, and its queue is full
}

// "sgx_epc_mem_in_MiB.": what our sockets for this resource begin with. The resource's last word, short enough for a
// path.
std::string socket_prefix(std::string_view resource) {
  return std::string(resource.substr(resource.find('/') + 1).substr(0, 24)) + ".";
}

std::string fresh_socket_name(std::string_view resource) {
  ByteArray<8> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    std::abort();  // never for 8 bytes
  return socket_prefix(resource) + base::to_hex(random) + ".sock";
}

// Sockets of this resource in our folder that nobody serves any more: an instance of ours was killed.
void remove_dead_sockets(const fs::path& folder, std::string_view resource) {
  const std::string prefix = socket_prefix(resource);
  for (const std::string& name : base::Root(folder).list("")) {
    if (!name.starts_with(prefix) || !name.ends_with(".sock") || name.size() != prefix.size() + 16 + 5) continue;
    if (connect_error(folder / name) != ECONNREFUSED) continue;
    ::unlink((folder / name).c_str());
    log::info("dead socket of an earlier instance removed", {{"socket", (folder / name).string()}});
  }
}

class GrpcRegistration final : public Registration {
 public:
  GrpcRegistration(Plugin plugin, fs::path device_plugins, base::Metrics& metrics, Timing timing)
      : plugin_(std::move(plugin)),
        device_plugins_(std::move(device_plugins)),
        kubelet_socket_(device_plugins_ / "kubelet.sock"),
        our_folder_(device_plugins_ / kSubfolder),
        metrics_(metrics),
        timing_(timing),
        registered_(registrations("ok")),
        not_registered_(registrations("error")),
        wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    start_grpc();
    thread_ = std::thread([this] { run(); });
  }

  ~GrpcRegistration() override {
    stopping_ = true;
    {
      std::lock_guard lock(call_mutex_);
      if (call_) call_->TryCancel();
    }
    wake();
    thread_.join();
  }

  bool established() const override { return established_; }

 private:
  base::Counter& registrations(const char* result) const {
    return metrics_.counter(base::metric::kRegistrations, {{"resource", plugin_.resource}, {"result", result}});
  }

  void run() {
    remove_dead_sockets(our_folder_, plugin_.resource);
    std::optional<FileIdentity> known;
    milliseconds pause = timing_.shortest_pause;
    bool waiting_said = false;
    while (!stopping_) {
      watch_.arm(device_plugins_);
      auto kubelet = identity_of(kubelet_socket_);
      if (kubelet != known)
        pause = timing_.shortest_pause;  // what an earlier kubelet did does not count against this one
      known = kubelet;

      if (int error = kubelet ? connect_error(kubelet_socket_) : ENOENT; error != 0) {
        if (!waiting_said)
          log::info("waiting for the kubelet",
                    {{"socket", kubelet_socket_.string()}, {"reason", std::strerror(error)}});
        waiting_said = true;
        wait_for_another_kubelet(known, kubelet ? pause : timing_.look_again);
      } else {
        waiting_said = false;
        // A kubelet that takes us and drops us again at once is not asked in a tight loop.
        if (one_round(*kubelet, pause) >= timing_.longest_pause) pause = timing_.shortest_pause;
        wait_for_another_kubelet(known, pause);
      }
      pause = std::min(pause * 2, timing_.longest_pause);
    }
  }

  // Registers and stays registered until the round is over; how long that was.
  steady_clock::duration one_round(const FileIdentity& kubelet, milliseconds pause) {
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
    stay(**round, kubelet);
    established_ = false;
    bool cut = (*round)->server->watchers() > 0;
    round->reset();
    if (cut) settle();
    return steady_clock::now() - begun;
  }

  struct Round {
    fs::path socket;
    std::unique_ptr<PluginServer> server;
  };

  Result<std::unique_ptr<Round>> begin_round(const FileIdentity& kubelet) {
    ENCLAYER_CHECK(base::make_folder(our_folder_, 0750));
    auto round = std::make_unique<Round>();
    std::string name = fresh_socket_name(plugin_.resource);
    round->socket = our_folder_ / name;
    ENCLAYER_TRY(round->server, PluginServer::serve(plugin_, round->socket, metrics_, [this] { wake(); }));
    log::debug("registering", {{"resource", plugin_.resource}, {"socket", round->socket.string()}});
    ENCLAYER_CHECK(call_register(std::string(kSubfolder) + "/" + name));
    log::info("registered with the kubelet", {{"resource", plugin_.resource}, {"socket", round->socket.string()}});

    auto deadline = steady_clock::now() + timing_.list_deadline;
    while (!stopping_ && !round->server->was_listed()) {
      watch_.arm(device_plugins_);
      if (auto now = identity_of(kubelet_socket_); now && *now != kubelet)
        return Error(ErrorKind::kUnavailable, "the kubelet was replaced before it asked for " + plugin_.resource);
      auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
      if (left.count() <= 0)
        return Error(ErrorKind::kTimedOut, "the kubelet accepted " + plugin_.resource +
                                               " but has not asked for its devices in " +
                                               std::to_string(timing_.list_deadline.count()) + " ms");
      wait(left);
    }
    return {std::move(round)};
  }

  Result<> call_register(const std::string& endpoint) {
    grpc::ChannelArguments arguments;
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");  // grpc-go refuses a path here
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);       // no back-off left over from an earlier try
    auto channel =
        grpc::CreateCustomChannel("unix:" + kubelet_socket_.string(), grpc::InsecureChannelCredentials(), arguments);
    auto stub = api::Registration::NewStub(channel);

    api::RegisterRequest request;
    request.set_version("v1beta1");
    request.set_endpoint(endpoint);
    request.set_resource_name(plugin_.resource);
    api::Empty answer;
    grpc::ClientContext context;
    context.set_deadline(gpr_time_from_millis(timing_.register_deadline.count(), GPR_TIMESPAN));
    {
      std::lock_guard lock(call_mutex_);
      if (stopping_) return Error(ErrorKind::kUnavailable, "stopping");
      call_ = &context;
    }
    grpc::Status status = stub->Register(&context, request, &answer);
    {
      std::lock_guard lock(call_mutex_);
      call_ = nullptr;
    }
    if (status.ok()) return {};
    return Error(
        status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED ? ErrorKind::kTimedOut : ErrorKind::kUnavailable,
        "the kubelet at " + kubelet_socket_.string() + " did not register " + plugin_.resource + ": " +
            status.error_message() + " (gRPC status " + std::to_string(status.error_code()) + ")");
  }

  // Until the round is over; says why.
  void stay(const Round& round, const FileIdentity& kubelet) {
    auto over = [&]() -> const char* {
      auto now = identity_of(kubelet_socket_);
      if (now && *now != kubelet) return "there is a new kubelet.sock";  // none at all: the kubelet may still be there
      if (!identity_of(round.socket)) return "our own socket is gone";
      if (round.server->watchers() == 0) return "the kubelet ended the device list";
      return nullptr;
    };
    while (!stopping_) {
      watch_.arm(device_plugins_);
      watch_.arm(our_folder_);
      if (const char* reason = over()) {
        log::info("registering again", {{"resource", plugin_.resource}, {"reason", reason}});
        return;
      }
      wait(timing_.look_again);
    }
  }

  // At most `pause`; less when kubelet.sock becomes another one than `known`.
  void wait_for_another_kubelet(const std::optional<FileIdentity>& known, milliseconds pause) {
    auto deadline = steady_clock::now() + pause;
    while (!stopping_) {
      watch_.arm(device_plugins_);
      auto now = identity_of(kubelet_socket_);
      auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
      if ((now && now != known) || left.count() <= 0) return;
      wait(left);
    }
  }

  void settle() {
    auto deadline = steady_clock::now() + timing_.settle;
    while (!stopping_) {
      auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
      if (left.count() <= 0) return;
      wait(left);
    }
  }

  // Until something happens, or the time is over: in the folders, on the server's streams, or that we are to stop.
  void wait(milliseconds timeout) {
    if (watch_.fd() < 0) timeout = std::min(timeout, kWithoutInotify);
    pollfd alarms[] = {{wake_.get(), POLLIN, 0}, {watch_.fd(), POLLIN, 0}};
    ::poll(alarms, 2, static_cast<int>(timeout.count()));
    std::uint64_t count;
    while (::read(wake_.get(), &count, sizeof count) > 0) {
    }
    watch_.drain();
  }

  void wake() {
    std::uint64_t one = 1;
    [[maybe_unused]] ssize_t n = ::write(wake_.get(), &one, sizeof one);  // fails only when it is set already
  }

  const Plugin plugin_;
  const fs::path device_plugins_, kubelet_socket_, our_folder_;
  base::Metrics& metrics_;
  const Timing timing_;
  base::Counter& registered_;
  base::Counter& not_registered_;
  base::UniqueFd wake_;
  FolderWatch watch_;
  std::atomic<bool> stopping_ = false, established_ = false;
  std::mutex call_mutex_;
  grpc::ClientContext* call_ = nullptr;  // the Register that is under way
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Registration>> Registration::start(Plugin plugin, fs::path device_plugins,
                                                          base::Metrics& metrics, Timing timing) {
  ENCLAYER_CHECK(check_resource_name(plugin.resource));
  fs::path longest = device_plugins / kSubfolder / fresh_socket_name(plugin.resource);
  if (longest.native().size() >= sizeof(sockaddr_un::sun_path))
    return Error(ErrorKind::kInvalidArgument,
                 "the path of our socket, " + longest.string() + ", has " + std::to_string(longest.native().size()) +
                     " bytes, and a unix socket has room for " + std::to_string(sizeof(sockaddr_un::sun_path) - 1) +
                     ": use a kubelet directory with a shorter path");
  return {std::make_unique<GrpcRegistration>(std::move(plugin), std::move(device_plugins), metrics, timing)};
}

}  // namespace enclayer::kubelet
