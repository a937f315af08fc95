// SPDX-License-Identifier: Apache-2.0
#include "net/closer.h"

#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

namespace enclayer::net {

struct Closer::State {
  struct Item {
    std::vector<base::UniqueFd> descriptors;
    Closed closed;
  };

  // The group's thread, until nothing of it waits.
  void run(std::uint32_t group) {
    std::unique_lock lock(mutex);
    while (!groups[group].empty()) {
      Item item = std::move(groups[group].front());
      lock.unlock();
      std::size_t count = item.descriptors.size();
      item.descriptors.clear();
      if (item.closed) item.closed();
      lock.lock();
      waiting -= count;
      groups[group].pop_front();
    }
    groups.erase(group);
  }

  std::mutex mutex;
  std::unordered_map<std::uint32_t, std::deque<Item>> groups;  // the one that is being closed in front
  std::size_t waiting = 0;                                     // descriptors
};

Closer::Closer() : state_(std::make_shared<State>()) {}

void Closer::close(std::uint32_t group, std::vector<base::UniqueFd> descriptors, Closed closed) {
  std::lock_guard lock(state_->mutex);
  state_->waiting += descriptors.size();
  auto& items = state_->groups[group];
  items.push_back({std::move(descriptors), std::move(closed)});
  if (items.size() == 1) std::thread([state = state_, group] { state->run(group); }).detach();
}

bool Closer::full(std::uint32_t group) const {
  std::lock_guard lock(state_->mutex);
  return state_->waiting >= kRoom && state_->groups.contains(group);
}

}  // namespace enclayer::net
