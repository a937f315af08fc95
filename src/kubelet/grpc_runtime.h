// SPDX-License-Identifier: Apache-2.0
// gRPC as this program wants it: up for good, and logging where we log.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>

namespace grpc {
class Channel;
}

namespace enclayer::kubelet {

// To be called before anything of gRPC is made; more calls change nothing.
// gRPC stays up for the life of the process. Left to itself it shuts down whenever its last object goes, and then waits
// for a poller of its own that may sleep for 10 s: between two rounds of a registration there is no object.
void start_grpc();

// To a server of the kubelet's on a unix socket, for calls whose reply has at most `max_reply` bytes. Each channel has
// a connection of its own, and no back-off left over from an earlier one: the kubelet may be another one by now.
std::shared_ptr<grpc::Channel> channel_to(const std::filesystem::path& socket, std::size_t max_reply);

}  // namespace enclayer::kubelet
