// SPDX-License-Identifier: Apache-2.0
// The server against clients that a kubelet never is: they do not read, they leave in the middle, they refuse the list.
#include "kubelet/plugin_server.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "fake/raw_client.h"
#include "fake/temp_folder.h"
#include "proto/deviceplugin.grpc.pb.h"
#include "proto/pluginregistration.grpc.pb.h"

namespace enclayer::kubelet {
namespace {

namespace api = v1beta1;
using namespace std::chrono_literals;

constexpr auto kSoon = 100s;  // a deadline, not a pause
constexpr int kDevices = 100;
constexpr int kManyDevices = 8'192;  // 131,072 bytes: twice what HTTP/2 lets a server send before somebody reads

// --- HTTP/2, as far as it takes to begin a call and to leave it there (RFC 9113; HPACK: RFC 7541) ---

const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum FrameType : std::uint8_t { kData = 0, kHeaders = 1, kSettings = 4, kWindowUpdate = 8 };
constexpr std::uint8_t kEndStream = 1, kEndHeaders = 4;

std::string frame(FrameType type, std::uint8_t flags = 0, std::uint8_t stream = 0, const std::string& payload = {}) {
  std::string out(9, '\0');
  out[1] = static_cast<char>(payload.size() >> 8);
  out[2] = static_cast<char>(payload.size());
  out[3] = static_cast<char>(type);
  out[4] = static_cast<char>(flags);
  out[8] = static_cast<char>(stream);
  return out + payload;
}

// HEADERS of stream 1, each field in full.
std::string call_of(const std::string& method) {
  std::string fields;
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{":method", "POST"},
                                                        {":scheme", "http"},
                                                        {":path", "/v1beta1.DevicePlugin/" + method},
                                                        {":authority", "localhost"},
                                                        {"te", "trailers"},
                                                        {"content-type", "application/grpc"}})
    fields += '\0' + (static_cast<char>(name.size()) + name) + (static_cast<char>(value.size()) + value);
  return frame(kHeaders, kEndHeaders, 1, fields);
}

class PluginServerTest : public testing::Test {
 protected:
  PluginServerTest() {
    auto served = PluginServer::serve(plugin_, socket_, metrics_, events());
    EXPECT_TRUE(served) << served.error().message();
    server_ = std::move(*served);
  }

  PluginServer::Events events() {
    return {[this] {
              std::lock_guard lock(mutex_);
              changed_.notify_all();
            },
            [this](const std::string& refusal) {
              std::lock_guard lock(mutex_);
              told_.push_back(refusal);
              changed_.notify_all();
            }};
  }

  std::shared_ptr<grpc::Channel> channel(int receive_limit = -1, std::filesystem::path socket = {}) const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(receive_limit);
    return grpc::CreateCustomChannel("unix:" + (socket.empty() ? socket_ : socket).string(),
                                     grpc::InsecureChannelCredentials(), arguments);
  }

  std::unique_ptr<api::DevicePlugin::Stub> client(int receive_limit = -1, std::filesystem::path socket = {}) const {
    return api::DevicePlugin::NewStub(channel(receive_limit, std::move(socket)));
  }

  bool wait_for(const std::function<bool()>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kSoon, condition);
  }
  bool wait_for_watchers(int count) {
    return wait_for([&] { return server_->watchers() == count; });
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
  Plugin plugin_{"example.com/epc", DeviceList::of(kDevices).value(),
                 [](std::span<const std::size_t>) -> Result<Grant> { return Grant{}; }};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> told_;
  std::unique_ptr<PluginServer> server_;
};

