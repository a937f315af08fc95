// SPDX-License-Identifier: Apache-2.0
#include "fake/dra_kubelet.h"

#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>

#include <set>
#include <thread>

#include "proto/dra.grpc.pb.h"
#include "proto/dra_health.grpc.pb.h"
#include "proto/dra_health_v1alpha1.grpc.pb.h"
#include "proto/pluginregistration.grpc.pb.h"

namespace enclayer::fake {
namespace {

namespace api = k8s::io::kubelet::pkg::apis::dra::v1;
namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kCallTimeout{45};  // the kubelet's own
constexpr milliseconds kLookForDrivers{5};

Error to_error(const grpc::Status& status) {
  return {ErrorKind::kUnavailable,
          status.error_message() + " (gRPC status " + std::to_string(status.error_code()) + ")"};
}

struct Context : grpc::ClientContext {
  explicit Context(milliseconds timeout = kCallTimeout) { set_deadline(std::chrono::system_clock::now() + timeout); }
};

template <class Request>
Request request_of(const std::vector<DraKubelet::Claim>& claims) {
  Request request;
  for (const auto& claim : claims) {
    auto* out = request.add_claims();
    out->set_namespace_(claim.name_space);
    out->set_name(claim.name);
    out->set_uid(claim.uid);
  }
  return request;
}

}  // namespace

struct DraKubelet::Impl {
  fs::path registry;
  std::set<fs::path> seen;
  std::shared_ptr<grpc::Channel> channel;

  static std::shared_ptr<grpc::Channel> channel_to(const fs::path& socket) {
    grpc::ChannelArguments arguments;
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel("unix:" + socket.string(), grpc::InsecureChannelCredentials(), arguments);
  }

  template <class Stub>
  Result<std::vector<Health>> listen(Stub& stub, const std::function<bool(const std::vector<Health>&)>& enough,
                                     milliseconds timeout) {
    Context context(timeout);
    auto reader = stub.NodeWatchResources(&context, {});
    v1::NodeWatchResourcesResponse response;
    while (reader->Read(&response)) {
      std::vector<Health> all;
      for (const auto& device : response.devices())
        all.push_back({device.device().pool_name(), device.device().device_name(), device.message(),
                       device.health() == v1::HEALTHY, device.health_check_timeout_seconds()});
      if (!enough(all)) continue;
      context.TryCancel();
      while (reader->Read(&response)) continue;
      static_cast<void>(reader->Finish());
      return all;
    }
    return to_error(reader->Finish());
  }
};

DraKubelet::DraKubelet(const fs::path& folder) : impl_(std::make_unique<Impl>()) {
  static const int kStarted = (grpc_init(), 0);  // and it stays up (fake/kubelet.cc)
  static_cast<void>(kStarted);
  impl_->registry = folder / "plugins_registry";
  fs::create_directories(impl_->registry);
  fs::create_directories(folder / "plugins");
}

DraKubelet::~DraKubelet() = default;

Result<DraKubelet::Driver> DraKubelet::register_driver(milliseconds timeout, const std::string& refusal) {
  const auto deadline = steady_clock::now() + timeout;
  while (steady_clock::now() < deadline) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(impl_->registry, ignored)) {
      const fs::path& socket = entry.path();
      if (socket.filename().string().starts_with(".") || !fs::is_socket(entry.symlink_status(ignored))) continue;
      if (impl_->seen.contains(socket)) continue;
      auto channel = Impl::channel_to(socket);
      auto stub = pluginregistration::Registration::NewStub(channel);
      pluginregistration::PluginInfo info;
      Context asking;
      asking.set_wait_for_ready(true);
      if (auto status = stub->GetInfo(&asking, {}, &info); !status.ok()) return to_error(status);
      impl_->seen.insert(socket);
      pluginregistration::RegistrationStatus registered;
      registered.set_plugin_registered(refusal.empty());
      registered.set_error(refusal);
      pluginregistration::RegistrationStatusResponse response;
      Context telling;
      if (auto status = stub->NotifyRegistrationStatus(&telling, registered, &response); !status.ok())
        return to_error(status);
      impl_->channel = info.endpoint().empty() ? channel : Impl::channel_to(info.endpoint());
      return Driver{info.type(),
                    info.name(),
                    socket,
                    info.endpoint(),
                    {info.supported_versions().begin(), info.supported_versions().end()}};
    }
    std::this_thread::sleep_for(kLookForDrivers);
  }
  return Error(ErrorKind::kTimedOut, "no driver has left a socket in " + impl_->registry.string());
}

Result<std::map<std::string, DraKubelet::Prepared>> DraKubelet::prepare(const std::vector<Claim>& claims) {
  Context context;
  api::NodePrepareResourcesResponse response;
  auto status = api::DRAPlugin::NewStub(impl_->channel)
                    ->NodePrepareResources(&context, request_of<api::NodePrepareResourcesRequest>(claims), &response);
  if (!status.ok()) return to_error(status);
  std::map<std::string, Prepared> all;
  for (const auto& [uid, answer] : response.claims()) {
    Prepared& prepared = all[uid];
    prepared.error = answer.error();
    for (const auto& device : answer.devices())
      prepared.devices.push_back({{device.request_names().begin(), device.request_names().end()},
                                  {device.cdi_device_ids().begin(), device.cdi_device_ids().end()},
                                  device.pool_name(),
                                  device.device_name(),
                                  device.share_id()});
  }
  return all;
}

Result<std::map<std::string, std::string>> DraKubelet::unprepare(const std::vector<Claim>& claims) {
  Context context;
  api::NodeUnprepareResourcesResponse response;
  auto status =
      api::DRAPlugin::NewStub(impl_->channel)
          ->NodeUnprepareResources(&context, request_of<api::NodeUnprepareResourcesRequest>(claims), &response);
  if (!status.ok()) return to_error(status);
  std::map<std::string, std::string> all;
  for (const auto& [uid, answer] : response.claims()) all[uid] = answer.error();
  return all;
}

Result<std::vector<DraKubelet::Health>> DraKubelet::health(
    const std::string& service, const std::function<bool(const std::vector<Health>&)>& enough, milliseconds timeout) {
  if (service == "v1") return impl_->listen(*v1::DRAResourceHealth::NewStub(impl_->channel), enough, timeout);
  return impl_->listen(*v1alpha1::DRAResourceHealth::NewStub(impl_->channel), enough, timeout);
}

}  // namespace enclayer::fake
