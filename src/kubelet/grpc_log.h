// What gRPC itself has to say goes where our log goes, one well-formed line each.
#pragma once

namespace enclayer::kubelet {

// From the first call on; more calls change nothing.
void route_grpc_log();

}  // namespace enclayer::kubelet
