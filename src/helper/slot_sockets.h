// SPDX-License-Identifier: Apache-2.0
// A socket in each slot folder (slots/slots.h), as long as ours is the instance that serves: folders that appear get
// one, of those that disappear everything is closed, and where another container holds a slot than before, what was
// open on it is closed and counted anew.
//
// A succeeded instance is not to be found at the slot `health` any more. The other sockets are left to its successor:
// a helper of before there were slots does not, and then containers that have one are served on.
//
// Folders are never made or removed here, and nobody but helpers can put anything into them; so there is nobody to
// fight, and a socket of ours that is gone is simply put there again.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/folder_watch.h"
#include "base/log_budget.h"
#include "helper/client_identities.h"
#include "helper/quote_audit.h"
#include "net/frame_server.h"
#include "troubles/troubles.h"

namespace enclayer::helper {

class SlotSockets {
 public:
  using Moment = std::chrono::steady_clock::time_point;

  // How often everything is looked at even where nothing rang.
  static constexpr std::chrono::seconds kLookAgain{10};

  // All of them outlive it. `still_ours` is asked before a socket is replaced that took the place of one of ours: it
  // may be a successor's, of whom we have not heard yet.
  SlotSockets(std::filesystem::path parent, ClientIdentities& identities, QuoteAudit& audit, net::FrameServer& server,
              std::function<bool()> still_ours)
      : parent_(std::move(parent)),
        identities_(identities),
        audit_(audit),
        server_(server),
        still_ours_(std::move(still_ours)) {}

  // Call it every second, and when alarm() is readable. `serves`: whether the sockets are to be ours.
  void look(bool serves, Moment now);

  // Readable when something has happened to the folders; -1 without inotify.
  int alarm() const { return watch_.fd(); }

  // Empty when every slot has our socket, as it was when it was looked at last; otherwise what is wrong. Any thread.
  std::string not_ready() const;
  std::size_t served() const { return served_; }

  // Who has slots, in the thread that looks.
  std::vector<troubles::Pod> pods() const;

 private:
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const Identity&) const = default;
  };
  static Identity identity_of(const struct stat& status) { return {status.st_dev, status.st_ino}; }
  struct Slot {
    Identity folder, socket;  // none of ours yet: {}
    std::uint32_t group = 0;
    std::uint64_t generation = 0;
  };
  using Slots = std::map<std::string, Slot, std::less<>>;

  void read_holders(const char* file, Moment now);
  void forget(Slots::iterator slot);
  void look_at_folders(int parent, bool serves, Moment now);
  Result<> put_socket(int parent, const std::string& name, Slot& slot);
  void show(const std::string& name, const Slot& slot);

  const std::filesystem::path parent_;
  ClientIdentities& identities_;
  QuoteAudit& audit_;
  net::FrameServer& server_;
  const std::function<bool()> still_ours_;
  base::FolderWatch watch_;
  base::LogBudget budget_;

  Slots slots_;
  slots::Holders holders_;
  std::uint32_t last_group_ = kLegacy;
  std::optional<Moment> looked_;
  std::optional<bool> served_before_;
  bool too_many_ = false;
  std::atomic<std::size_t> served_ = 0, failed_ = 0;
};

}  // namespace enclayer::helper
