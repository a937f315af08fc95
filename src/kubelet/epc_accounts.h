// SPDX-License-Identifier: Apache-2.0
// Who uses EPC, for the metrics page: asked for when the page is, but not more often than once in an interval, because
// both the kubelet and /proc have to work for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "enclayer/error.h"
#include "kubelet/pod_resources_wire.h"

namespace enclayer::kubelet {

class EpcAccounts {
 public:
  using Clock = std::chrono::steady_clock;

  struct Mapped {
    std::map<std::string, std::uint64_t> pods;  // pod UID -> bytes
    std::uint64_t host = 0;                     // bytes of no pod
    std::size_t unread = 0;                     // processes that could not be looked at
    // Processes that have EPC open: by pod UID, of no pod.
    std::map<std::string, std::size_t> open_by_pod{};
    std::size_t open_by_host = 0;
  };

  struct Sources {
    std::function<Result<std::vector<ContainerDevices>>()> devices;  // list_pod_devices(); a device is a MiB
    std::function<Result<Mapped>()> mapped;                          // sgx::mapped_epc(); empty: not accounted
  };

  // Series of one gauge. The largest have a series of their own, the rest is summed under pod (or pod_uid) "other".
  static constexpr std::size_t kMostSeries = 512;

  // `metrics` outlives it.
  EpcAccounts(Sources sources, base::Metrics& metrics, Clock::duration interval = std::chrono::seconds(5))
      : sources_(std::move(sources)), metrics_(metrics), interval_(interval) {}

  // Before the page is written. Within the interval the figures stay as they are. A source that fails is counted,
  // logged once until it fails otherwise or works again, and its figures leave the page: old ones would be taken for
  // true. Any thread.
  void refresh(Clock::time_point now);

 private:
  void put(const std::vector<ContainerDevices>& containers);
  void put(const Mapped& mapped);
  void worked(const char* source, std::optional<ErrorKind>& last);
  void failed(const char* source, const Error& error, std::optional<ErrorKind>& last);

  const Sources sources_;
  base::Metrics& metrics_;
  const Clock::duration interval_;
  std::mutex mutex_;
  std::optional<Clock::time_point> refreshed_;
  std::optional<ErrorKind> devices_failed_, mapped_failed_;  // how, when the last try failed
};

}  // namespace enclayer::kubelet
