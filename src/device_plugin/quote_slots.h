// SPDX-License-Identifier: Apache-2.0
// The quote helper's slots (slots/slots.h) as the plugin keeps them: device i of enclayer.io/quote is the folder p<i>,
// and holders.json beside the folders says who has it.
//
// The kubelet does not tell in Allocate whose the devices will be, so a slot that is given has a new generation and no
// name at first, and the kubelet is asked afterwards (pod-resources API), in a thread of its own: after 20 ms, then
// with growing pauses up to a minute, for as long as the holder of a slot is not known.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "enclayer/error.h"
#include "kubelet/checkpoint.h"
#include "kubelet/pod_resources_wire.h"
#include "slots/slots.h"

namespace enclayer::device_plugin {

class QuoteSlots {
 public:
  // The slot `health` is one beside these.
  static constexpr std::size_t kMost = slots::kMostSlots - 1;

  using PodDevices = Result<std::vector<kubelet::ContainerDevices>>;  // quotes listed, EPC counted
  struct Sources {
    std::function<PodDevices()> who;
    std::function<std::uint64_t()> now;  // seconds since 1970
    std::function<kubelet::PodUids()>
        uids{};  // of quotes; asked when a slot has no name yet. Not given: none are known
  };

  // `count` is 1 to kMost. Nothing is read or made before start().
  QuoteSlots(std::filesystem::path folder, std::size_t count, Sources sources);
  ~QuoteSlots();

  // Reads holders.json, whose generations go on; one that is missing or no such file is said in the log and begun anew.
  // Makes all slots. What make_missing() says otherwise.
  Result<> start();

  // Begins to ask, whose the slots of containers are that run already, and from then on after each give().
  void keep_names();

  // Slots and holders.json, where they are missing. Free otherwise. An error names the folder and the remedy. Any
  // thread.
  Result<> make_missing();

  // A container will get these devices; its folder is the one of the lowest. Before it returns, the slot of each has a
  // new generation and nobody's name, also in the file: where that cannot be written the log says so, and the container
  // may start all the same. Any thread.
  Result<std::filesystem::path> give(std::span<const std::size_t> devices);

  // Asks the kubelet now, and writes down what it says of the slots. A reply is about the generations that there were
  // when it was asked for, never about later ones. Slots that nobody has any more are free. Any thread, one at a time.
  PodDevices ask();

  // How long until it should be asked again; nullopt: not before the next give().
  std::optional<std::chrono::milliseconds> pause() const;

  const std::filesystem::path& folder() const { return folder_; }

 private:
  Result<> make(const std::string& slot) const;
  void run();

  // Under the mutex.
  void take_in(const std::vector<kubelet::ContainerDevices>& containers, const kubelet::PodUids& uids,
               const slots::Holders& before, bool last);
  void write();

  const std::filesystem::path folder_;
  const std::size_t count_;
  const Sources sources_;

  std::mutex asking_;  // replies are taken in in the order in which they were asked for
  mutable std::mutex mutex_;
  slots::Holders holders_;
  std::set<std::string> unknown_;             // slots whose holder is asked for
  std::optional<std::size_t> tries_ = 0;      // to ask, since the last give(); nullopt: there is nothing to ask
  std::uint64_t gives_ = 0;                   // calls of give()
  bool heard_ = false;                        // the kubelet has answered once
  bool written_ = false;                      // holders.json says what is in holders_
  bool said_unwritten_ = false;               // in the log
  std::optional<ErrorKind> said_unanswered_;  // in the log, and how
  bool stopping_ = false;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace enclayer::device_plugin
