// SPDX-License-Identifier: Apache-2.0
#include "kubelet/grpc_runtime.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>

#include <mutex>

#include "base/log.h"

namespace enclayer::kubelet {

void start_grpc() {
  static std::once_flag once;
  std::call_once(once, [] {
    gpr_set_log_function([](gpr_log_func_args* line) {
      // What it calls an error is, for us, mostly a kubelet that is not there.
      if (line->severity == GPR_LOG_SEVERITY_ERROR)
        base::log::warn("gRPC reports", {{"text", line->message}});
      else
        base::log::debug("gRPC reports", {{"text", line->message}});
    });
    google::protobuf::SetLogHandler([](google::protobuf::LogLevel, const char*, int, const std::string& text) {
      base::log::debug("protobuf reports", {{"text", text}});  // always about bytes from outside, which we refuse
    });
    grpc_init();  // and no grpc_shutdown
  });
}

std::shared_ptr<grpc::Channel> channel_to(const std::filesystem::path& socket, std::size_t max_reply) {
  start_grpc();
  grpc::ChannelArguments arguments;
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");  // grpc-go refuses a path here
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(static_cast<int>(max_reply));
  return grpc::CreateCustomChannel("unix:" + socket.string(), grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace enclayer::kubelet
