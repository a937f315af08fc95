// SPDX-License-Identifier: Apache-2.0
#include "kubelet/pod_resources.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <malloc.h>

#include "base/bytes.h"
#include "kubelet/device_ids.h"
#include "kubelet/grpc_runtime.h"

namespace enclayer::kubelet {
namespace {

constexpr std::size_t kRestOfNode = std::size_t{2} << 20;
constexpr std::size_t kWorthTrimming = std::size_t{1} << 20;

// What an entry has beside the resource's name: tags and lengths of the entry (3), of the name (3), of the ID (2), the
// ID (3), a NUMA node below 128 (6).
constexpr std::size_t kEntryBesideName = 17;

Error failed(const grpc::Status& status, const std::filesystem::path& socket) {
  ErrorKind kind = ErrorKind::kUnavailable;
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) kind = ErrorKind::kTimedOut;
  if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) kind = ErrorKind::kExhausted;
  std::string message = "the kubelet at " + socket.string() +
                        " did not list the devices of its pods: " + status.error_message() + " (gRPC status " +
                        std::to_string(status.error_code()) + ")";
  if (kind == ErrorKind::kUnavailable) message += "; its folder pod-resources/ has to be mounted there";
  return {kind, std::move(message)};
}

std::string to_bytes(const grpc::ByteBuffer& buffer) {
  std::string out;
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return out;
  out.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices) out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

}  // namespace

std::size_t pod_resources_limit(std::string_view resource) {
  return kRestOfNode + kMaxDeviceIds * (kEntryBesideName + resource.size());
}

Result<std::vector<ContainerDevices>> list_pod_devices(const std::filesystem::path& kubelet_dir,
                                                       std::string_view counted, std::string_view listed,
                                                       std::chrono::milliseconds deadline) {
  const std::filesystem::path socket = kubelet_dir / "pod-resources" / "kubelet.sock";
  grpc::GenericStub stub(channel_to(socket, pod_resources_limit(counted)));

  grpc::ClientContext context;
  context.set_deadline(gpr_time_from_millis(deadline.count(), GPR_TIMESPAN));
  grpc::ByteBuffer reply;
  grpc::Status status;
  {
    grpc::CompletionQueue queue;
    grpc::Slice empty;
    auto call = stub.PrepareUnaryCall(&context, "/v1.PodResourcesLister/List", grpc::ByteBuffer(&empty, 1), &queue);
    call->StartCall();
    call->Finish(&reply, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    queue.Shutdown();
    while (queue.Next(&tag, &ok)) {
    }
  }
  if (!status.ok()) return failed(status, socket);
  const std::size_t size = reply.Length();
  Result<std::vector<ContainerDevices>> containers = [&] {
    std::string bytes = to_bytes(std::exchange(reply, grpc::ByteBuffer()));
    return count_devices(base::as_bytes(bytes), counted, listed);
  }();
  if (size >= kWorthTrimming) ::malloc_trim(0);  // thousands of slices, which the heap would keep
  return containers;
}

}  // namespace enclayer::kubelet
