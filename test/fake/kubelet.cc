// SPDX-License-Identifier: Apache-2.0
#include "fake/kubelet.h"

#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <regex>
#include <set>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "proto/deviceplugin.grpc.pb.h"
#include "proto/pluginregistration.grpc.pb.h"

namespace enclayer::fake {
namespace {

namespace api = v1beta1;
namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kGrpcGoReceiveLimit = 4'194'304;
constexpr auto kDialTimeout = std::chrono::seconds(10);
constexpr auto kGetInfoTimeout = std::chrono::seconds(1);
constexpr auto kNotifyTimeout = std::chrono::seconds(5);
constexpr auto kLookForPlugins = milliseconds(10);
constexpr auto kCallTimeout = std::chrono::seconds(30);  // the real one waits for ever; a test should not

ErrorKind kind_of(grpc::StatusCode code) {
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::kInternal); ++kind)
    if (base::at_border(static_cast<ErrorKind>(kind)).grpc_status == static_cast<int>(code))
      return static_cast<ErrorKind>(kind);
  return ErrorKind::kInternal;
}

// A plugin that is not there, or ends without an answer, is unavailable, whichever way gRPC puts it.
Error to_error(const grpc::Status& status) {
  bool gone =
      status.error_code() == grpc::StatusCode::UNAVAILABLE || status.error_code() == grpc::StatusCode::CANCELLED;
  return {gone ? ErrorKind::kUnavailable : kind_of(status.error_code()), status.error_message()};
}

// IsExtendedResourceName of Kubernetes, put as one pattern and two exceptions.
bool is_extended_resource(const std::string& name) {
  static const std::regex kQualified(
      "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?");
  return std::regex_match(name, kQualified) && name.find("kubernetes.io/") == std::string::npos &&
         !name.starts_with("requests.");
}

void remove_sockets_in(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (fs::is_socket(entry.symlink_status())) fs::remove(entry.path(), ignored);
}

// A socket file that nobody listens on.
void leave_dead_socket(const fs::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  [[maybe_unused]] int bound = ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
}

// A plugin that has registered, and its list stream.
struct Endpoint {
  std::string resource;
  std::string shown;  // what a node would show as the endpoint
  std::unique_ptr<api::DevicePlugin::Stub> stub;
  grpc::ClientContext list_context;
  std::thread list_thread;
  bool listed = false;
};

struct KnownResource {
  Kubelet::Resource shown;
  std::vector<std::string> ids;   // in the list's order
  std::set<std::string> healthy;  // empty once the stream has ended
  std::set<std::string> allocated;
  std::shared_ptr<Endpoint> endpoint;
};

}  // namespace

struct Kubelet::Impl : api::Registration::Service {
  explicit Impl(const fs::path& folder)
      : device_plugins(folder / "device-plugins"), plugins_registry(folder / "plugins_registry") {
    // gRPC stays up: when its last object goes it shuts down and may wait 10 s for a poller of its own.
    static const int kStarted = (grpc_init(), 0);
    static_cast<void>(kStarted);
  }

  const fs::path device_plugins, plugins_registry;
  fs::path socket() const { return device_plugins / "kubelet.sock"; }

  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::unique_ptr<grpc::Server> server;
  bool stopping = false;
  std::set<grpc::ClientContext*> calls;  // those under way, to be cancelled by stop()
  std::list<std::shared_ptr<Endpoint>> endpoints;
  std::map<std::string, KnownResource> resources;
  bool watching = false;
  std::thread watcher;

  int to_refuse = 0, to_forget = 0;
  std::string why_refused;
  milliseconds more_time{0};
  bool notice_late = false;

  // A call under way that stop() can cancel.
  struct Call {
    explicit Call(Impl& owner, std::chrono::seconds timeout = kCallTimeout) : impl(owner) {
      context.set_deadline(std::chrono::system_clock::now() + timeout);
      std::lock_guard lock(impl.mutex);
      impl.calls.insert(&context);
      if (impl.stopping) context.TryCancel();
    }
    ~Call() {
      std::lock_guard lock(impl.mutex);
      impl.calls.erase(&context);
    }
    Impl& impl;
    grpc::ClientContext context;
  };

