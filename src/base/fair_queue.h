// A bounded queue in which keys take turns: whoever puts in a hundred items waits for them, nobody else does. Each key
// has a lane of its own, first in first out; the lanes are served in rotation, one item each. Not safe from several
// threads at once.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <unordered_map>
#include <utility>

namespace enclayer::base {

template <class Item>
class FairQueue {
 public:
  using Key = std::uint64_t;

  // At most `most` items, of which `most_a_key` of one key; both at least 1.
  FairQueue(std::size_t most, std::size_t most_a_key) : most_(most), most_a_key_(most_a_key) {}

  std::size_t size() const { return size_; }
  std::size_t keys() const { return lanes_.size(); }
  std::size_t size(Key key) const {
    auto lane = lanes_.find(key);
    return lane == lanes_.end() ? 0 : lane->second.items.size();
  }

  // Gives back who has no place: nobody, the new item, or the last one of the longest lane, when that is longer than
  // the new item's would become.
  std::optional<Item> push(Key key, Item item) {
    std::size_t own = size(key);
    if (own >= most_a_key_) return item;
    std::optional<Item> loser;
    if (size_ >= most_) {
      auto longest = lanes_.begin();
      for (auto lane = lanes_.begin(); lane != lanes_.end(); ++lane)
        if (lane->second.items.size() > longest->second.items.size()) longest = lane;
      if (longest->second.items.size() <= own + 1) return item;
      loser = std::move(longest->second.items.back());
      longest->second.items.pop_back();
      --size_;
    }
    auto [lane, is_new] = lanes_.try_emplace(key);
    if (is_new) lane->second.turn = turns_.insert(turns_.end(), key);
    lane->second.items.push_back(std::move(item));
    ++size_;
    return loser;
  }

  std::optional<Item> pop() {
    if (turns_.empty()) return std::nullopt;
    auto lane = lanes_.find(turns_.front());
    std::optional<Item> item(std::move(lane->second.items.front()));
    lane->second.items.pop_front();
    --size_;
    if (lane->second.items.empty())
      end(lane);
    else
      turns_.splice(turns_.end(), turns_, lane->second.turn);
    return item;
  }

  // Takes out the first item of the key that `chosen` says yes to.
  template <class Chosen>
  std::optional<Item> take(Key key, Chosen chosen) {
    auto lane = lanes_.find(key);
    if (lane == lanes_.end()) return std::nullopt;
    auto& items = lane->second.items;
    for (auto at = items.begin(); at != items.end(); ++at) {
      if (!chosen(std::as_const(*at))) continue;
      std::optional<Item> item(std::move(*at));
      items.erase(at);
      --size_;
      if (items.empty()) end(lane);
      return item;
    }
    return std::nullopt;
  }

 private:
  struct Lane {
    std::deque<Item> items;
    std::list<Key>::iterator turn;
  };
  void end(typename std::unordered_map<Key, Lane>::iterator lane) {
    turns_.erase(lane->second.turn);
    lanes_.erase(lane);
  }

  std::size_t most_, most_a_key_, size_ = 0;
  std::unordered_map<Key, Lane> lanes_;  // none is empty
  std::list<Key> turns_;                 // the keys of all lanes, the next one in front
};

}  // namespace enclayer::base
