// SPDX-License-Identifier: Apache-2.0
// What the metrics page says of the node's EPC beside what is offered: who holds it, who maps it, what the kernel lost
// of it, and whether the kernel could limit it.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "device_plugin/node.h"
#include "enclayer/error.h"
#include "kubelet/epc_accounts.h"
#include "sgx/kernel_log.h"

namespace enclayer::device_plugin {

class Accounting {
 public:
  struct Sources {
    std::function<Result<std::vector<kubelet::ContainerDevices>>()> devices;  // as of kubelet::EpcAccounts
    std::filesystem::path sysfs_root, kernel_log;
    std::optional<std::filesystem::path> proc_root;  // --account-mapped
  };

  // kPermissionDenied when mapped memory is to be accounted and cannot be seen; the message says what to give. A kernel
  // log that cannot be read is said in the log, once. `metrics` outlives it.
  static Result<std::unique_ptr<Accounting>> start(const Node& node, const Sources& sources, base::Metrics& metrics);

  // Before each metrics page, in any thread.
  void refresh();

  // Now and then, in one thread: new lines of the kernel's log.
  void read_kernel_log();

  // What the kernel has said of EPC that is lost until the next boot, in the same thread; empty: nothing.
  std::string damage() const;

 private:
  Accounting(kubelet::EpcAccounts::Sources sources, base::Metrics& metrics);

  base::Metrics& metrics_;
  kubelet::EpcAccounts accounts_;
  std::optional<sgx::KernelLog> kernel_log_;
  sgx::KernelLog::News all_;  // that there was
};

}  // namespace enclayer::device_plugin