  grpc::Status Register(grpc::ServerContext*, const api::RegisterRequest* request, api::Empty*) override {
    const std::string& name = request->resource_name();
    if (request->version() != "v1beta1")
      return {grpc::StatusCode::UNKNOWN,
              "requested API version " + request->version() + " is not supported; v1beta1 is"};
    if (!is_extended_resource(name)) return {grpc::StatusCode::UNKNOWN, "the ResourceName " + name + " is invalid"};

    auto channel = channel_to(device_plugins / request->endpoint());
    if (!dial(*channel)) return {grpc::StatusCode::UNKNOWN, "failed to dial device plugin: " + request->endpoint()};
    return admit(name, request->endpoint(), channel);
  }

  static std::shared_ptr<grpc::Channel> channel_to(const fs::path& socket) {
    grpc::ChannelArguments arguments;
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(kGrpcGoReceiveLimit);
    return grpc::CreateCustomChannel("unix:" + socket.string(), grpc::InsecureChannelCredentials(), arguments);
  }

  // What both ways of registering come to.
  grpc::Status admit(const std::string& name, const std::string& shown, const std::shared_ptr<grpc::Channel>& channel) {
    auto endpoint = std::make_shared<Endpoint>();
    endpoint->resource = name;
    endpoint->shown = shown;
    endpoint->stub = api::DevicePlugin::NewStub(channel);
    api::DevicePluginOptions options;
    {
      Call call(*this);
      if (auto status = endpoint->stub->GetDevicePluginOptions(&call.context, {}, &options); !status.ok())
        return {grpc::StatusCode::UNKNOWN, "failed to get device plugin options: " + status.error_message()};
    }

    std::lock_guard lock(mutex);
    if (stopping) return {grpc::StatusCode::UNAVAILABLE, "the kubelet stops"};
    KnownResource& resource = resources[name];
    if (to_refuse > 0) {
      --to_refuse;
      ++resource.shown.refusals;
      changed.notify_all();
      return {grpc::StatusCode::UNKNOWN, why_refused};
    }
    resource.endpoint = endpoint;
    resource.shown.endpoint = shown;
    ++resource.shown.registrations;
    endpoints.push_back(endpoint);
    if (to_forget > 0) {
      --to_forget;
    } else {
      calls.insert(&endpoint->list_context);
      endpoint->list_thread = std::thread([this, endpoint] { follow_list(*endpoint); });
    }
    changed.notify_all();
    return grpc::Status::OK;
  }

  // Until stop(): asks each socket that appears, forgets the plugin of each that goes.
  void watch() {
    std::set<fs::path> seen;
    std::unique_lock lock(mutex);
    while (!changed.wait_until(lock, steady_clock::now() + kLookForPlugins, [this] { return stopping; })) {
      lock.unlock();
      std::set<fs::path> now;
      std::error_code ignored;
      for (const auto& entry : fs::directory_iterator(plugins_registry, ignored))
        if (!entry.path().filename().string().starts_with(".") && fs::is_socket(entry.symlink_status(ignored)))
          now.insert(entry.path());
      for (const fs::path& path : seen)
        if (!now.contains(path)) forget_plugin(path);
      for (const fs::path& path : now)
        if (!seen.contains(path)) ask_plugin(path);
      seen = std::move(now);
      lock.lock();
    }
  }

  void ask_plugin(const fs::path& socket) {
    auto channel = channel_to(socket);
    if (!dial(*channel)) return;
    auto stub = pluginregistration::Registration::NewStub(channel);
    pluginregistration::PluginInfo info;
    {
      Call call(*this, kGetInfoTimeout);
      if (!stub->GetInfo(&call.context, {}, &info).ok()) return;
    }
    if (info.type() != "DevicePlugin") return;
    auto taken = [&]() -> grpc::Status {
      if (!is_extended_resource(info.name()))
        return {grpc::StatusCode::UNKNOWN, "the ResourceName " + info.name() + " is invalid"};
      if (std::find(info.supported_versions().begin(), info.supported_versions().end(), "v1beta1") ==
          info.supported_versions().end())
        return {grpc::StatusCode::UNKNOWN, "the plugin does not support v1beta1"};
      return admit(info.name(), socket, info.endpoint().empty() ? channel : channel_to(info.endpoint()));
    }();
    pluginregistration::RegistrationStatus status;
    status.set_plugin_registered(taken.ok());
    status.set_error(taken.error_message());
    pluginregistration::RegistrationStatusResponse response;
    Call call(*this, kNotifyTimeout);
    stub->NotifyRegistrationStatus(&call.context, status, &response);
  }

