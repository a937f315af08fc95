// SPDX-License-Identifier: Apache-2.0
// What a support case needs to know of a cluster, and nothing else. Secrets, tokens, quotes and report data are left out
// by construction: no Secret is read for it and no ConfigMap but the settings, no environment and no object as a whole is
// written, and each file is one of these:
//
//   cluster.json   nodes, pods that are ours or name SGX, and our workloads, by the fields of cluster.h
//   events.txt     of the add-on's namespace and of nodes: time, type, reason, object, message
//   metrics/*.txt  the page of metrics of those pods (docs/metrics.md)
//   logs/*.log     the end of what containers of our pods have written, which by the project's rule has no secret in it
//   others         what the caller makes of such values: what `show` and `doctor` say
//
// It is bounded in bytes and in time: of many pods those that are not ready go first, then one for each program and
// image. What was left out, or could not be read, is said in contents.txt, the first file.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "addon/api_server.h"
#include "addon/archive.h"
#include "addon/cluster.h"
#include "manifests/settings.h"

namespace enclayer::addon {

struct DumpLimits {
  std::size_t bytes = std::size_t{32} << 20;  // of all files, before they are compressed
  std::chrono::seconds time{60};              // for logs and metrics, each; what is not there by then is left out
};

class Sysdump {
 public:
  explicit Sysdump(DumpLimits limits) : limits_(limits) {}

  // `about`: what is in it, in a line. Left out, and said so, where there is no room.
  void add(std::string name, std::string about, std::string bytes);
  void leave_out(std::string what) { left_out_.push_back(std::move(what)); }

  void add_cluster(const Cluster& cluster);
  // What only the API server and kubelets know. What cannot be read is left out.
  void add_events(const ApiServer& api, const std::string& name_space);
  void add_logs(const ApiServer& api, const Cluster& cluster);
  // By kubectl exec, as `enclayer top` asks.
  void add_metrics(const ApiServer& api, const Cluster& cluster, const manifests::Settings& settings);

  // A table of what is in it, and what is not.
  std::string contents() const;
  // With contents.txt first.
  Result<std::string> packed(const std::string& folder, Time time) const;

 private:
  // Does all of it, eight at a time, and adds what came of it, in the order of `asked`, until the time is over.
  struct Asked {
    std::string name, about;
    std::function<Result<std::string>()> ask;
    bool may_be_missing = false;  // a 4xx says that there is none
  };
  void ask(const std::vector<Asked>& asked);

  struct File {
    ArchiveFile file;
    std::string about;
  };

  DumpLimits limits_;
  std::vector<File> files_;
  std::vector<std::string> left_out_;
  std::size_t size_ = 0;
};

// Whose logs are read: our pods that are not ready, at most kMostUnwell, then a ready one for each program and image, at
// most kMostWell.
inline constexpr std::size_t kMostUnwell = 24, kMostWell = 16;
std::vector<const Pod*> pods_to_ask(const Cluster& cluster);

// A line for each event of an EventList (core/v1), the newest last.
std::string events_text(std::string_view list);

}  // namespace enclayer::addon
