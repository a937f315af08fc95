// SPDX-License-Identifier: Apache-2.0
#include "fake/pod_resources.h"

#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>

#include <mutex>

#include "base/file.h"
#include "kubelet/device_ids.h"
#include "proto/podresources.grpc.pb.h"

namespace enclayer::fake {
namespace fs = std::filesystem;

struct PodResources::Impl : v1::PodResourcesLister::WithRawCallbackMethod_List<v1::PodResourcesLister::Service> {
  explicit Impl(fs::path kubelet_dir) : folder(std::move(kubelet_dir) / "pod-resources") {
    static const int kStarted = (grpc_init(), 0);  // gRPC stays up, see fake/kubelet.cc
    static_cast<void>(kStarted);
  }

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const grpc::ByteBuffer*,
                                 grpc::ByteBuffer* answer) override {
    auto* reactor = context->DefaultReactor();
    std::lock_guard lock(mutex);
    ++calls;
    if (hanging) {
      waiting.push_back(reactor);
    } else {
      grpc::Slice slice(reply);
      *answer = grpc::ByteBuffer(&slice, 1);
      reactor->Finish(grpc::Status::OK);
    }
    return reactor;
  }

  void let_go() {
    std::lock_guard lock(mutex);
    for (auto* reactor : waiting) reactor->Finish({grpc::StatusCode::ABORTED, "let go"});
    waiting.clear();
  }

  const fs::path folder;
  std::mutex mutex;
  std::string reply;
  int calls = 0;
  bool hanging = false;
  std::vector<grpc::ServerUnaryReactor*> waiting;
  std::unique_ptr<grpc::Server> server;
};

PodResources::PodResources(fs::path kubelet_dir) : impl_(std::make_unique<Impl>(std::move(kubelet_dir))) {}
PodResources::~PodResources() { stop(); }

Result<> PodResources::start() {
  stop();
  ENCLAYER_CHECK(base::make_folder(impl_->folder, 0750));
  const fs::path socket = impl_->folder / "kubelet.sock";
  std::error_code ignored;
  fs::remove(socket, ignored);
  grpc::ServerBuilder builder;
  builder.RegisterService(impl_.get());
  int port = 0;
  builder.AddListeningPort("unix:" + socket.string(), grpc::InsecureServerCredentials(), &port);
  impl_->server = builder.BuildAndStart();
  if (!impl_->server || port == 0) return Error(ErrorKind::kIo, "cannot listen on " + socket.string());
  return {};
}

void PodResources::stop() {
  if (!impl_->server) return;
  hang(false);
  impl_->server->Shutdown(gpr_time_from_millis(100, GPR_TIMESPAN));
  impl_->server->Wait();
  impl_->server.reset();
}

void PodResources::set(const std::vector<Container>& containers) {
  v1::ListPodResourcesResponse reply;
  v1::PodResources* pod = nullptr;
  v1::ContainerResources* container = nullptr;
  for (const Container& given : containers) {
    if (pod == nullptr || pod->name() != given.pod || pod->namespace_() != given.pod_namespace) {
      pod = reply.add_pod_resources();
      pod->set_name(given.pod);
      pod->set_namespace_(given.pod_namespace);
      container = nullptr;
    }
    if (container == nullptr || container->name() != given.container) {
      container = pod->add_containers();
      container->set_name(given.container);
      container->add_cpu_ids(3);  // packed: bytes in a field that is not looked at
    }
    for (std::size_t i = 0; i < given.devices; ++i) {
      auto* entry = container->add_devices();
      entry->set_resource_name(given.resource);
      entry->add_device_ids(std::string(kubelet::DeviceId(given.first + i).text()));
      if (given.numa_node >= 0) entry->mutable_topology()->add_nodes()->set_id(given.numa_node);
    }
  }
  set_raw(reply.SerializeAsString());
}

void PodResources::set_raw(std::string reply) {
  std::lock_guard lock(impl_->mutex);
  impl_->reply = std::move(reply);
}

void PodResources::hang(bool yes) {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->hanging = yes;
  }
  if (!yes) impl_->let_go();
}

int PodResources::calls() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->calls;
}

}  // namespace enclayer::fake
