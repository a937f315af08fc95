// SPDX-License-Identifier: Apache-2.0
// Which client is behind which socket. Groups of connections (net/frame_server.h) have numbers: kLegacy is the socket
// that everybody may have mounted, each other one is a slot as long as it is held by the same container.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "net/frame_connections.h"
#include "slots/slots.h"

namespace enclayer::helper {

inline constexpr std::uint32_t kLegacy = 0;

struct ClientIdentity {
  std::string slot;      // "p3", "legacy"
  slots::Holder holder;  // as far as its name is known
};

// Any thread.
class ClientIdentities {
 public:
  ClientIdentities() { legacy_->slot = "legacy"; }

  // Never null. A group that is gone is called "gone".
  std::shared_ptr<const ClientIdentity> of(std::uint32_t group) const {
    if (group == kLegacy) return legacy_;
    std::lock_guard lock(mutex_);
    auto found = groups_.find(group);
    return found == groups_.end() ? gone_ : found->second;
  }
  void set(std::uint32_t group, ClientIdentity identity) {
    std::lock_guard lock(mutex_);
    groups_[group] = std::make_shared<const ClientIdentity>(std::move(identity));
  }
  void forget(std::uint32_t group) {
    std::lock_guard lock(mutex_);
    groups_.erase(group);
  }

  // For the log: "p3 (bank/ledger-0/app)", "legacy (process 12 of user 0)".
  std::string name(const net::Client& client) const {
    auto identity = of(client.whose.group);
    if (client.whose.group == kLegacy)
      return "legacy (process " + std::to_string(client.peer.pid) + " of user " + std::to_string(client.peer.uid) + ")";
    if (!identity->holder.named()) return identity->slot;
    return identity->slot + " (" + identity->holder.pod_namespace + "/" + identity->holder.pod + "/" +
           identity->holder.container + ")";
  }

 private:
  const std::shared_ptr<ClientIdentity> legacy_ = std::make_shared<ClientIdentity>();
  const std::shared_ptr<const ClientIdentity> gone_ = std::make_shared<ClientIdentity>(ClientIdentity{"gone", {}});
  mutable std::mutex mutex_;
  std::unordered_map<std::uint32_t, std::shared_ptr<const ClientIdentity>> groups_;
};

}  // namespace enclayer::helper
