#include "kubelet/plugin_server.h"

#include <grpcpp/grpcpp.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/metric_names.h"
#include "kubelet/grpc_runtime.h"
#include "proto/deviceplugin.grpc.pb.h"

namespace enclayer::kubelet {
namespace {

namespace log = base::log;
namespace api = v1beta1;

constexpr std::int64_t kGraceMs = 1'000;

grpc::Status to_status(const Error& error) {
  return {static_cast<grpc::StatusCode>(base::at_border(error.kind()).grpc_status), error.message()};
}

// The list's bytes as gRPC sends them: looked at, not copied; kept alive until gRPC has let go of them.
grpc::ByteBuffer to_buffer(const std::shared_ptr<const Bytes>& bytes) {
  auto* keep = new std::shared_ptr<const Bytes>(bytes);
  grpc::Slice slice(
      const_cast<std::uint8_t*>(bytes->data()), bytes->size(),
      [](void* kept) { delete static_cast<std::shared_ptr<const Bytes>*>(kept); }, keep);
  return grpc::ByteBuffer(&slice, 1);
}

// One ListAndWatch call: sends the list, then stays open until the kubelet or the server ends it.
//
// gRPC aborts the process when Finish is called twice, and OnWriteDone(false), OnCancel and close() come in any order
// and at the same time. So there is one way to the end, finish(), and it lets one caller through. Finish is called
// without the lock: OnDone may run inside it.
class ListStream : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public std::enable_shared_from_this<ListStream> {
 public:
  struct Events {
    std::function<void()> listed;                             // the list is sent
    std::function<void(ListStream*, bool was_listed)> ended;  // nothing is called after this
  };

  ListStream(grpc::CallbackServerContext* context, Events events) : context_(context), events_(std::move(events)) {}

  void start(const std::shared_ptr<const Bytes>& list) {
    self_ = shared_from_this();
    buffer_ = to_buffer(list);
    StartWrite(&buffer_);
  }

  // Ends the call. A list that is still being written (the other side does not read) is given up.
  void close() { finish({grpc::StatusCode::UNAVAILABLE, "the device plugin stops"}, /*by_us=*/true); }

 private:
  void OnWriteDone(bool ok) override {
    grpc::Status end(grpc::StatusCode::UNAVAILABLE, "the list could not be sent");
    bool now = false;
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
      listed_ = ok;
      now = !ok || end_wanted_;
    }
    buffer_.Clear();
    if (ok) events_.listed();
    if (now) finish(end, false);
  }

  void OnCancel() override { finish({grpc::StatusCode::CANCELLED, "the kubelet ended the list"}, false); }

  void OnDone() override {
    events_.ended(this, listed_);
    self_.reset();  // the last thing: this may be gone after it
  }

  void finish(const grpc::Status& status, bool by_us) {
    {
      std::lock_guard lock(mutex_);
      if (finished_) return;
      if (writing_) {
        end_wanted_ = true;  // OnWriteDone comes back here
        if (by_us) context_->TryCancel();
        return;
      }
      finished_ = true;
    }
    Finish(status);
  }

  grpc::CallbackServerContext* context_;
  Events events_;
  grpc::ByteBuffer buffer_;
  std::shared_ptr<ListStream> self_;  // gRPC holds a bare pointer until OnDone
  std::mutex mutex_;
  bool writing_ = true, listed_ = false, end_wanted_ = false, finished_ = false;
};

using Service =
    api::DevicePlugin::WithCallbackMethod_GetDevicePluginOptions<api::DevicePlugin::WithRawCallbackMethod_ListAndWatch<
        api::DevicePlugin::WithCallbackMethod_Allocate<api::DevicePlugin::Service>>>;

class GrpcPluginServer final : public PluginServer, private Service {
 public:
  GrpcPluginServer(const Plugin& plugin, std::filesystem::path socket, base::Metrics& metrics,
                   std::function<void()> changed)
      : plugin_(plugin),
        socket_(std::move(socket)),
        changed_(std::move(changed)),
        streams_gauge_(metrics.gauge(base::metric::kListStreams, {{"resource", plugin.resource}})),
        granted_(allocations(metrics, "ok")),
        refused_(allocations(metrics, "error")) {}

  ~GrpcPluginServer() override {
    if (!server_) return;
    std::vector<std::shared_ptr<ListStream>> open;
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      for (ListStream* stream : streams_) open.push_back(stream->shared_from_this());
    }
    for (auto& stream : open) stream->close();
    server_->Shutdown(gpr_time_from_millis(kGraceMs, GPR_TIMESPAN));
    server_->Wait();
    ::unlink(socket_.c_str());  // gRPC mostly has; the name is ours alone
  }