  void forget_plugin(const fs::path& socket) {
    std::lock_guard lock(mutex);
    for (auto& [name, resource] : resources)
      if (resource.endpoint && resource.endpoint->shown == socket) resource.endpoint->list_context.TryCancel();
  }

  // Slow kubelets are slow here: a plugin that has given up by then is not there to be registered.
  bool dial(grpc::Channel& channel) const {
    {
      std::unique_lock lock(mutex);
      if (more_time.count() > 0) changed.wait_until(lock, steady_clock::now() + more_time, [this] { return stopping; });
    }
    auto deadline = std::chrono::system_clock::now() + kDialTimeout;
    while (std::chrono::system_clock::now() < deadline) {
      if (channel.WaitForConnected(std::chrono::system_clock::now() + milliseconds(100))) return true;
      std::lock_guard lock(mutex);
      if (stopping) return false;
    }
    return false;
  }

  void follow_list(Endpoint& endpoint) {
    auto reader = endpoint.stub->ListAndWatch(&endpoint.list_context, {});
    api::ListAndWatchResponse list;
    while (reader->Read(&list)) take_list(endpoint, list);
    grpc::Status end = reader->Finish();

    std::unique_lock lock(mutex);
    calls.erase(&endpoint.list_context);
    KnownResource& resource = resources[endpoint.resource];
    if (std::exchange(notice_late, false)) {
      changed.wait(lock, [&] {
        return stopping || (resource.endpoint && resource.endpoint.get() != &endpoint && resource.endpoint->listed);
      });
      if (resource.endpoint) resource.endpoint->list_context.TryCancel();
    }
    if (resource.endpoint.get() == &endpoint) {
      resource.healthy.clear();
      resource.shown.allocatable = 0;
      resource.shown.list_error = end.ok() ? "the plugin ended the list" : end.error_message();
    }
    changed.notify_all();
  }

  void take_list(const Endpoint& endpoint, const api::ListAndWatchResponse& list) {
    std::vector<std::string> ids;
    std::set<std::string> healthy;
    for (const auto& device : list.devices()) {
      ids.push_back(device.id());
      if (device.health() == "Healthy") healthy.insert(device.id());
    }
    std::lock_guard lock(mutex);
    KnownResource& resource = resources[endpoint.resource];
    if (resource.endpoint.get() != &endpoint) return;
    resource.endpoint->listed = true;
    resource.shown.capacity = ids.size();
    resource.shown.allocatable = healthy.size();
    resource.shown.list_error.clear();
    ++resource.shown.lists;
    resource.ids = std::move(ids);
    resource.healthy = std::move(healthy);
    changed.notify_all();
  }

  Result<std::vector<Allocation>> call_allocate(Endpoint& endpoint,
                                                const std::vector<std::vector<std::string>>& containers) {
    api::AllocateRequest request;
    for (const auto& ids : containers) {
      auto* container = request.add_container_requests();
      for (const std::string& id : ids) container->add_devices_ids(id);
    }
    api::AllocateResponse response;
    {
      Call call(*this);
      if (auto status = endpoint.stub->Allocate(&call.context, request, &response); !status.ok())
        return to_error(status);
    }
    if (static_cast<std::size_t>(response.container_responses_size()) != containers.size())
      return Error(ErrorKind::kMalformed, "the plugin answered for " +
                                              std::to_string(response.container_responses_size()) + " containers, " +
                                              std::to_string(containers.size()) + " were asked for");
    std::vector<Allocation> all;
    for (std::size_t i = 0; i < containers.size(); ++i) {
      const auto& given = response.container_responses(static_cast<int>(i));
      Allocation out{endpoint.resource, containers[i], {}, {}, {}, {}, {}};
      out.envs.insert(given.envs().begin(), given.envs().end());
      out.annotations.insert(given.annotations().begin(), given.annotations().end());
      for (const auto& device : given.devices())
        out.devices.push_back({device.container_path(), device.host_path(), device.permissions()});
      for (const auto& mount : given.mounts())
        out.mounts.push_back({mount.container_path(), mount.host_path(), mount.read_only()});
      for (const auto& device : given.cdi_devices()) out.cdi_devices.push_back(device.name());
      all.push_back(std::move(out));
    }
    return {std::move(all)};
  }

