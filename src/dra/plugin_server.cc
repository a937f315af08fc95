// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin_server.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/printable.h"
#include "kubelet/grpc_runtime.h"
#include "proto/dra.grpc.pb.h"
#include "proto/dra_health.grpc.pb.h"
#include "proto/dra_health_v1alpha1.grpc.pb.h"
#include "proto/pluginregistration.grpc.pb.h"

namespace enclayer::dra {
namespace {

namespace api = k8s::io::kubelet::pkg::apis::dra::v1;
namespace log = base::log;
using grpc::ServerContext;
using grpc::Status;
using HealthWriter = grpc::ServerWriter<v1::NodeWatchResourcesResponse>;

constexpr int kMostRequestBytes = 1 << 20;
constexpr int kMostThreads = kMostCalls + 16;  // with those of gRPC's own, and of health streams
constexpr int kHandshakeMs = 10'000;
constexpr std::int64_t kGraceMs = 1'000;
constexpr std::size_t kLongestMessage = 1'024;

std::string title(const ClaimName& claim) {
  return base::printable(claim.name_space, 63) + "/" + base::printable(claim.name, 253);
}

ClaimName name_of(const api::Claim& claim) { return {claim.namespace_(), claim.name(), claim.uid()}; }

class GrpcPluginServer final : public PluginServer {
 public:
  GrpcPluginServer(std::string pool, std::filesystem::path socket, Driver driver)
      : pool_(std::move(pool)), socket_(std::move(socket)), driver_(std::move(driver)) {}

  ~GrpcPluginServer() override {
    if (!server_) return;
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    server_->Shutdown(gpr_time_from_millis(kGraceMs, GPR_TIMESPAN));
    ::unlink(socket_.c_str());  // nobody else would, and the name is ours alone
  }

  Result<> start() {
    kubelet::start_grpc();
    grpc::ServerBuilder builder;
    builder.RegisterService(&registration_);
    builder.RegisterService(&plugin_);
    builder.RegisterService(&health_);
    builder.RegisterService(&health_v1alpha1_);
    builder.SetMaxReceiveMessageSize(kMostRequestBytes);
    builder.SetResourceQuota(grpc::ResourceQuota().SetMaxThreads(kMostThreads));
    builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
    builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
    builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostCalls);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
    int port = 0;
    builder.AddListeningPort("unix:" + socket_.string(), grpc::InsecureServerCredentials(), &port);
    server_ = builder.BuildAndStart();
    if (!server_ || port == 0) return Error(ErrorKind::kIo, "cannot listen on " + socket_.string());
    return {};
  }

  void tell_health() override {
    {
      std::lock_guard lock(mutex_);
      ++news_;
    }
    changed_.notify_all();
  }

 private:
  struct Registration final : pluginregistration::Registration::Service {
    explicit Registration(const GrpcPluginServer& server) : owner(server) {}

    Status GetInfo(ServerContext*, const pluginregistration::InfoRequest*,
                   pluginregistration::PluginInfo* info) override {
      info->set_type("DRAPlugin");
      info->set_name(kDriver);  // and no endpoint: this socket
      // Of each service the kubelet takes the first that it knows.
      for (const char* service : {"v1.DRAPlugin", "v1.DRAResourceHealth", "v1alpha1.DRAResourceHealth"})
        info->add_supported_versions(service);
      return Status::OK;
    }

    Status NotifyRegistrationStatus(ServerContext*, const pluginregistration::RegistrationStatus* status,
                                    pluginregistration::RegistrationStatusResponse*) override {
      std::string refusal;
      if (!status->plugin_registered())
        refusal =
            status->error().empty() ? "the kubelet gives no reason" : base::printable(status->error(), kLongestMessage);
      owner.driver_.told(refusal);
      return Status::OK;
    }

    const GrpcPluginServer& owner;
  };

  struct Plugin final : api::DRAPlugin::Service {
    explicit Plugin(const GrpcPluginServer& server) : owner(server) {}