TEST_F(PluginServerTest, list_that_nobody_reads_does_not_hold_up_the_end) {
  server_->update(DeviceList::of(kManyDevices).value());
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
  EXPECT_EQ(list_once(*stub), kDevices);
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
  EXPECT_EQ(list_once(*client()), kDevices);
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

TEST_F(PluginServerTest, every_open_stream_is_sent_the_new_list_and_every_stream_to_come) {
  auto stub = client();
  grpc::ClientContext first, second;
  auto one = stub->ListAndWatch(&first, {}), two = stub->ListAndWatch(&second, {});
  api::ListAndWatchResponse list;
  ASSERT_TRUE(one->Read(&list) && two->Read(&list));
  server_->update(DeviceList::of(3).value());
  for (auto* reader : {one.get(), two.get()}) {
    ASSERT_TRUE(reader->Read(&list));
    EXPECT_EQ(list.devices_size(), 3);
  }
  EXPECT_EQ(list_once(*stub), 3);
  server_->update(plugin_.devices);
  ASSERT_TRUE(one->Read(&list));
  EXPECT_EQ(list.devices_size(), kDevices);
  first.TryCancel();
  second.TryCancel();
}

// What DeviceList::lost() is near the kubelet's limit.
TEST_F(PluginServerTest, empty_list_is_a_list_too) {
  auto stub = client();
  grpc::ClientContext context;
  auto reader = stub->ListAndWatch(&context, {});
  api::ListAndWatchResponse list;
  for (int devices : {kDevices, 0, kDevices}) {
    if (devices == 0) server_->update(DeviceList::of(0).value());
    ASSERT_TRUE(reader->Read(&list));
    EXPECT_EQ(list.devices_size(), devices);
    if (devices == 0) server_->update(plugin_.devices);
  }
  context.TryCancel();
}

// By hand, because what a gRPC client takes before anybody reads is its own affair: this one takes 65,535 bytes, which
// is HTTP/2's default, until it says more.
TEST_F(PluginServerTest, of_several_lists_that_come_while_one_is_sent_only_the_newest_follows) {
  auto many = DeviceList::of(kManyDevices).value();
  server_->update(many);
  fake::RawClient raw(socket_);
  ASSERT_TRUE(raw.connected());
  ASSERT_TRUE(raw.send(base::as_bytes(kPreface + frame(kSettings) + call_of("ListAndWatch") +
                                      frame(kData, kEndStream, 1, std::string(5, '\0')))));
  std::size_t received = 0;
  auto receive_until = [&](std::size_t bytes) {
    while (received < bytes) {
      Bytes head(9);
      if (!raw.receive(head)) return false;
      Bytes payload(head[0] << 16 | head[1] << 8 | head[2]);
      if (!raw.receive(payload)) return false;
      if (head[3] == kData) received += payload.size();
    }
    return true;
  };
  ASSERT_TRUE(receive_until(1));
  for (std::size_t count = 1; count <= 1'000; ++count) server_->update(DeviceList::of(count).value());
  const std::string more("\x10\0\0\0", 4);  // 256 MiB
  ASSERT_TRUE(raw.send(base::as_bytes(frame(kWindowUpdate, 0, 0, more) + frame(kWindowUpdate, 0, 1, more))));
  std::size_t both = 5 + many.bytes()->size() + 5 + DeviceList::encoded_size(1'000);
  ASSERT_TRUE(receive_until(both));
  server_->update(DeviceList::of(0).value());
  ASSERT_TRUE(receive_until(both + 1));
  EXPECT_EQ(received, both + 5) << "nothing came between the newest list and an empty one";
}

TEST_F(PluginServerTest, stream_whose_request_has_not_come_is_sent_nothing_however_often_the_list_changes) {
  fake::RawClient raw(socket_);
  ASSERT_TRUE(raw.connected());
  ASSERT_TRUE(raw.send(base::as_bytes(kPreface + frame(kSettings) + call_of("ListAndWatch"))));
  auto stub = client();
  for (int count = 1; count <= 20; ++count) {
    server_->update(DeviceList::of(static_cast<std::size_t>(count)).value());
    EXPECT_EQ(list_once(*stub), count);
  }
  EXPECT_TRUE(wait_for_watchers(0));
  ASSERT_TRUE(raw.send(base::as_bytes(frame(kData, kEndStream, 1, std::string(5, '\0')))));
  EXPECT_TRUE(wait_for_watchers(1));
}

TEST_F(PluginServerTest, lists_may_be_updated_from_any_thread_while_clients_come_and_go) {
  std::vector<std::thread> threads;
  for (std::size_t t = 1; t <= 2; ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 200; ++i) server_->update(DeviceList::of(t * 100 + i).value());
    });
  auto stub = client();
  for (int i = 0; i < 20; ++i) EXPECT_GE(list_once(*stub), 100);
  for (auto& thread : threads) thread.join();
  server_->update(DeviceList::of(7).value());
  EXPECT_EQ(list_once(*stub), 7);
  EXPECT_TRUE(wait_for_watchers(0));
}

TEST_F(PluginServerTest, allocations_are_judged_by_the_newest_list) {
  auto stub = client();
  api::AllocateRequest request;
  request.add_container_requests()->add_devices_ids("C");
  auto allocate = [&] {
    grpc::ClientContext context;
    api::AllocateResponse response;
    return stub->Allocate(&context, request, &response).error_code();
  };
  EXPECT_EQ(allocate(), grpc::StatusCode::OK);
  server_->update(DeviceList::of(2).value());
  EXPECT_EQ(allocate(), grpc::StatusCode::NOT_FOUND);
  server_->update(plugin_.devices.lost());
  EXPECT_EQ(allocate(), grpc::StatusCode::OK) << "the plugin decides what to do about lost devices";
  auto page = metrics_.text();
  for (const char* line : {"enclayer_allocations_total{resource=\"example.com/epc\",result=\"error\"} 1\n",
                           "enclayer_allocations_total{resource=\"example.com/epc\",result=\"ok\"} 2\n",
                           "enclayer_allocation_seconds_count{resource=\"example.com/epc\"} 3\n"})
    EXPECT_NE(page.find(line), std::string::npos) << line << page;
}

TEST_F(PluginServerTest, plugin_watcher_is_told_who_this_is_and_tells_what_it_decided) {
  auto stub = pluginregistration::Registration::NewStub(channel());
  pluginregistration::PluginInfo info;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub->GetInfo(&context, {}, &info).ok());
  }
  EXPECT_EQ(info.type(), "DevicePlugin");
  EXPECT_EQ(info.name(), "example.com/epc");
  EXPECT_EQ(info.endpoint(), "");
  ASSERT_EQ(info.supported_versions_size(), 1);
  EXPECT_EQ(info.supported_versions(0), "v1beta1");

  auto notify = [&](bool registered, const std::string& error) {
    pluginregistration::RegistrationStatus status;
    status.set_plugin_registered(registered);
    status.set_error(error);
    pluginregistration::RegistrationStatusResponse response;
    grpc::ClientContext context;
    return stub->NotifyRegistrationStatus(&context, status, &response).ok();
  };
  EXPECT_TRUE(notify(true, ""));
  EXPECT_TRUE(notify(false, "no\nway"));
  EXPECT_TRUE(notify(false, std::string(5'000, 'x')));
  EXPECT_TRUE(notify(false, ""));
  std::lock_guard lock(mutex_);
  EXPECT_EQ(told_, (std::vector<std::string>{"", "no?way", std::string(1'024, 'x'), "the kubelet gives no reason"}));
}

TEST_F(PluginServerTest, methods_that_we_do_not_have_are_unimplemented) {
  for (const char* method : {"/v1beta1.DevicePlugin/PreStartContainer", "/x", "/v1beta1.DevicePlugin/allocate"}) {
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    auto call = grpc::GenericStub(channel()).PrepareUnaryCall(&context, method, grpc::ByteBuffer(), &queue);
    grpc::ByteBuffer response;
    grpc::Status status;
    void* tag;
    bool ok;
    call->StartCall();
    call->Finish(&response, &status, &tag);
    ASSERT_TRUE(queue.Next(&tag, &ok));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << method;
  }
}

TEST_F(PluginServerTest, compressed_request_is_refused) {
  auto stub = client();
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  api::AllocateRequest request;
  request.add_container_requests()->add_devices_ids(std::string(100'000, 'A'));
  api::AllocateResponse response;
  EXPECT_EQ(stub->Allocate(&context, request, &response).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(PluginServerTest, calls_beyond_the_limit_are_refused_until_others_end) {
  struct Watch {
    std::unique_ptr<api::DevicePlugin::Stub> stub;
    std::unique_ptr<grpc::ClientContext> context = std::make_unique<grpc::ClientContext>();
    std::unique_ptr<grpc::ClientReader<api::ListAndWatchResponse>> reader;
  };
  server_->update(DeviceList::of(1).value());
  std::vector<Watch> watches(kMaxCalls);
  api::ListAndWatchResponse list;
  for (Watch& watch : watches) {
    watch.stub = client();
    watch.reader = watch.stub->ListAndWatch(watch.context.get(), {});
    ASSERT_TRUE(watch.reader->Read(&list));
  }
  auto stub = client();
  {
    grpc::ClientContext context;
    api::DevicePluginOptions options;
    auto status = stub->GetDevicePluginOptions(&context, {}, &options);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_NE(status.error_message().find("64 calls"), std::string::npos) << status.error_message();
  }
  for (Watch& watch : watches) watch.context->TryCancel();
  EXPECT_TRUE(wait_for_watchers(0));
  EXPECT_EQ(list_once(*stub), 1);
}

// What they send before they fall silent: nothing; half of HTTP/2's preface; all of it; all of it with SETTINGS; a call
// whose request never comes; and one whose request ends after 2 of the 8 bytes announced.
TEST_F(PluginServerTest, silent_clients_neither_hold_up_others_nor_the_end) {
  const std::string half_message("\0\0\0\0\x08\x0a\x06", 7), call = call_of("Allocate");
  std::vector<std::unique_ptr<fake::RawClient>> clients;
  for (const std::string& sent :
       {std::string(), kPreface.substr(0, 10), kPreface, kPreface + frame(kSettings),
        kPreface + frame(kSettings) + call, kPreface + frame(kSettings) + call + frame(kData, 0, 1, half_message)}) {
    clients.push_back(std::make_unique<fake::RawClient>(socket_));
    ASSERT_TRUE(clients.back()->connected());
    if (!sent.empty()) {
      ASSERT_TRUE(clients.back()->send(base::as_bytes(sent)));
    }
  }
  EXPECT_EQ(list_once(*client()), kDevices);
  auto begun = std::chrono::steady_clock::now();
  server_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
}

TEST_F(PluginServerTest, client_that_says_nothing_is_disconnected) {
  fake::RawClient client(socket_);
  ASSERT_TRUE(client.connected());
  while (!client.receive_some().empty()) {  // our SETTINGS
  }
  EXPECT_TRUE(client.closed_by_server()) << "within twice the 10 s that a client has";
}

TEST_F(PluginServerTest, server_may_end_at_any_moment) {
  for (int i = 0; i < 50; ++i) {
    std::vector<std::thread> clients;
    for (int c = 0; c < 3; ++c)
      clients.emplace_back([this, c] {
        auto stub = client();
        grpc::ClientContext list, allocation;
        auto reader = stub->ListAndWatch(&list, {});
        api::ListAndWatchResponse got;
        if (c > 0) reader->Read(&got);
        api::AllocateRequest request;
        request.add_container_requests()->add_devices_ids("A");
        api::AllocateResponse response;
        if (c > 1) stub->Allocate(&allocation, request, &response);
        list.TryCancel();
        reader->Finish();
      });
    if (i % 3 != 0) wait_for([&] { return server_->was_listed(); });
    server_->update(DeviceList::of(9).value());
    server_.reset();
    for (auto& thread : clients) thread.join();
    EXPECT_FALSE(std::filesystem::exists(socket_));
    auto served = PluginServer::serve(plugin_, socket_, metrics_, events());
    ASSERT_TRUE(served) << served.error().message();
    server_ = std::move(*served);
  }
  EXPECT_EQ(list_once(*client()), kDevices);
}

TEST_F(PluginServerTest, folder_that_is_not_there_is_an_error) {
  auto served = PluginServer::serve(plugin_, folder_.path() / "none" / "plugin.sock", metrics_, {});
  ASSERT_FALSE(served);
  EXPECT_NE(served.error().message().find("none/plugin.sock"), std::string::npos) << served.error().message();
}

}  // namespace
}  // namespace enclayer::kubelet