  Result<> start() {
    if (socket_.native().size() >= sizeof(sockaddr_un::sun_path))
      return Error(ErrorKind::kInvalidArgument,
                   "the path of the plugin's socket, " + socket_.string() + ", has " +
                       std::to_string(socket_.native().size()) + " bytes; a unix socket has room for " +
                       std::to_string(sizeof(sockaddr_un::sun_path) - 1) + "; use a shorter kubelet directory");
    start_grpc();
    grpc::ServerBuilder builder;
    builder.RegisterService(this);
    builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
    builder.SetMaxSendMessageSize(static_cast<int>(kMaxListBytes));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 64);
    int port = 0;
    builder.AddListeningPort("unix:" + socket_.string(), grpc::InsecureServerCredentials(), &port);
    server_ = builder.BuildAndStart();
    if (!server_ || port == 0) return Error(ErrorKind::kIo, "cannot listen on " + socket_.string());
    return {};
  }

  int watchers() const override { return watchers_; }
  bool was_listed() const override { return was_listed_; }

 private:
  base::Counter& allocations(base::Metrics& metrics, const char* result) const {
    return metrics.counter(base::metric::kAllocations, {{"resource", plugin_.resource}, {"result", result}});
  }

  grpc::ServerUnaryReactor* GetDevicePluginOptions(grpc::CallbackServerContext* context, const api::Empty*,
                                                   api::DevicePluginOptions*) override {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);  // both options are off, which is what the empty message says
    return reactor;
  }

  grpc::ServerWriteReactor<grpc::ByteBuffer>* ListAndWatch(grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer*) override {
    auto stream = std::make_shared<ListStream>(
        context, ListStream::Events{[this] { listed(); },
                                    [this](ListStream* which, bool was_listed) { ended(which, was_listed); }});
    bool stopping;
    {
      std::lock_guard lock(mutex_);
      streams_.insert(stream.get());
      stopping = stopping_;
    }
    stream->start(plugin_.devices.bytes());
    if (stopping) stream->close();
    return stream.get();
  }

  void listed() {
    ++watchers_;
    was_listed_ = true;
    streams_gauge_.add(1);
    log::info("device list sent", {{"resource", plugin_.resource},
                                   {"devices", plugin_.devices.count()},
                                   {"bytes", plugin_.devices.bytes()->size()}});
    changed_();
  }

  void ended(ListStream* stream, bool was_listed) {
    if (was_listed) {
      --watchers_;
      streams_gauge_.add(-1);
    }
    {
      std::lock_guard lock(mutex_);
      streams_.erase(stream);
    }
    log::debug("list stream ended", {{"resource", plugin_.resource}});
    changed_();
  }

  grpc::ServerUnaryReactor* Allocate(grpc::CallbackServerContext* context, const api::AllocateRequest* request,
                                     api::AllocateResponse* response) override {
    auto* reactor = context->DefaultReactor();
    auto done = allocate(*request, *response);
    (done ? granted_ : refused_).add();
    if (!done) {
      response->Clear();
      log::error("allocation refused", {{"resource", plugin_.resource}, {"reason", done.error().message()}});
    }
    reactor->Finish(done ? grpc::Status::OK : to_status(done.error()));
    return reactor;
  }

  Result<> allocate(const api::AllocateRequest& request, api::AllocateResponse& response) const {
    // The kubelet reads the first answer without looking whether there is one.
    if (request.container_requests_size() == 0)
      return Error(ErrorKind::kInvalidArgument, "the request for " + plugin_.resource + " names no container");
    std::vector<bool> taken(plugin_.devices.count(), false);
    for (const auto& container : request.container_requests()) {
      ENCLAYER_TRY(auto devices, devices_of(container, taken));
      ENCLAYER_TRY(Grant grant, plugin_.allocate(devices));
      write(grant, *response.add_container_responses());
      log::info("devices given to a container", {{"resource", plugin_.resource}, {"devices", devices.size()}});
    }
    return {};
  }

  Result<std::vector<std::size_t>> devices_of(const api::ContainerAllocateRequest& container,
                                              std::vector<bool>& taken) const {
    if (container.devices_ids_size() == 0)
      return Error(ErrorKind::kInvalidArgument, "the request for " + plugin_.resource + " names no device");
    std::vector<std::size_t> devices;
    devices.reserve(static_cast<std::size_t>(container.devices_ids_size()));
    for (const std::string& id : container.devices_ids()) {
      auto index = plugin_.devices.index_of(id);
      if (!index)
        return Error(ErrorKind::kNotFound, plugin_.resource + " has no device '" + shown(id) +
                                               "': it was never in the list of " +
                                               std::to_string(plugin_.devices.count()) + " devices");
      if (taken[*index])
        return Error(ErrorKind::kInvalidArgument,
                     "the request for " + plugin_.resource + " names device '" + shown(id) + "' twice");
      taken[*index] = true;
      devices.push_back(*index);
    }
    return devices;
  }

  // An ID from outside, short and printable: the message goes into a gRPC status and into pod events.
  static std::string shown(const std::string& id) {
    std::string out = id.substr(0, 63);
    for (char& c : out)
      if (c < ' ' || c > '~') c = '?';
    return out;
  }

  static void write(const Grant& grant, api::ContainerAllocateResponse& out) {
    for (const auto& [name, value] : grant.envs) (*out.mutable_envs())[name] = value;
    for (const Mount& mount : grant.mounts) {
      auto* to = out.add_mounts();
      to->set_container_path(mount.container_path);
      to->set_host_path(mount.host_path);
      to->set_read_only(mount.read_only);
    }
    for (const DeviceNode& device : grant.devices) {
      auto* to = out.add_devices();
      to->set_container_path(device.container_path);
      to->set_host_path(device.host_path);
      to->set_permissions(device.permissions);
    }
  }

  const Plugin& plugin_;
  const std::filesystem::path socket_;
  const std::function<void()> changed_;
  base::Gauge& streams_gauge_;
  base::Counter& granted_;
  base::Counter& refused_;
  std::atomic<int> watchers_ = 0;
  std::atomic<bool> was_listed_ = false;
  std::mutex mutex_;
  std::set<ListStream*> streams_;
  bool stopping_ = false;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Result<std::unique_ptr<PluginServer>> PluginServer::serve(const Plugin& plugin, const std::filesystem::path& socket,
                                                          base::Metrics& metrics, std::function<void()> changed) {
  auto server = std::make_unique<GrpcPluginServer>(plugin, socket, metrics, std::move(changed));
  ENCLAYER_CHECK(server->start());
  return {std::move(server)};
}

}  // namespace enclayer::kubelet
