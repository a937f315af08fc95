#include "kubelet/grpc_runtime.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/event_engine/event_engine.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "base/log.h"

// gRPC has these for programs that have one thread (src/core/lib/iomgr/timer_manager.h). They are in no public header,
// so a build without them has to link too.
[[gnu::weak]] void grpc_timer_manager_set_threading(bool on);
[[gnu::weak]] void grpc_timer_manager_tick();

namespace enclayer::kubelet {
namespace {

using grpc_event_engine::experimental::EventEngine;
using Task = absl::AnyInvocable<void()>;
using std::chrono::steady_clock;

// Runs tasks when they are due, one after the other, in a thread that the first task starts and that sleeps until the
// next one is due. gRPC's tasks do not block.
class TaskThread {
 public:
  EventEngine::TaskHandle add(EventEngine::Duration after, Task task) {
    constexpr EventEngine::Duration kFarAway = std::chrono::hours(24 * 365);  // "never" must not overflow the clock
    std::lock_guard lock(mutex_);
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    Key key{steady_clock::now() + std::min(after, kFarAway), ++last_};
    bool is_next = tasks_.empty() || key < tasks_.begin()->first;
    tasks_.emplace(key, std::move(task));
    if (is_next) earlier_.notify_one();
    return {{static_cast<std::intptr_t>(key.first.time_since_epoch().count()), key.second}};
  }

  // Not one that has begun.
  bool cancel(EventEngine::TaskHandle handle) {
    Task dropped;  // goes after the lock: what it holds may come back here
    std::lock_guard lock(mutex_);
    auto found = tasks_.find({steady_clock::time_point(steady_clock::duration(handle.keys[0])), handle.keys[1]});
    if (found == tasks_.end()) return false;
    dropped = std::move(found->second);
    tasks_.erase(found);
    return true;
  }

  bool is_this_thread() {
    std::lock_guard lock(mutex_);
    return thread_.get_id() == std::this_thread::get_id();
  }

 private:
  using Key = std::pair<steady_clock::time_point, std::intptr_t>;

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      if (tasks_.empty()) {
        earlier_.wait(lock);
        continue;
      }
      auto next = tasks_.begin();
      if (auto due = next->first.first; due > steady_clock::now()) {
        earlier_.wait_until(lock, due);
        continue;
      }
      Task task = std::move(next->second);
      tasks_.erase(next);
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable earlier_;
  std::map<Key, Task> tasks_;
  std::intptr_t last_ = 0;
  std::thread thread_;
};

// Never destroyed, like gRPC itself: gRPC may let go of its engine in the thread that would have to be joined.
TaskThread& task_thread() {
  static auto& thread = *new TaskThread;
  return thread;
}

// Tasks and timers. gRPC 1.51 does its input and output elsewhere, and we have no use for names of hosts.
class QuietEngine final : public EventEngine {
 public:
  void Run(Closure* closure) override {
    Run([closure] { closure->Run(); });
  }
  void Run(Task task) override { task_thread().add(Duration(0), std::move(task)); }
  TaskHandle RunAfter(Duration when, Closure* closure) override {
    return RunAfter(when, [closure] { closure->Run(); });
  }
  TaskHandle RunAfter(Duration when, Task task) override { return task_thread().add(when, std::move(task)); }
  bool Cancel(TaskHandle handle) override { return task_thread().cancel(handle); }
  bool IsWorkerThread() override { return task_thread().is_this_thread(); }

  std::unique_ptr<DNSResolver> GetDNSResolver(const DNSResolver::ResolverOptions&) override { return nullptr; }
  absl::StatusOr<std::unique_ptr<Listener>> CreateListener(
      Listener::AcceptCallback, absl::AnyInvocable<void(absl::Status)>,
      const grpc_event_engine::experimental::EndpointConfig&,
      std::unique_ptr<grpc_event_engine::experimental::MemoryAllocatorFactory>) override {
    return absl::UnimplementedError(kNoSockets);
  }
  ConnectionHandle Connect(OnConnectCallback on_connect, const ResolvedAddress&,
                           const grpc_event_engine::experimental::EndpointConfig&,
                           grpc_event_engine::experimental::MemoryAllocator, Duration) override {
    Run([tell = std::move(on_connect)]() mutable { tell(absl::UnimplementedError(kNoSockets)); });
    return {{0, 0}};
  }
  bool CancelConnect(ConnectionHandle) override { return false; }

 private:
  static constexpr const char* kNoSockets = "this event engine has no sockets";
};

void set_timer_threads(bool on) {
  if (grpc_timer_manager_set_threading) grpc_timer_manager_set_threading(on);
}

std::mutex timers_mutex;
int timers_wanted = 0;

}  // namespace

void start_grpc() {
  static std::once_flag once;
  std::call_once(once, [] {
    gpr_set_log_function([](gpr_log_func_args* line) {
      // What it calls an error is, for us, mostly a kubelet that is not there.
      if (line->severity == GPR_LOG_SEVERITY_ERROR)
        base::log::warn("gRPC reports", {{"text", line->message}});
      else
        base::log::debug("gRPC reports", {{"text", line->message}});
    });
    google::protobuf::SetLogHandler([](google::protobuf::LogLevel, const char*, int, const std::string& text) {
      base::log::debug("protobuf reports", {{"text", text}});  // always about bytes from outside, which we refuse
    });
    grpc_event_engine::experimental::SetEventEngineFactory([] { return std::make_unique<QuietEngine>(); });
    grpc_init();  // and no grpc_shutdown
    set_timer_threads(false);
  });
}

GrpcTimers::GrpcTimers() {
  start_grpc();
  std::lock_guard lock(timers_mutex);
  if (++timers_wanted == 1) set_timer_threads(true);
}

GrpcTimers::~GrpcTimers() {
  std::lock_guard lock(timers_mutex);
  if (--timers_wanted == 0) set_timer_threads(false);
}

std::shared_ptr<grpc::Channel> channel_to(const std::filesystem::path& socket, std::size_t max_reply) {
  grpc::ChannelArguments arguments;
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");  // grpc-go refuses a path here
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(static_cast<int>(max_reply));
  return grpc::CreateCustomChannel("unix:" + socket.string(), grpc::InsecureChannelCredentials(), arguments);
}

void tick_grpc_timers() {
  if (grpc_timer_manager_tick) grpc_timer_manager_tick();
}

}  // namespace enclayer::kubelet