  Result<Allocation> call_allocate(Endpoint& endpoint, const std::vector<std::string>& ids) {
    ENCLAYER_TRY(auto all, call_allocate(endpoint, std::vector<std::vector<std::string>>{ids}));
    return {std::move(all.front())};
  }

  Resource shown(const std::string& name) const {
    auto found = resources.find(name);
    if (found == resources.end()) return {};
    Resource out = found->second.shown;
    out.allocated = found->second.allocated.size();
    return out;
  }
};

Kubelet::Kubelet(fs::path folder) : impl_(std::make_unique<Impl>(std::move(folder))) {}
Kubelet::~Kubelet() { stop(); }

Result<> Kubelet::start() {
  stop();
  ENCLAYER_CHECK(base::make_folder(impl_->device_plugins, 0750));
  remove_sockets_in(impl_->device_plugins);
  impl_->stopping = false;
  grpc::ServerBuilder builder;
  builder.RegisterService(impl_.get());
  int port = 0;
  builder.AddListeningPort("unix:" + impl_->socket().string(), grpc::InsecureServerCredentials(), &port);
  impl_->server = builder.BuildAndStart();
  if (!impl_->server || port == 0) {
    impl_->server.reset();
    return Error(ErrorKind::kIo, "cannot listen on " + impl_->socket().string());
  }
  if (impl_->watching) {
    ENCLAYER_CHECK(base::make_folder(impl_->plugins_registry, 0750));
    impl_->watcher = std::thread([this] { impl_->watch(); });
  }
  return {};
}

void Kubelet::watch_plugins() { impl_->watching = true; }

void Kubelet::stop() {
  if (!impl_->server) return;
  std::list<std::shared_ptr<Endpoint>> endpoints;
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    for (auto* call : impl_->calls) call->TryCancel();
    impl_->changed.notify_all();
  }
  if (impl_->watcher.joinable()) impl_->watcher.join();
  impl_->server->Shutdown(std::chrono::system_clock::now());
  impl_->server->Wait();
  impl_->server.reset();
  {
    std::lock_guard lock(impl_->mutex);
    endpoints.swap(impl_->endpoints);
  }
  for (auto& endpoint : endpoints)
    if (endpoint->list_thread.joinable()) endpoint->list_thread.join();
  {
    std::lock_guard lock(impl_->mutex);
    for (auto& [name, resource] : impl_->resources) {
      resource.endpoint = nullptr;
      resource.ids.clear();
      resource.shown.capacity = 0;
    }
  }
  leave_dead_socket(impl_->socket());
}

Result<> Kubelet::restart() {
  stop();
  return start();
}

Kubelet::Resource Kubelet::resource(const std::string& name) const {
  std::lock_guard lock(impl_->mutex);
  return impl_->shown(name);
}

Result<Kubelet::Resource> Kubelet::wait_for(const std::string& name, const std::function<bool(const Resource&)>& enough,
                                            milliseconds timeout) const {
  auto deadline = steady_clock::now() + timeout;
  std::unique_lock lock(impl_->mutex);
  while (true) {
    Resource now = impl_->shown(name);
    if (enough(now)) return now;
    if (impl_->changed.wait_until(lock, deadline) == std::cv_status::timeout && !enough(impl_->shown(name)))
      return Error(ErrorKind::kTimedOut,
                   name + " is not what was waited for after " + std::to_string(timeout.count()) + " ms: capacity " +
                       std::to_string(now.capacity) + ", allocatable " + std::to_string(now.allocatable) +
                       ", allocated " + std::to_string(now.allocated) + ", " + std::to_string(now.registrations) +
                       " registrations, " + std::to_string(now.lists) + " lists" +
                       (now.list_error.empty() ? "" : ", the last list stream ended: " + now.list_error));
  }
}

