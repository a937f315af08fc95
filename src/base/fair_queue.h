// SPDX-License-Identifier: Apache-2.0
// Bounded queues in which those who ask take turns: whoever puts in a hundred items waits for them, nobody else does.
// Turns are taken on two levels, groups and the holders of a group: a group gets one turn in each round however many
// holders it has, and they share it. Not safe from several threads at once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>
#include <utility>

namespace enclayer::base {

// Lanes in rotation: each that has something in it gives one item a turn. New ones come last. `Lane` is a Line or
// another Rotation.
template <class Key, class Lane>
class Rotation {
 public:
  bool empty() const { return lanes_.empty(); }
  std::size_t size() const { return size_; }  // items
  std::size_t lanes() const { return lanes_.size(); }
  const Lane* find(const Key& key) const {
    auto at = lanes_.find(key);
    return at == lanes_.end() ? nullptr : &at->second.lane;
  }

  template <class... Where>
  void push(const Key& key, Where&&... rest) {
    auto [at, is_new] = lanes_.try_emplace(key);
    if (is_new) at->second.turn = turns_.insert(turns_.end(), key);
    at->second.lane.push(std::forward<Where>(rest)...);
    ++size_;
  }

  // Of the lane whose turn it is; there has to be one.
  auto pop() {
    auto at = lanes_.find(turns_.front());
    auto item = at->second.lane.pop();
    if (!end_if_empty(at)) turns_.splice(turns_.end(), turns_, at->second.turn);
    return item;
  }

  // What `take` takes out of the lane; nullopt where there is no such lane.
  template <class Take>
  auto change(const Key& key, Take take) -> decltype(take(std::declval<Lane&>())) {
    auto at = lanes_.find(key);
    if (at == lanes_.end()) return std::nullopt;
    auto item = take(at->second.lane);
    if (item) end_if_empty(at);
    return item;
  }

  // The lane with most items; there has to be one.
  const Key& longest() const {
    return std::max_element(lanes_.begin(), lanes_.end(),
                            [](const auto& a, const auto& b) { return a.second.lane.size() < b.second.lane.size(); })
        ->first;
  }

 private:
  struct Place {
    Lane lane;
    typename std::list<Key>::iterator turn{};
  };
  bool end_if_empty(typename std::unordered_map<Key, Place>::iterator at) {
    --size_;
    if (!at->second.lane.empty()) return false;
    turns_.erase(at->second.turn);
    lanes_.erase(at);
    return true;
  }

  std::unordered_map<Key, Place> lanes_;  // none is empty
  std::list<Key> turns_;                  // the keys of all lanes, the next one in front
  std::size_t size_ = 0;
};

// First in, first out.
template <class Item>
class Line {
 public:
  bool empty() const { return items_.empty(); }
  std::size_t size() const { return items_.size(); }
  void push(Item item) { items_.push_back(std::move(item)); }
  Item pop() {
    Item item = std::move(items_.front());
    items_.pop_front();
    return item;
  }
  std::optional<Item> pop_last() {
    std::optional<Item> item(std::move(items_.back()));
    items_.pop_back();
    return item;
  }
  // The first one that `chosen` says yes to.
  template <class Chosen>
  std::optional<Item> take(Chosen chosen) {
    auto at = std::find_if(items_.begin(), items_.end(), [&](const Item& item) { return chosen(item); });
    if (at == items_.end()) return std::nullopt;
    std::optional<Item> item(std::move(*at));
    items_.erase(at);
    return item;
  }

 private:
  std::list<Item> items_;
};

// Who takes turns: one of a group.
struct Whose {
  std::uint32_t group = 0;
  std::uint64_t holder = 0;

  bool operator==(const Whose&) const = default;
};

template <class Item>
class FairQueue {
 public:
  // At most `most` items, of which `most_a_group` of one group; both at least 1.
  FairQueue(std::size_t most, std::size_t most_a_group) : most_(most), most_a_group_(most_a_group) {}

  std::size_t size() const { return groups_.size(); }
  std::size_t groups() const { return groups_.lanes(); }
  std::size_t size(std::uint32_t group) const {
    const Holders* holders = groups_.find(group);
    return holders == nullptr ? 0 : holders->size();
  }
  std::size_t holders(std::uint32_t group) const {
    const Holders* holders = groups_.find(group);
    return holders == nullptr ? 0 : holders->lanes();
  }
  std::size_t size(const Whose& whose) const {
    const Holders* holders = groups_.find(whose.group);
    const Line<Item>* line = holders == nullptr ? nullptr : holders->find(whose.holder);
    return line == nullptr ? 0 : line->size();
  }

  // Gives back who has no place: nobody, the new item, or the last one of the holder with most items. A group that is
  // full looks for it within itself, a full queue in its largest group, when that is larger than the newcomer's would
  // become.
  std::optional<Item> push(const Whose& whose, Item item) {
    std::optional<Item> loser;
    if (size(whose.group) >= most_a_group_) {
      loser = last_of(whose.group, size(whose) + 1);
      if (!loser) return item;
    } else if (size() >= most_) {
      std::uint32_t largest = groups_.longest();
      bool is_own = largest == whose.group;
      if (!is_own && size(largest) <= size(whose.group) + 1) return item;
      loser = last_of(largest, is_own ? size(whose) + 1 : 0);
      if (!loser) return item;
    }
    groups_.push(whose.group, whose.holder, std::move(item));
    return loser;
  }

  std::optional<Item> pop() {
    if (groups_.empty()) return std::nullopt;
    return std::optional<Item>(groups_.pop());
  }

  // Takes out the first item of the holder that `chosen` says yes to.
  template <class Chosen>
  std::optional<Item> take(const Whose& whose, Chosen chosen) {
    return groups_.change(whose.group, [&](Holders& holders) {
      return holders.change(whose.holder, [&](Line<Item>& line) { return line.take(chosen); });
    });
  }

 private:
  using Holders = Rotation<std::uint64_t, Line<Item>>;

  // Of the group's holder that has most, when those are more than `more_than`.
  std::optional<Item> last_of(std::uint32_t group, std::size_t more_than) {
    return groups_.change(group, [&](Holders& holders) -> std::optional<Item> {
      std::uint64_t longest = holders.longest();
      if (holders.find(longest)->size() <= more_than) return std::nullopt;
      return holders.change(longest, [](Line<Item>& line) { return line.pop_last(); });
    });
  }

  std::size_t most_, most_a_group_;
  Rotation<std::uint32_t, Holders> groups_;
};

}  // namespace enclayer::base
