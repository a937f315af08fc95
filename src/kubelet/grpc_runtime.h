// gRPC as this program wants it.
#pragma once

namespace enclayer::kubelet {

// To be called before anything of gRPC is made; more calls change nothing.
// * gRPC stays up for the life of the process. Left to itself it shuts down whenever its last object goes, and then
// waits
//   for a poller of its own that may sleep for 10 s: between two rounds of a registration there is no object.
// * What it has to say goes where our log goes, one well-formed line each.
void start_grpc();

}  // namespace enclayer::kubelet