Result<Kubelet::Resource> Kubelet::wait_for_devices(const std::string& name, std::size_t allocatable,
                                                    milliseconds timeout) const {
  return wait_for(
      name, [&](const Resource& now) { return now.allocatable == allocatable; }, timeout);
}

std::vector<std::string> Kubelet::device_ids(const std::string& name) const {
  std::lock_guard lock(impl_->mutex);
  auto found = impl_->resources.find(name);
  return found == impl_->resources.end() ? std::vector<std::string>() : found->second.ids;
}

std::set<std::string> Kubelet::allocated_ids(const std::string& name) const {
  std::lock_guard lock(impl_->mutex);
  auto found = impl_->resources.find(name);
  return found == impl_->resources.end() ? std::set<std::string>() : found->second.allocated;
}

Result<Kubelet::Allocation> Kubelet::allocate(const std::string& name, std::size_t count) {
  std::vector<std::string> picked;
  std::shared_ptr<Endpoint> endpoint;
  {
    std::lock_guard lock(impl_->mutex);
    KnownResource& resource = impl_->resources[name];
    endpoint = resource.endpoint;
    for (const std::string& id : resource.ids) {
      if (picked.size() == count) break;
      if (resource.healthy.contains(id) && !resource.allocated.contains(id)) picked.push_back(id);
    }
    if (picked.size() < count || !endpoint)
      return Error(ErrorKind::kExhausted, "requested number of devices unavailable for " + name + ". Requested: " +
                                              std::to_string(count) + ", Available: " + std::to_string(picked.size()));
    resource.allocated.insert(picked.begin(), picked.end());
  }
  auto given = impl_->call_allocate(*endpoint, picked);
  if (!given) release({name, picked, {}, {}, {}, {}, {}});
  return given;
}

Result<Kubelet::Allocation> Kubelet::allocate_ids(const std::string& name, const std::vector<std::string>& ids) {
  ENCLAYER_TRY(auto all, allocate_containers(name, {ids}));
  return {std::move(all.front())};
}

Result<std::vector<Kubelet::Allocation>> Kubelet::allocate_containers(
    const std::string& name, const std::vector<std::vector<std::string>>& containers) {
  std::shared_ptr<Endpoint> endpoint;
  {
    std::lock_guard lock(impl_->mutex);
    endpoint = impl_->resources[name].endpoint;
  }
  if (!endpoint) return Error(ErrorKind::kUnavailable, "no plugin is registered for " + name);
  return impl_->call_allocate(*endpoint, containers);
}

void Kubelet::release(const Allocation& allocation) {
  std::lock_guard lock(impl_->mutex);
  for (const std::string& id : allocation.ids) impl_->resources[allocation.resource].allocated.erase(id);
}

void Kubelet::refuse_registrations(int times, std::string why) {
  std::lock_guard lock(impl_->mutex);
  impl_->to_refuse = times;
  impl_->why_refused = std::move(why);
}

void Kubelet::take_time_to_register(milliseconds more) {
  std::lock_guard lock(impl_->mutex);
  impl_->more_time = more;
}

void Kubelet::forget_to_list(int times) {
  std::lock_guard lock(impl_->mutex);
  impl_->to_forget = times;
}

void Kubelet::end_list(const std::string& name) {
  std::lock_guard lock(impl_->mutex);
  if (auto& endpoint = impl_->resources[name].endpoint) endpoint->list_context.TryCancel();
}

void Kubelet::notice_next_end_late() {
  std::lock_guard lock(impl_->mutex);
  impl_->notice_late = true;
}

}  // namespace enclayer::fake
