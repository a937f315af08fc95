// SPDX-License-Identifier: Apache-2.0
// What is wrong on a node now, as daemons without a network say it to the one that has: the device plugin and the quote
// helper keep a file each, and enclayer-detect makes Events of them (detect/events.h).
//
//   /var/run/enclayer/troubles/            read by enclayer-detect
//       device-plugin/troubles.json        a folder for each writer: none can touch what another one says
//       quote-helper/troubles.json         (its group's, 0775: it gives user 0 up)
//
// A trouble is one kind of thing that is wrong, however many things are. Its writer counts, so a reader needs no memory:
// what it says again is the same. It is written down once it has lasted for kSettles, for what a restart mends is no
// news; it counts once more every kRepeats that it lasts, and whenever it comes back; when it is over it stays for
// kRepeats, and what comes back by then is the same one. So a file changes a few times an hour while things are lost, and
// every kSettles at most where they come and go.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "enclayer/error.h"
#include "enclayer/time.h"

namespace enclayer::troubles {

// By these names they are in files and in Events, and so is their end. docs/events.md has a line for each.
struct Kind {
  std::string_view reason, over;  // over is empty: it lasts until the node is booted again

  bool operator==(const Kind& other) const { return reason == other.reason; }
};
inline constexpr Kind kEpcLost{"EpcLost", "EpcBack"};                             // device plugin
inline constexpr Kind kEpcDamaged{"EpcDamaged", ""};                              // device plugin: the kernel says so
inline constexpr Kind kProvisioningLost{"ProvisioningLost", "ProvisioningBack"};  // device plugin
inline constexpr Kind kQuotesLost{"QuotesLost", "QuotesBack"};                    // device plugin: nobody answers
inline constexpr Kind kNotRegistered{"NotRegistered", "Registered"};              // device plugin, with the kubelet
inline constexpr Kind kCannotQuote{"CannotQuote", "CanQuote"};                    // quote helper
inline constexpr Kind kSocketTaken{"AesmSocketTaken", "AesmSocketBack"};          // quote helper
inline constexpr Kind kSlotsNotServed{"SlotsNotServed", "SlotsServed"};           // quote helper
inline constexpr std::array kKinds = {kEpcLost,       kEpcDamaged,  kProvisioningLost, kQuotesLost,
                                      kNotRegistered, kCannotQuote, kSocketTaken,      kSlotsNotServed};

// Whose folders there are.
inline constexpr std::string_view kDevicePlugin = "device-plugin", kQuoteHelper = "quote-helper";
inline constexpr std::array kWriters = {kDevicePlugin, kQuoteHelper};
inline constexpr auto kFile = "troubles.json";

inline constexpr std::chrono::seconds kSettles{10}, kRepeats{600};
// While something is wrong the file is written anew every kConfirms. One that is older than kStale says nothing: whoever
// wrote it is gone.
inline constexpr std::chrono::seconds kConfirms{60}, kStale{300};

// Of a file that is read: bytes of it and of a sentence, and pods that are named with a trouble.
inline constexpr std::size_t kMostFile = 64 << 10, kMostSays = 700, kMostPods = 16;

// A pod that is concerned, as in Kubernetes. Without its UID `kubectl describe pod` finds no Event: it is only named in the
// node's.
struct Pod {
  std::string space, name, uid;  // the last one empty: not known

  bool operator==(const Pod&) const = default;
};

struct Trouble {
  Kind kind;
  std::string says;  // a sentence without its full stop, of printable ASCII, 1 to kMostSays bytes
  Time first, last;  // when it began; when it was counted last, or was over
  std::uint32_t count = 1;
  bool over = false;
  std::vector<Pod> pods{};  // kMostPods at most

  bool operator==(const Trouble&) const = default;
};

// {"troubles": [{"reason": "EpcLost", "says": "...", "first": "2026-01-31T12:00:00Z", "last": "2026-01-31T12:10:00Z",
//   "count": 2, "over": false, "pods": [{"namespace": "bank", "name": "ledger-0", "uid": "..."}]}]}
// What is longer than it may be is cut off, what is not printable becomes '?'.
std::string to_json(const std::vector<Trouble>& troubles);

// kMalformed for everything else: another reason, a reason twice, a byte that is not printable, a name that Kubernetes
// does not know, an end before the beginning.
Result<std::vector<Trouble>> parse_troubles(std::string_view json);

// What a writer's file holds, unread; empty where it says nothing: it is not there, or is older than kStale. kMalformed
// for what is no plain file (links are not followed) or longer than kMostFile.
Result<std::string> text_of(const std::filesystem::path& folder, Time now);

// Keeps a writer's file. Not for several threads.
class Board {
 public:
  // Goes on with what the file says, unless that is older than kStale: a writer that is started again is the same one.
  Board(std::filesystem::path folder, Time now);

  // What is wrong of this kind, or with an empty sentence: nothing. Each kind again at every look; `now` is its time.
  // `pods` is asked when the trouble counts, for it may take a while; a name that Kubernetes does not know is left out.
  using Pods = std::function<std::vector<Pod>()>;
  void say(const Kind& kind, std::string_view wrong, Time now, const Pods& pods = {});

  // Brings the file up to date. Cheap when there is nothing to do; what cannot be written is logged once.
  void keep(Time now);

 private:
  struct Entry {
    std::optional<Trouble> told;
    std::optional<Time> changes;  // since when it is otherwise than was told
    bool of_before = false;       // read from the file, and not seen by this writer yet
  };
  std::filesystem::path file() const { return folder_ / kFile; }
  std::vector<Trouble> current() const;

  const std::filesystem::path folder_;
  std::map<std::string_view, Entry> entries_;  // by reason
  std::string written_;                        // what is in the file, as far as we wrote it
  Time wrote_{};
  bool said_unwritten_ = false;
};

}  // namespace enclayer::troubles
