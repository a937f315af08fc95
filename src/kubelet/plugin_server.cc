// SPDX-License-Identifier: Apache-2.0
#include "kubelet/plugin_server.h"

#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/metric_names.h"
#include "base/printable.h"
#include "kubelet/grpc_runtime.h"
#include "proto/pluginregistration.pb.h"

namespace enclayer::kubelet {
namespace {

namespace log = base::log;

constexpr std::int64_t kGraceMs = 1'000;
constexpr int kHandshakeMs = 10'000;  // a client's first bytes; the kubelet's own patience when it dials
constexpr std::size_t kLongestRefusal = 1'024;

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

grpc::ByteBuffer to_buffer(const std::string& bytes) {
  grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

enum class Method { kNone, kGetDevicePluginOptions, kListAndWatch, kAllocate, kGetInfo, kNotifyRegistrationStatus };

Method method_of(std::string_view path) {
  if (path == "/v1beta1.DevicePlugin/GetDevicePluginOptions") return Method::kGetDevicePluginOptions;
  if (path == "/v1beta1.DevicePlugin/ListAndWatch") return Method::kListAndWatch;
  if (path == "/v1beta1.DevicePlugin/Allocate") return Method::kAllocate;
  if (path == "/pluginregistration.Registration/GetInfo") return Method::kGetInfo;
  if (path == "/pluginregistration.Registration/NotifyRegistrationStatus") return Method::kNotifyRegistrationStatus;
  return Method::kNone;
}

// One call of a client, from before it comes until gRPC has nothing more to say of it.
//
// Every operation that is begun comes back through the completion queue as the tag it was given; the call is there
// until the last of them has. That alone decides when it goes, whatever comes first: the client's leaving, a write that
// failed, our own end.
struct Call {
  enum Step { kAccepted, kRead, kWritten, kFinished, kOver };
  struct Tag {
    Call* call;
    Step step;
  };

  Tag* tag(Step step) {
    ++to_come;
    return &tags[step];
  }

  grpc::GenericServerContext context;
  grpc::GenericServerAsyncReaderWriter stream{&context};
  Tag tags[5] = {{this, kAccepted}, {this, kRead}, {this, kWritten}, {this, kFinished}, {this, kOver}};
  int to_come = 0;
  Method method = Method::kNone;
  grpc::ByteBuffer message;  // that is being read or written
  bool finished = false;     // gRPC aborts the process when a call is finished twice

  // Of ListAndWatch calls.
  bool is_list = false, writing = false, listed = false;  // from the moment that its request is there
  std::shared_ptr<const DeviceList> sent;                 // written last, or being written
};

class GrpcPluginServer final : public PluginServer {
 public:
  GrpcPluginServer(const Plugin& plugin, std::filesystem::path socket, base::Metrics& metrics, Events events)
      : plugin_(plugin),
        socket_(std::move(socket)),
        events_(std::move(events)),
        streams_gauge_(metrics.gauge(base::metric::kListStreams, {{"resource", plugin.resource}})),
        lists_sent_(metrics.counter(base::metric::kListUpdates, {{"resource", plugin.resource}})),
        allocation_seconds_(metrics.histogram(base::metric::kAllocationSeconds, {0.0001, 0.001, 0.01, 0.1, 1, 10},
                                              {{"resource", plugin.resource}})),
        granted_(allocations(metrics, "ok")),
        refused_(allocations(metrics, "error")),
        newest_(std::make_shared<const DeviceList>(plugin.devices)) {}

  ~GrpcPluginServer() override {
    if (!server_) return;
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      wake();
    }
    server_->Shutdown(gpr_time_from_millis(kGraceMs, GPR_TIMESPAN));
    {
      // Nothing may be begun on a queue that is shut down, so all that was begun has to be back.
      std::unique_lock lock(mutex_);
      idle_.wait(lock, [&] { return calls_.empty() && !waking_; });
    }
    queue_->Shutdown();
    thread_.join();
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
    builder.RegisterAsyncGenericService(&service_);
    builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
    builder.SetMaxSendMessageSize(static_cast<int>(kMaxListBytes));
    builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
    builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(kMaxCalls));
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
    int port = 0;
    builder.AddListeningPort("unix:" + socket_.string(), grpc::InsecureServerCredentials(), &port);
    queue_ = builder.AddCompletionQueue();
    server_ = builder.BuildAndStart();
    if (!server_ || port == 0) return Error(ErrorKind::kIo, "cannot listen on " + socket_.string());
    await_call();
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void update(DeviceList devices) override {
    std::lock_guard lock(mutex_);
    newest_ = std::make_shared<const DeviceList>(std::move(devices));
    wake();
  }

  int watchers() const override { return watchers_; }
  bool was_listed() const override { return was_listed_; }

 private:
  base::Counter& allocations(base::Metrics& metrics, const char* result) const {
    return metrics.counter(base::metric::kAllocations, {{"resource", plugin_.resource}, {"result", result}});
  }

  // Has the server's thread look at what is new; under the mutex. An alarm in the past needs no timer.
  void wake() {
    if (waking_) return;
    waking_ = true;
    alarm_.Set(queue_.get(), gpr_inf_past(GPR_CLOCK_MONOTONIC), &alarm_);
  }

  // --- From here on: the server's thread alone ---

  void run() {
    void* got = nullptr;
    for (bool ok = false; queue_->Next(&got, &ok);) {
      if (got == &alarm_)
        woken();
      else
        happened(*static_cast<Call::Tag*>(got), ok);
    }
  }

  void woken() {
    bool stopping;
    {
      std::lock_guard lock(mutex_);
      waking_ = false;
      stopping = stopping_;
      idle_.notify_all();
    }
    for (auto& [call, owned] : calls_) {
      if (!call->is_list) continue;
      if (stopping)
        end_list(*call);
      else if (!call->writing && !call->finished)
        write_newest(*call);
    }
  }

  void happened(Call::Tag tag, bool ok) {
    Call& call = *tag.call;
    --call.to_come;
    switch (tag.step) {
      case Call::kAccepted:
        if (ok) accepted(call);  // otherwise the server has been shut down
        break;
      case Call::kRead:
        if (ok)
          answer(call);
        else
          finish(call, {grpc::StatusCode::INVALID_ARGUMENT, "there is no request, or it is too long"});
        break;
      case Call::kWritten: written(call, ok); break;
      case Call::kFinished: break;
      case Call::kOver:
        call.finished = true;  // by the client, if not by us
        break;
    }
    if (call.to_come == 0) gone(call);
  }

  void await_call() {
    auto owned = std::make_unique<Call>();
    Call& call = *owned;
    {
      std::lock_guard lock(mutex_);
      calls_.emplace(&call, std::move(owned));
    }
    call.context.AsyncNotifyWhenDone(&call.tags[Call::kOver]);  // comes back only for a call that is accepted
    service_.RequestCall(&call.context, &call.stream, queue_.get(), queue_.get(), call.tag(Call::kAccepted));
  }

  void accepted(Call& call) {
    ++call.to_come;  // kOver
    await_call();
    call.method = method_of(call.context.method());
    if (call.method == Method::kNone)
      finish(call, {grpc::StatusCode::UNIMPLEMENTED, "this plugin has no such method"});
    else if (calls_.size() > kMaxCalls + 1)  // the one to come is in there too
      finish(call, {grpc::StatusCode::RESOURCE_EXHAUSTED,
                    "the plugin has " + std::to_string(kMaxCalls) + " calls open, which is its limit"});
    else
      call.stream.Read(&call.message, call.tag(Call::kRead));
  }

  void answer(Call& call) {
    grpc::Slice request;  // in one piece
    if (auto status = call.message.DumpToSingleSlice(&request); !status.ok()) return finish(call, status);
    std::string_view bytes(reinterpret_cast<const char*>(request.begin()), request.size());
    switch (call.method) {
      case Method::kNone: break;  // refused already
      case Method::kGetDevicePluginOptions:
        return reply(call, std::string());  // both options are off, which is what the empty message says
      case Method::kListAndWatch: return begin_list(call);
      case Method::kAllocate: return reply(call, allocate(bytes));
      case Method::kGetInfo: return reply(call, info());
      case Method::kNotifyRegistrationStatus: return reply(call, take_status(bytes));
    }
  }

  void gone(Call& call) {
    bool was_list = call.is_list, was_listed = call.listed;
    if (was_listed) {
      --watchers_;
      streams_gauge_.add(-1);
    }
    {
      std::lock_guard lock(mutex_);
      calls_.erase(&call);
      idle_.notify_all();
    }
    if (!was_list) return;
    log::debug("list stream ended", {{"resource", plugin_.resource}});
    if (events_.changed) events_.changed();
  }

  // --- How a call ends ---

  void finish(Call& call, const grpc::Status& status) {
    if (call.finished) return;
    call.finished = true;
    call.message.Clear();
    call.stream.Finish(status, call.tag(Call::kFinished));
  }

  void reply(Call& call, const Result<std::string>& bytes) {
    if (!bytes) return finish(call, to_status(bytes.error()));
    if (call.finished) return;
    call.finished = true;
    call.message = to_buffer(*bytes);
    call.stream.WriteAndFinish(call.message, grpc::WriteOptions(), grpc::Status::OK, call.tag(Call::kFinished));
  }

  // --- ListAndWatch ---

  void begin_list(Call& call) {
    call.is_list = true;
    bool stopping;
    {
      std::lock_guard lock(mutex_);
      stopping = stopping_;
    }
    if (stopping)
      end_list(call);
    else
      write_newest(call);
  }

  // gRPC allows one write at a time, so what comes meanwhile waits, and only the newest of it is sent.
  void write_newest(Call& call) {
    auto list = newest();
    if (call.finished || call.sent == list) return;
    call.sent = std::move(list);
    call.writing = true;
    call.message = to_buffer(call.sent->bytes());
    call.stream.Write(call.message, call.tag(Call::kWritten));
  }

  void written(Call& call, bool ok) {
    call.writing = false;
    call.message.Clear();
    if (call.finished) return;
    if (!ok) return finish(call, {grpc::StatusCode::UNAVAILABLE, "the list could not be sent"});
    lists_sent_.add();
    log::info("device list sent", {{"resource", plugin_.resource},
                                   {"devices", call.sent->count()},
                                   {"healthy", call.sent->healthy()},
                                   {"bytes", call.sent->bytes()->size()}});
    if (!call.listed) {
      call.listed = true;
      ++watchers_;
      was_listed_ = true;
      streams_gauge_.add(1);
      if (events_.changed) events_.changed();
    }
    write_newest(call);
  }

  // A list that is still being written (the other side does not read) is given up.
  void end_list(Call& call) {
    if (call.writing)
      call.context.TryCancel();
    else
      finish(call, {grpc::StatusCode::UNAVAILABLE, "the device plugin stops"});
  }

  std::shared_ptr<const DeviceList> newest() const {
    std::lock_guard lock(mutex_);
    return newest_;
  }

  // --- The other methods: request in, reply out ---

  Result<std::string> allocate(std::string_view request) {
    auto begun = std::chrono::steady_clock::now();
    auto answer = answer_allocate(plugin_, *newest(), request);
    allocation_seconds_.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
    (answer ? granted_ : refused_).add();
    if (!answer) {
      log::error("allocation refused", {{"resource", plugin_.resource}, {"reason", answer.error().message()}});
      return answer.error();
    }
    for (std::size_t devices : answer->containers)
      log::info("devices given to a container", {{"resource", plugin_.resource}, {"devices", devices}});
    return std::move(answer->bytes);
  }

  std::string info() const {
    pluginregistration::PluginInfo out;
    out.set_type("DevicePlugin");
    out.set_name(plugin_.resource);
    out.add_supported_versions("v1beta1");
    return out.SerializeAsString();  // no endpoint: this socket
  }

  Result<std::string> take_status(std::string_view request) {
    pluginregistration::RegistrationStatus status;
    if (!status.ParseFromArray(request.data(), static_cast<int>(request.size())))
      return Error(ErrorKind::kMalformed, "the request is not a RegistrationStatus");
    std::string refusal;
    if (!status.plugin_registered())
      refusal =
          status.error().empty() ? "the kubelet gives no reason" : base::printable(status.error(), kLongestRefusal);
    if (events_.watcher_told) events_.watcher_told(refusal);
    return std::string();  // an empty RegistrationStatusResponse
  }

  const Plugin& plugin_;
  const std::filesystem::path socket_;
  const Events events_;
  base::Gauge& streams_gauge_;
  base::Counter& lists_sent_;
  base::Histogram& allocation_seconds_;
  base::Counter& granted_;
  base::Counter& refused_;
  std::atomic<int> watchers_ = 0;
  std::atomic<bool> was_listed_ = false;

  mutable std::mutex mutex_;
  std::shared_ptr<const DeviceList> newest_;
  bool stopping_ = false, waking_ = false;
  std::condition_variable idle_;                  // a call has gone, or the thread has been woken
  std::map<Call*, std::unique_ptr<Call>> calls_;  // open, and the one to come; changed by the server's thread alone

  // In this order: the calls go before the queue, the queue before the server.
  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  grpc::Alarm alarm_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<PluginServer>> PluginServer::serve(const Plugin& plugin, const std::filesystem::path& socket,
                                                          base::Metrics& metrics, Events events) {
  auto server = std::make_unique<GrpcPluginServer>(plugin, socket, metrics, std::move(events));
  ENCLAYER_CHECK(server->start());
  return {std::move(server)};
}

}  // namespace enclayer::kubelet
