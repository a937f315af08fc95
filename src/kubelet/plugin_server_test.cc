// The server against clients that a kubelet never is: they do not read, they leave in the middle, they refuse the list.
#include "kubelet/plugin_server.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "fake/temp_folder.h"
#include "proto/deviceplugin.grpc.pb.h"

namespace enclayer::kubelet {
namespace {

namespace api = v1beta1;
using namespace std::chrono_literals;

constexpr auto kSoon = 20s;

class PluginServerTest : public testing::Test {
 protected:
  PluginServerTest() {
    auto served = PluginServer::serve(plugin_, socket_, metrics_, [this] {
      std::lock_guard lock(mutex_);
      changed_.notify_all();
    });
    EXPECT_TRUE(served) << served.error().message();
    server_ = std::move(*served);
  }

  std::unique_ptr<api::DevicePlugin::Stub> client(int receive_limit = -1) const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(receive_limit);
    return api::DevicePlugin::NewStub(
        grpc::CreateCustomChannel("unix:" + socket_.string(), grpc::InsecureChannelCredentials(), arguments));
  }

  bool wait_for_watchers(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kSoon, [&] { return server_->watchers() == count; });
  }

  // Reads the whole list and leaves.
  int list_once(api::DevicePlugin::Stub& stub) {
    grpc::ClientContext context;
    auto reader = stub.ListAndWatch(&context, {});
    api::ListAndWatchResponse list;
    int devices = reader->Read(&list) ? list.devices_size() : -1;
    context.TryCancel();
    reader->Finish();
    return devices;
  }

  fake::TempFolder folder_;
  const std::filesystem::path socket_ = folder_.path() / "plugin.sock";
  base::Metrics metrics_;
  Plugin plugin_{"example.com/epc", DeviceList::of(65'536).value(),
                 [](std::span<const std::size_t>) -> Result<Grant> { return Grant{}; }};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<PluginServer> server_;
};

TEST_F(PluginServerTest, list_that_nobody_reads_does_not_hold_up_the_end) {
  auto stub = client();
  grpc::ClientContext context;
  auto reader = stub->ListAndWatch(&context, {});
  reader->WaitForInitialMetadata();
  auto begun = std::chrono::steady_clock::now();
  server_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
  EXPECT_FALSE(std::filesystem::exists(socket_));
  context.TryCancel();
  reader->Finish();
}

TEST_F(PluginServerTest, clients_that_leave_at_any_moment_are_survived) {
  auto stub = client();
  for (int i = 0; i < 100; ++i) {
    grpc::ClientContext context;
    auto reader = stub->ListAndWatch(&context, {});
    if (i % 2 == 0) reader->WaitForInitialMetadata();
    context.TryCancel();
    reader->Finish();
  }
  EXPECT_EQ(list_once(*stub), 65'536);
  EXPECT_TRUE(wait_for_watchers(0));
}

TEST_F(PluginServerTest, client_that_finds_the_list_too_long_is_survived) {
  auto narrow = client(1'000);
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    auto reader = narrow->ListAndWatch(&context, {});
    api::ListAndWatchResponse list;
    EXPECT_FALSE(reader->Read(&list));
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  EXPECT_EQ(list_once(*client()), 65'536);
  EXPECT_TRUE(wait_for_watchers(0));
}

TEST_F(PluginServerTest, request_beyond_the_limit_is_refused_and_the_next_one_served) {
  auto stub = client();
  api::AllocateRequest request;
  request.add_container_requests()->add_devices_ids(std::string(kMaxRequestBytes, 'A'));
  api::AllocateResponse response;
  grpc::ClientContext first, second, third;
  EXPECT_EQ(stub->Allocate(&first, request, &response).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(stub->Allocate(&second, {}, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT)
      << "a request without a container";
  request.mutable_container_requests(0)->set_devices_ids(0, "A");
  EXPECT_TRUE(stub->Allocate(&third, request, &response).ok());
  EXPECT_EQ(response.container_responses_size(), 1);
}

TEST_F(PluginServerTest, folder_that_is_not_there_is_an_error) {
  auto served = PluginServer::serve(plugin_, folder_.path() / "none" / "plugin.sock", metrics_, [] {});
  ASSERT_FALSE(served);
  EXPECT_NE(served.error().message().find("none/plugin.sock"), std::string::npos) << served.error().message();
}

}  // namespace
}  // namespace enclayer::kubelet
