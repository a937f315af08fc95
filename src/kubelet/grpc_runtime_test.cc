#include "kubelet/grpc_runtime.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "fake/temp_folder.h"
#include "proto/deviceplugin.grpc.pb.h"

namespace enclayer::kubelet {
namespace {

namespace api = v1beta1;

// A call to a socket that is not there, which waits for it: only its deadline ends it.
grpc::StatusCode call_that_waits(std::int64_t deadline_ms) {
  fake::TempFolder folder;
  auto stub = api::Registration::NewStub(
      grpc::CreateChannel("unix:" + (folder.path() / "none.sock").string(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(gpr_time_from_millis(deadline_ms, GPR_TIMESPAN));
  api::Empty answer;
  return stub->Register(&context, {}, &answer).error_code();
}

TEST(GrpcTimers, deadline_of_a_call_passes) {
  GrpcTimers timers;
  EXPECT_EQ(call_that_waits(50), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST(GrpcTimers, may_overlap_in_many_threads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 20; ++i) {
        GrpcTimers timers;
        EXPECT_EQ(call_that_waits(i), grpc::StatusCode::DEADLINE_EXCEEDED);
      }
    });
  for (auto& thread : threads) thread.join();
}

TEST(GrpcTimers, without_them_a_tick_handles_what_is_overdue) {
  start_grpc();
  std::atomic<bool> over = false;
  std::thread caller([&] {
    EXPECT_EQ(call_that_waits(1), grpc::StatusCode::DEADLINE_EXCEEDED);
    over = true;
  });
  while (!over) tick_grpc_timers();
  caller.join();
}

}  // namespace
}  // namespace enclayer::kubelet
