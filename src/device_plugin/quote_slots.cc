// SPDX-License-Identifier: Apache-2.0
#include "device_plugin/quote_slots.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/file.h"
#include "base/log.h"

namespace enclayer::device_plugin {
namespace {

namespace fs = std::filesystem;
namespace log = base::log;
using namespace std::chrono_literals;
using std::chrono::milliseconds;

// The kubelet books the devices a moment after Allocate was answered, long before the container runs and its first quote
// is logged; after all of these it never will. At a large node each answer is megabytes.
constexpr std::array<milliseconds, 8> kPauses = {20ms, 200ms, 500ms, 1s, 2s, 5s, 10s, 30s};
constexpr milliseconds kLongPause = 60s;

std::optional<milliseconds> pause_of(std::optional<std::size_t> tries) {
  if (!tries) return std::nullopt;
  return *tries < kPauses.size() ? kPauses[*tries] : kLongPause;
}

std::string slot_of(std::size_t device) { return "p" + std::to_string(device); }

// Who has each slot; nullptr where the reply has two for it: one has ended, and it does not tell which.
std::map<std::string, const kubelet::ContainerDevices*> by_slot(
    const std::vector<kubelet::ContainerDevices>& containers) {
  std::map<std::string, const kubelet::ContainerDevices*> out;
  for (const auto& container : containers)
    for (std::size_t device : container.listed) {
      auto [found, is_new] = out.try_emplace(slot_of(device), &container);
      if (!is_new && found->second != &container) found->second = nullptr;
    }
  return out;
}

// `holder` with this container's name, where a reader of the file takes it. A UID that was known stays.
slots::Holder named(const slots::Holder& holder, const kubelet::ContainerDevices& container,
                    const kubelet::PodUids& uids) {
  for (const auto& name : {container.pod_namespace, container.pod, container.container})
    if (!slots::is_holder_name(name)) return {holder.generation};
  const std::string uid = kubelet::uid_of(container, uids);
  return {holder.generation,   container.pod_namespace, container.pod,
          container.container, container.devices,       uid.empty() ? holder.pod_uid : uid};
}

}  // namespace

QuoteSlots::QuoteSlots(fs::path folder, std::size_t count, Sources sources)
    : folder_(std::move(folder)), count_(count), sources_(std::move(sources)) {}

QuoteSlots::~QuoteSlots() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Result<> QuoteSlots::start() {
  auto before = slots::read_holders(folder_ / slots::kHoldersFile);
  if (!before) {
    const bool first = before.error().kind() == ErrorKind::kNotFound;
    (first ? log::info : log::warn)("nothing is known of the quote slots' holders",
                                    {{"reason", before.error().message()}});
    before = slots::Holders();
  }
  {
    std::lock_guard lock(mutex_);
    // More than `count_`: containers may have slots from when there were more.
    for (std::size_t device = 0; device < kMost; ++device) {
      auto known = before->find(slot_of(device));
      if (known != before->end())
        holders_.insert(*known);
      else if (device < count_)
        holders_[slot_of(device)];
    }
    written_ = holders_ == *before;
    // Containers that run may hold them: a kubelet that starts as we do knows of nobody at first.
    for (const auto& [slot, holder] : holders_)
      if (!holder.named()) unknown_.insert(slot);
    tries_ = 0;
  }
  ENCLAYER_CHECK(make_missing());
  if (auto made = base::Root(folder_).stat(slots::kHealth); made && made->st_gid != slots::kHelperGroup)
    log::warn(
        "quote slots could not be given to the quote helper's group, so only a helper of the same user serves them",
        {{"folder", folder_.string()}, {"group", slots::kHelperGroup}});
  return {};
}

void QuoteSlots::keep_names() {
  thread_ = std::thread([this] { run(); });
}

Result<> QuoteSlots::make(const std::string& slot) const {
  auto made = slots::make_slot(folder_, slot);
  if (made || made.error().kind() == ErrorKind::kConflict) return made;
  return Error(made.error().kind(), made.error().message() + "; the plugin makes the quote slots in " +
                                        folder_.string() +
                                        ": give it the right to write there, as user 0 or as the folder's owner, or "
                                        "name another folder with --slots-dir");
}

Result<> QuoteSlots::make_missing() {
  for (std::size_t device = 0; device < count_; ++device) ENCLAYER_CHECK(make(slot_of(device)));
  ENCLAYER_CHECK(make(slots::kHealth));
  std::lock_guard lock(mutex_);
  if (!written_ || !base::Root(folder_).stat(slots::kHoldersFile)) write();
  return {};
}

Result<fs::path> QuoteSlots::give(std::span<const std::size_t> devices) {
  const std::string lowest = slot_of(*std::min_element(devices.begin(), devices.end()));
  ENCLAYER_CHECK(make(lowest));
  {
    std::lock_guard lock(mutex_);
    const std::uint64_t now = sources_.now();
    for (std::size_t device : devices) {
      slots::Holder& holder = holders_[slot_of(device)];
      // Not below the clock: where the file was lost, a generation that was there before must not come again.
      holder = {std::max(holder.generation + 1, now)};
      unknown_.insert(slot_of(device));
    }
    ++gives_;
    tries_ = 0;
    write();
  }
  wake_.notify_all();
  return folder_ / lowest;
}

QuoteSlots::PodDevices QuoteSlots::ask() {
  std::lock_guard one_at_a_time(asking_);
  std::unique_lock lock(mutex_);
  const slots::Holders before = holders_;
  const std::uint64_t gives = gives_;
  const bool last = tries_.value_or(0) + 1 >= kPauses.size();
  const bool wants_uids = sources_.uids && !unknown_.empty();
  lock.unlock();
  PodDevices containers = sources_.who();
  const auto uids = wants_uids && containers ? sources_.uids() : kubelet::PodUids();
  lock.lock();
  if (containers) {
    heard_ = true;
    take_in(*containers, uids, before, last);
  } else if (said_unanswered_ != containers.error().kind()) {
    log::warn("the kubelet does not say who has the quote slots", {{"reason", containers.error().message()}});
  }
  said_unanswered_ = containers ? std::nullopt : std::optional(containers.error().kind());
  if (!written_) write();
  if (gives == gives_) {
    if (heard_ && unknown_.empty())
      tries_.reset();
    else
      tries_ = tries_ ? *tries_ + 1 : kPauses.size();
  }
  lock.unlock();
  wake_.notify_all();
  return containers;
}

void QuoteSlots::take_in(const std::vector<kubelet::ContainerDevices>& containers, const kubelet::PodUids& uids,
                         const slots::Holders& before, bool last) {
  const auto held = by_slot(containers);
  for (auto& [slot, holder] : holders_) {
    auto known = before.find(slot);
    if (known == before.end() || known->second.generation != holder.generation) continue;
    auto found = held.find(slot);
    const bool nobody = found == held.end();
    slots::Holder now{holder.generation};
    if (!nobody && found->second != nullptr) now = named(holder, *found->second, uids);

    // The kubelet writes its notes after it has booked the devices: they may be those of a moment ago.
    const bool uid_may_come = now.named() && now.pod_uid.empty() && !uids.empty();
    if ((now.named() && !uid_may_come) || (last && (nobody || now.named())))
      unknown_.erase(slot);  // a slot that nobody has at last: the pod never came to be
    else if (holder.named())
      unknown_.insert(slot);  // a kubelet that has just started knows of nobody: once more, later
    if (now == holder) continue;
    holder = now;
    written_ = false;
  }
}

void QuoteSlots::write() {
  auto done = slots::write_holders(folder_ / slots::kHoldersFile, holders_);
  written_ = static_cast<bool>(done);
  if (!done && !said_unwritten_)
    log::warn("holders of the quote slots cannot be written down", {{"reason", done.error().message()}});
  said_unwritten_ = !done;
}

std::optional<milliseconds> QuoteSlots::pause() const {
  std::lock_guard lock(mutex_);
  return pause_of(tries_);
}

void QuoteSlots::run() {
  static_cast<void>(ask());
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto pause = pause_of(tries_);
    if (!pause) {
      wake_.wait(lock);
    } else if (wake_.wait_for(lock, *pause) == std::cv_status::timeout && !stopping_) {
      lock.unlock();
      static_cast<void>(ask());
      lock.lock();
    }
  }
}

}  // namespace enclayer::device_plugin
