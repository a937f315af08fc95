// SPDX-License-Identifier: Apache-2.0
// A frame handler made of a function, for tests: it answers everything at once.
#pragma once

#include <functional>
#include <utility>

#include "net/frame_connections.h"

namespace enclayer::fake {

class FrameAnswers : public net::FrameHandler {
 public:
  // The reply; nullopt: there is none.
  using Function = std::function<std::optional<Bytes>(ByteView frame, const net::Peer& peer)>;

  explicit FrameAnswers(Function function) : function_(std::move(function)) {}

  void attach(Replies) override {}
  net::FrameOutcome frame(ByteView frame, const net::Client& client, net::Ticket) override {
    auto reply = function_(frame, client.peer);
    if (!reply) return net::NoReply{};
    return std::move(*reply);
  }
  std::optional<Bytes> overdue(net::Ticket) override { return std::nullopt; }
  void abandoned(net::Ticket) override {}

 private:
  Function function_;
};

}  // namespace enclayer::fake
