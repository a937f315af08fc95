// SPDX-License-Identifier: Apache-2.0
#include "helper/slot_sockets.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/log.h"
#include "net/unix_socket.h"

namespace enclayer::helper {
namespace {

namespace log = base::log;

bool rings(int fd) {
  pollfd alarm{fd, POLLIN, 0};
  return fd >= 0 && ::poll(&alarm, 1, 0) > 0;
}

}  // namespace

void SlotSockets::look(bool serves, Moment now) {
  bool is_due = rings(watch_.fd()) || served_before_ != serves || !looked_ || now - *looked_ >= kLookAgain ||
                watch_.blind() || failed_ > 0;
  if (!is_due) return;
  looked_ = now;
  served_before_ = serves;
  watch_.drain();
  watch_.arm(parent_);
  base::UniqueFd parent(::open(parent_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent && errno != ENOENT) {  // out of descriptors, most likely
    failed_ = std::max<std::size_t>(1, failed_);
    return;
  }
  if (!parent) {  // no device plugin yet
    while (!slots_.empty()) forget(slots_.begin());
    served_ = failed_ = 0;
    return;
  }
  read_holders(slots::kHoldersFile, now);
  read_holders(slots::kDraHoldersFile, now);
  look_at_folders(parent.get(), serves, now);
}

// What cannot be read changes nothing: slots are served by their number.
void SlotSockets::read_holders(const char* file, Moment now) {
  auto read = slots::read_holders(parent_ / file);
  if (read)
    for (auto& [name, holder] : *read) holders_.insert_or_assign(name, std::move(holder));
  else if (auto more = read.error().kind() == ErrorKind::kNotFound ? std::nullopt : budget_.take(now))
    log::warn("it is not known who has the slots",
              {{"file", file}, {"reason", read.error().message()}, {"not_logged_before", *more}});
}

void SlotSockets::look_at_folders(int parent, bool serves, Moment now) {
  // Names first: those that are served keep their places when there are more than can be.
  std::map<std::string, Identity> there;
  std::size_t passed_over = 0;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(parent_, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::string name = entry->path().filename();
    struct stat found {};
    if (!slots::is_slot_name(name) || ::fstatat(parent, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISDIR(found.st_mode))
      continue;
    if (there.size() >= slots::kMostSlots && !slots_.contains(name))
      ++passed_over;
    else
      there[name] = identity_of(found);
  }
  if (error) {
    failed_ = std::max<std::size_t>(1, failed_);
    return;
  }
  for (auto slot = slots_.begin(); slot != slots_.end();) {
    auto same = there.find(slot->first);
    auto next = std::next(slot);
    if (same == there.end() || same->second != slot->second.folder) forget(slot);
    slot = next;
  }
  std::size_t ours = 0, failed = 0;
  for (const auto& [name, folder] : there) {
    auto [at, is_new] = slots_.try_emplace(name);
    if (is_new && slots_.size() > slots::kMostSlots) {
      slots_.erase(at);
      ++passed_over;
      continue;
    }
    Slot& slot = at->second;
    auto holder = holders_.find(name);
    std::uint64_t generation = holder == holders_.end() ? 0 : holder->second.generation;
    bool is_held_anew = !is_new && generation > slot.generation;
    std::uint32_t before = slot.group;
    if (is_new || is_held_anew) slot = {folder, is_held_anew ? Identity{} : slot.socket, ++last_group_, generation};
    show(name, slot);
    if (!serves && name == slots::kHealth && slot.socket != Identity{}) {
      server_.end(slot.group);
      slot.socket = {};
    }
    if (serves) {
      auto put = put_socket(parent, name, slot);
      ++(put ? ours : failed);
      if (auto more = put ? std::nullopt : budget_.take(now))
        log::error("a slot is not served",
                   {{"slot", name}, {"reason", put.error().message()}, {"not_logged_before", *more}});
    }
    if (!is_held_anew) continue;
    server_.end(before);
    audit_.forget(before);
    identities_.forget(before);
  }
  served_ = ours;
  failed_ = failed;
  if (passed_over > 0 && !std::exchange(too_many_, true))
    log::error("there are more slots than are served, the rest is not",
               {{"parent", parent_.string()}, {"served", slots::kMostSlots}, {"not_served", passed_over}});
  too_many_ = passed_over > 0;
}

void SlotSockets::show(const std::string& name, const Slot& slot) {
  auto holder = holders_.find(name);
  identities_.set(slot.group, {name, holder == holders_.end() ? slots::Holder{} : holder->second});
}

void SlotSockets::forget(Slots::iterator slot) {
  server_.end(slot->second.group);
  audit_.forget(slot->second.group);
  identities_.forget(slot->second.group);
  slots_.erase(slot);
}

// Where ours is there already, nothing.
Result<> SlotSockets::put_socket(int parent, const std::string& name, Slot& slot) {
  base::UniqueFd folder(::openat(parent, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return base::errno_error(errno, "cannot open it");
  struct stat found {};
  if (slot.socket != Identity{} && ::fstatat(folder.get(), slots::kSocket, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
      (identity_of(found) == slot.socket || !still_ours_()))
    return {};
  ENCLAYER_TRY(auto placed, net::place_socket(folder.get(), slots::kSocket));
  slot.socket = identity_of(placed.status);
  server_.serve(std::move(placed.listener), slot.group, net::Holders::kOne);
  return {};
}

std::vector<troubles::Pod> SlotSockets::pods() const {
  std::vector<troubles::Pod> out;
  for (const auto& [name, slot] : slots_) {
    auto holder = holders_.find(name);
    if (holder == holders_.end() || !holder->second.named()) continue;
    troubles::Pod pod{holder->second.pod_namespace, holder->second.pod, holder->second.pod_uid};
    if (std::find(out.begin(), out.end(), pod) == out.end()) out.push_back(std::move(pod));
  }
  return out;
}

std::string SlotSockets::not_ready() const {
  if (failed_ == 0) return {};
  return std::to_string(failed_) + (failed_ == 1 ? " slot below " : " slots below ") + parent_.string() +
         (failed_ == 1 ? " is not served" : " are not served");
}

}  // namespace enclayer::helper
