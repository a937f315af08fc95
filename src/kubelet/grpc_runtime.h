// gRPC as this program wants it: up for good, logging where we log, and asleep while nobody calls.
//
// Left to itself gRPC wakes a hundred times a minute in a process that does nothing: a pool of threads and a timer
// thread of its "event engine", and the threads of its older timers, which are looked at every second by the backup
// poller. So start_grpc() gives it an event engine of ours, and switches the timer threads off. What that leaves:
// * Client calls need their deadlines: hold a GrpcTimers while one runs, or its deadline never passes.
// * Servers need theirs, against clients that connect and say nothing: tick_grpc_timers() now and then is enough.
// Both use functions that gRPC exports for its own libraries. Where they are missing (another build of gRPC), the timer
// threads run all the time: more switches, nothing else.
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

// While one of these lives, gRPC's timers are on time: the deadlines of client calls, the pauses between tries to
// connect. They may overlap, in any threads but gRPC's own (a callback, a timer): the last one to go waits for the
// timer threads to end.
class GrpcTimers {
 public:
  GrpcTimers();
  ~GrpcTimers();
  GrpcTimers(const GrpcTimers&) = delete;
  GrpcTimers& operator=(const GrpcTimers&) = delete;
};

// To a server of the kubelet's on a unix socket, for calls whose reply has at most `max_reply` bytes. Each channel has
// a connection of its own, and no back-off left over from an earlier one: the kubelet may be another one by now.
std::shared_ptr<grpc::Channel> channel_to(const std::filesystem::path& socket, std::size_t max_reply);

// Handles in this thread what is overdue in gRPC.
void tick_grpc_timers();

}  // namespace enclayer::kubelet
