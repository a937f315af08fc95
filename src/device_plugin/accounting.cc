// SPDX-License-Identifier: Apache-2.0
#include "device_plugin/accounting.h"

#include "base/log.h"
#include "base/metric_names.h"
#include "sgx/mapped_epc.h"
#include "sgx/misc_controller.h"

namespace enclayer::device_plugin {

namespace log = base::log;
namespace metric = base::metric;

Accounting::Accounting(kubelet::EpcAccounts::Sources sources, base::Metrics& metrics)
    : metrics_(metrics), accounts_(std::move(sources), metrics) {}

Result<std::unique_ptr<Accounting>> Accounting::start(const Node& node, const Sources& sources,
                                                      base::Metrics& metrics) {
  kubelet::EpcAccounts::Sources who;
  who.devices = sources.devices;
  if (sources.proc_root) {
    const base::Root proc(*sources.proc_root);
    if (auto why = sgx::why_not_accountable(proc))
      return Error(ErrorKind::kPermissionDenied, "--account-mapped cannot see the node's processes: " + *why);
    who.mapped = [proc]() -> Result<kubelet::EpcAccounts::Mapped> {
      sgx::MappedEpc seen = sgx::mapped_epc(proc);
      return kubelet::EpcAccounts::Mapped{std::move(seen.pods), seen.host, seen.unread, std::move(seen.open_by_pod),
                                          seen.open_by_host};
    };
  }
  std::unique_ptr<Accounting> accounting(new Accounting(std::move(who), metrics));

  auto limit = sgx::misc_epc_capacity(base::Root(sources.sysfs_root));
  metrics.gauge(metric::kMiscCgroupSgxEpc).set(limit ? 1 : 0);
  metrics.gauge(metric::kMiscCgroupSgxEpcBytes).set(static_cast<double>(limit.value_or(0)));
  if (limit)
    log::info("this kernel can limit EPC by cgroup; nothing here writes such limits", {{"capacity_bytes", *limit}});

  for (const auto& name : {metric::kEpcLeaks, metric::kEpcPoisonedPages, metric::kKernelLogLost}) metrics.counter(name);
  if (auto kernel_log = sgx::KernelLog::open(sources.kernel_log, node.sections))
    accounting->kernel_log_ = std::move(*kernel_log);
  else
    log::info("EPC leaks and memory errors are not counted, the kernel's log cannot be read",
              {{"reason", kernel_log.error().message()}});
  return accounting;
}

void Accounting::refresh() { accounts_.refresh(kubelet::EpcAccounts::Clock::now()); }

void Accounting::read_kernel_log() {
  if (!kernel_log_) return;
  const sgx::KernelLog::News news = kernel_log_->read_new();
  if (news == sgx::KernelLog::News{}) return;
  metrics_.counter(metric::kEpcLeaks).add(static_cast<double>(news.leaks));
  metrics_.counter(metric::kEpcPoisonedPages).add(static_cast<double>(news.poisoned_pages));
  metrics_.counter(metric::kKernelLogLost).add(static_cast<double>(news.lost));
  all_.leaks += news.leaks;
  all_.poisoned_pages += news.poisoned_pages;
  if (news.leaks + news.poisoned_pages > 0)
    log::error("the kernel has lost EPC until the next boot",
               {{"leaks", news.leaks}, {"poisoned_pages", news.poisoned_pages}});
}

std::string Accounting::damage() const {
  if (all_.leaks + all_.poisoned_pages == 0) return {};
  return "the kernel has lost EPC until the next boot: reports of leaked pages " + std::to_string(all_.leaks) +
         ", pages with memory errors " + std::to_string(all_.poisoned_pages);
}

}  // namespace enclayer::device_plugin
