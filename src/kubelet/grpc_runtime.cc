#include "kubelet/grpc_runtime.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>

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
    grpc_init();  // and no grpc_shutdown
  });
}

}  // namespace enclayer::kubelet