    // Each claim has its answer or its error: the kubelet shows that in the pod's events.
    Status NodePrepareResources(ServerContext*, const api::NodePrepareResourcesRequest* request,
                                api::NodePrepareResourcesResponse* response) override {
      std::vector<ClaimName> claims;
      for (const api::Claim& each : request->claims()) claims.push_back(name_of(each));
      const auto all = owner.driver_.prepare(claims);
      for (std::size_t i = 0; i < claims.size(); ++i) {
        const Prepared& prepared = all.at(i);
        auto& answer = (*response->mutable_claims())[claims[i].uid];
        if (!prepared) {
          log::error("claim not prepared", {{"claim", title(claims[i])}, {"reason", prepared.error().message()}});
          answer.set_error(prepared.error().message());
          continue;
        }
        for (const PreparedDevice& device : *prepared) {
          auto* out = answer.add_devices();
          out->add_request_names(device.request);
          out->set_pool_name(owner.pool_);
          out->set_device_name(device.device);
          out->add_cdi_device_ids(device.cdi_id);
          out->set_share_id(device.share_id);
        }
        log::info("claim prepared", {{"claim", title(claims[i])}, {"devices", prepared->size()}});
      }
      return Status::OK;
    }

    Status NodeUnprepareResources(ServerContext*, const api::NodeUnprepareResourcesRequest* request,
                                  api::NodeUnprepareResourcesResponse* response) override {
      for (const api::Claim& each : request->claims()) {
        const ClaimName claim = name_of(each);
        auto& answer = (*response->mutable_claims())[claim.uid];
        if (auto done = owner.driver_.unprepare(claim); done) {
          log::info("claim released", {{"claim", title(claim)}});
        } else {
          log::error("claim not released", {{"claim", title(claim)}, {"reason", done.error().message()}});
          answer.set_error(done.error().message());
        }
      }
      return Status::OK;
    }

    const GrpcPluginServer& owner;
  };

  // v1 and v1alpha1 are the same but for the name.
  template <class Service>
  struct Health final : Service {
    explicit Health(GrpcPluginServer& server) : owner(server) {}
    Status NodeWatchResources(ServerContext* context, const v1::NodeWatchResourcesRequest*,
                              HealthWriter* writer) override {
      return owner.watch(*context, *writer);
    }
    GrpcPluginServer& owner;
  };

  // The kubelet has one stream. Whoever opens another takes it over, so that streams of a kubelet which is gone, and
  // whose end shows only at the next write, keep no threads.
  Status watch(ServerContext& context, HealthWriter& writer) {
    std::unique_lock lock(mutex_);
    const int me = ++watchers_;
    changed_.notify_all();
    while (!stopping_ && watchers_ == me) {
      const int told = news_;
      lock.unlock();
      if (context.IsCancelled() || !writer.Write(health())) return Status::OK;
      lock.lock();
      changed_.wait_for(lock, std::chrono::seconds(kHealthPeriod),
                        [&] { return stopping_ || watchers_ != me || news_ != told; });
    }
    return {grpc::StatusCode::UNAVAILABLE, stopping_ ? "the driver stops" : "another stream was opened"};
  }

  v1::NodeWatchResourcesResponse health() const {
    v1::NodeWatchResourcesResponse all;
    const std::int64_t now = driver_.now();
    for (const DeviceHealth& each : driver_.health()) {
      auto* out = all.add_devices();
      out->mutable_device()->set_pool_name(pool_);
      out->mutable_device()->set_device_name(each.device);
      out->set_health(each.why_not.empty() ? v1::HEALTHY : v1::UNHEALTHY);
      out->set_last_updated_time(now);
      out->set_health_check_timeout_seconds(kHealthTimeout);
      out->set_message(base::printable(each.why_not, kLongestMessage));
    }
    return all;
  }

  const std::string pool_;
  const std::filesystem::path socket_;
  const Driver driver_;

  std::mutex mutex_;
  std::condition_variable changed_;
  int news_ = 0, watchers_ = 0;
  bool stopping_ = false;

  Registration registration_{*this};
  Plugin plugin_{*this};
  Health<v1::DRAResourceHealth::Service> health_{*this};
  Health<v1alpha1::DRAResourceHealth::Service> health_v1alpha1_{*this};
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Result<std::unique_ptr<PluginServer>> PluginServer::serve(const std::string& pool, const std::filesystem::path& socket,
                                                          Driver driver) {
  auto server = std::make_unique<GrpcPluginServer>(pool, socket, std::move(driver));
  ENCLAYER_CHECK(server->start());
  return {std::move(server)};
}

}  // namespace enclayer::dra
