// SPDX-License-Identifier: Apache-2.0
#include "dra/preparation.h"

#include <algorithm>
#include <cctype>
#include <chrono>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "slots/slots.h"

namespace enclayer::dra {
namespace {

namespace fs = std::filesystem;
namespace log = base::log;

// The kubelet waits 45 s for everything.
constexpr std::chrono::seconds kLockPatience{10};

constexpr std::size_t kUuid = 36;

// What base::write_file_atomic() leaves beside a file when its process is killed: "<name>.XXXXXX". Under the lock nobody
// is writing one.
Result<> remove_unfinished(const fs::path& folder, std::string_view begins) {
  for (const std::string& name : base::Root(folder).list("")) {
    const bool unfinished = name.size() > begins.size() + 6 && name[name.size() - 7] == '.' &&
                            std::all_of(name.end() - 6, name.end(), [](unsigned char c) { return std::isalnum(c); });
    if (!name.starts_with(begins) || !unfinished) continue;
    std::error_code error;
    if (fs::remove(folder / name, error); error)
      return Error(ErrorKind::kIo, "cannot remove " + (folder / name).string() + ": " + error.message());
  }
  return {};
}

slots::Holders holders_of(const Ledger& ledger) {
  slots::Holders holders;
  for (const auto& [uid, claim] : ledger.claims())
    for (const Share& share : claim.allocation.shares) {
      if (!share.quotes) continue;
      slots::Holder& holder = holders[slot_of(uid, share)];
      holder.generation = claim.generation;
      if (claim.allocation.pod.empty()) continue;
      // All containers of the claim have this one slot: what stands for them is the request.
      holder.pod_namespace = claim.allocation.claim.name_space;
      holder.pod = claim.allocation.pod;
      holder.container = share.request;
      holder.epc_mib = share.mib;
    }
  return holders;
}

}  // namespace

Preparation::Preparation(device_plugin::Node node, NodeDevices devices, Places places)
    : node_(std::move(node)),
      devices_(std::move(devices)),
      places_(std::move(places)),
      checkpoint_(places_.state),
      cdi_(places_.cdi) {}

Result<> Preparation::start(const Claims& claims) const {
  ENCLAYER_CHECK(base::make_folder(places_.state, 0750));
  ENCLAYER_TRY(const auto lock, checkpoint_.lock(kLockPatience));
  for (const char* file : {"claims", "plugin"}) ENCLAYER_CHECK(remove_unfinished(places_.state, file));
  ENCLAYER_CHECK(remove_unfinished(places_.slots, slots::kDraHoldersFile));
  ENCLAYER_CHECK(remove_unfinished(places_.cdi, CdiFiles::kPrefix));
  ENCLAYER_TRY(Ledger ledger, load(claims));
  std::vector<std::string> gone;
  for (const auto& [uid, claim] : ledger.claims())
    if (is_gone(claim.allocation.claim, claims)) gone.push_back(uid);
  for (const std::string& uid : gone) {
    log::warn("claim released that the API server has no more",
              {{"claim", ledger.claims().at(uid).allocation.claim.name}});
    ledger.release(uid);
  }
  if (!gone.empty()) ENCLAYER_CHECK(checkpoint_.save(ledger));
  for (const std::string& uid : cdi_.claims()) {
    if (ledger.claims().contains(uid)) continue;
    log::info("left-over CDI file of a claim removed", {{"claim_uid", uid}});
    ENCLAYER_CHECK(cdi_.remove(uid));
  }
  return remove_slots([&](const std::string& uid) { return !ledger.claims().contains(uid); });
}

Result<std::vector<PreparedDevice>> Preparation::prepare(const ClaimName& claim, const Claims& claims) const {
  ENCLAYER_CHECK(check_name(claim));
  ENCLAYER_TRY(const std::string json, claims.one(claim));
  ENCLAYER_TRY(const Allocation allocation, allocation_of(json, claim, devices_));
  for (const Share& share : allocation.shares)
    if (std::string why = why_not(share); !why.empty()) return Error(ErrorKind::kUnavailable, why);

  ENCLAYER_TRY(const auto lock, checkpoint_.lock(kLockPatience));
  ENCLAYER_TRY(Ledger ledger, load(claims));
  ENCLAYER_TRY(const NodeDevices offered, offered_now());
  ENCLAYER_CHECK(ledger.hold(allocation, offered));
  ENCLAYER_CHECK(checkpoint_.save(ledger));
  std::vector<PreparedDevice> prepared;
  bool quotes = false;
  for (const Share& share : allocation.shares) {
    prepared.push_back({share.request, share.device, share.share_id, cdi_id(claim.uid, share)});
    quotes = quotes || share.quotes;
    if (share.quotes) ENCLAYER_CHECK(slots::make_slot(places_.slots, slot_of(claim.uid, share)));
  }
  if (quotes) ENCLAYER_CHECK(slots::write_holders(places_.slots / slots::kDraHoldersFile, holders_of(ledger)));
  ENCLAYER_CHECK(cdi_.write(claim.uid, cdi_spec(allocation, node_, places_.slots)));
  return prepared;
}

Result<NodeDevices> Preparation::offered() const {
  ENCLAYER_TRY(const auto lock, checkpoint_.lock(kLockPatience));
  return offered_now();
}

Result<Ledger> Preparation::held() const {
  ENCLAYER_TRY(const auto lock, checkpoint_.lock(kLockPatience));
  return checkpoint_.load();
}

Result<NodeDevices> Preparation::offered_now() const {
  ENCLAYER_TRY(const std::uint64_t plugin_mib, checkpoint_.plugin_mib());
  return devices_.beside(plugin_mib);
}

Result<> Preparation::unprepare(const ClaimName& claim, const Claims& claims) const {
  if (!is_uuid(claim.uid)) return {};  // none that was ever prepared
  ENCLAYER_TRY(const auto lock, checkpoint_.lock(kLockPatience));
  ENCLAYER_TRY(Ledger ledger, load(claims));
  ENCLAYER_CHECK(cdi_.remove(claim.uid));
  ENCLAYER_CHECK(remove_slots([&](const std::string& uid) { return uid == claim.uid; }));
  auto found = ledger.claims().find(claim.uid);
  if (found == ledger.claims().end()) return {};
  const auto& shares = found->second.allocation.shares;
  const bool quotes = std::any_of(shares.begin(), shares.end(), [](const Share& share) { return share.quotes; });
  ledger.release(claim.uid);
  if (quotes) ENCLAYER_CHECK(slots::write_holders(places_.slots / slots::kDraHoldersFile, holders_of(ledger)));
  return checkpoint_.save(ledger);
}

Result<Ledger> Preparation::load(const Claims& claims) const {
  auto loaded = checkpoint_.load();
  if (loaded || loaded.error().kind() != ErrorKind::kMalformed) return loaded;
  log::error("the ledger of prepared claims is damaged; it is moved aside, and made anew of what the API server says",
             {{"folder", places_.state.string()}, {"reason", loaded.error().message()}});
  const auto here = cdi_.claims();
  ENCLAYER_TRY(const auto all, claims.all());
  Ledger ledger;
  for (const std::string& json : all) {
    auto document = base::JsonDocument::parse(json, {.size = kMostClaimBytes, .depth = 64, .values = 1 << 17});
    if (!document) continue;
    const auto metadata = document->root()["metadata"];
    const ClaimName name{metadata["namespace"].text(), metadata["name"].text(), metadata["uid"].text()};
    if (!here.contains(name.uid)) continue;
    auto held = [&]() -> Result<> {
      ENCLAYER_CHECK(check_name(name));
      ENCLAYER_TRY(Allocation allocation, allocation_of(json, name, devices_));
      return ledger.hold(std::move(allocation), devices_);
    }();
    if (!held) log::warn("a claim that has a CDI file here is not held", {{"reason", held.error().message()}});
  }
  ENCLAYER_CHECK(checkpoint_.move_aside());
  ENCLAYER_CHECK(checkpoint_.save(ledger));
  log::info("the ledger of prepared claims was made anew", {{"claims", ledger.claims().size()}});
  return ledger;
}

// Not where the API server cannot be asked.
bool Preparation::is_gone(const ClaimName& name, const Claims& claims) const {
  auto json = claims.one(name);
  if (!json) return json.error().kind() == ErrorKind::kNotFound;
  auto allocation = allocation_of(*json, name, devices_);
  return !allocation && allocation.error().kind() == ErrorKind::kConflict;
}

Result<> Preparation::remove_slots(const std::function<bool(const std::string& claim_uid)>& whose) const {
  for (const std::string& name : base::Root(places_.slots).list("")) {
    if (name.size() <= kUuid || name[kUuid] != '.' || !is_uuid(name.substr(0, kUuid))) continue;  // the plugin's
    if (!whose(name.substr(0, kUuid))) continue;
    std::error_code error;
    fs::remove_all(places_.slots / name, error);
    if (error)
      return Error(ErrorKind::kIo,
                   "cannot remove the slot " + (places_.slots / name).string() + ": " + error.message());
  }
  return {};
}

std::string Preparation::why_not(const Share& share) const {
  if (share.mib > 0) return node_.enclave.why_not();
  return node_.provision ? node_.provision->why_not() : "this node's SGX driver has no provisioning device";
}

}  // namespace enclayer::dra
