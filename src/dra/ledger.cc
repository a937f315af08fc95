// SPDX-License-Identifier: Apache-2.0
#include "dra/ledger.h"

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/dns_name.h"
#include "base/json.h"
#include "base/malformed.h"

namespace enclayer::dra {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kVersion = 1;
constexpr auto kAny = std::numeric_limits<std::uint64_t>::max();
constexpr base::JsonLimits kLimits{
    .size = kMostCheckpoint, .depth = 6, .values = Ledger::kMostClaims * (6 + 6 * kMostResults)};
constexpr base::Malformed malformed{"the checkpoint of prepared claims "};

std::string title(const ClaimName& claim) { return claim.name_space + "/" + claim.name; }

Result<Share> share_of(const base::JsonValue& json) {
  Share share;
  ENCLAYER_TRY(share.request, json.text("request"));
  ENCLAYER_TRY(share.device, json.text("device"));
  ENCLAYER_TRY(share.share_id, json.text("shareID"));
  ENCLAYER_TRY(share.mib, json.number("epcMiB", kAny >> 21));
  share.quotes = json["quotes"].text() == "Socket";
  if (!base::is_dns_name(share.request, 63) || !base::is_dns_name(share.device, 63) || !is_uuid(share.share_id))
    return base::malformed("a share has names that are none");
  return share;
}

Result<PreparedClaim> claim_of(const std::string& uid, const base::JsonValue& json) {
  PreparedClaim claim;
  Allocation& allocation = claim.allocation;
  allocation.claim.uid = uid;
  ENCLAYER_TRY(allocation.claim.name_space, json.text("namespace"));
  ENCLAYER_TRY(allocation.claim.name, json.text("name"));
  ENCLAYER_CHECK(check_name(allocation.claim));
  allocation.pod = json["pod"].text();
  if (!allocation.pod.empty() && !base::is_dns_name(allocation.pod)) return base::malformed("a pod's name is none");
  ENCLAYER_TRY(claim.generation, json.number("generation", kAny));
  ENCLAYER_TRY(const auto shares, json.objects("shares"));
  for (const auto& each : shares) {
    ENCLAYER_TRY(Share share, share_of(each));
    allocation.shares.push_back(std::move(share));
  }
  if (allocation.shares.empty() || allocation.shares.size() > kMostResults)
    return base::malformed("a claim has no shares, or too many");
  return claim;
}

}  // namespace

Result<> Ledger::hold(Allocation allocation, const NodeDevices& devices) {
  const std::string& uid = allocation.claim.uid;
  auto found = claims_.find(uid);
  if (found != claims_.end() && found->second.allocation.shares == allocation.shares) {
    found->second.allocation.pod = std::move(allocation.pod);
    return {};
  }
  std::set<std::pair<std::string_view, std::string_view>> mine;
  std::map<std::string_view, std::uint64_t> wanted, held;  // MiB by device
  for (const Share& share : allocation.shares) {
    if (!mine.emplace(share.device, share.share_id).second)
      return Error(ErrorKind::kConflict, "claim " + title(allocation.claim) + " has share " + share.share_id +
                                             " of device " + share.device + " twice");
    if (share.mib > 0) wanted[share.device] += share.mib;
  }
  for (const auto& [other, claim] : claims_) {
    if (other == uid) continue;
    for (const Share& share : claim.allocation.shares) {
      held[share.device] += share.mib;
      if (mine.contains({share.device, share.share_id}))
        return Error(ErrorKind::kConflict, "share " + share.share_id + " of device " + share.device + " of claim " +
                                               title(allocation.claim) + " is held by claim " +
                                               title(claim.allocation.claim) + " (UID " + other + ")");
    }
  }
  for (const auto& [device, mib] : wanted) {
    const Section* section = devices.section(device);
    const std::uint64_t all = section ? section->mib : 0;
    if (held[device] > all || mib > all - held[device])
      return Error(ErrorKind::kExhausted, "claim " + title(allocation.claim) + " wants " + std::to_string(mib) +
                                              " MiB of device " + std::string(device) + ", which has " +
                                              std::to_string(all) + " MiB, " + std::to_string(held[device]) +
                                              " MiB of them held by other claims: end some of their pods first");
  }
  std::uint64_t wanted_of_all = 0, held_of_all = 0;
  for (const auto& [device, mib] : wanted) wanted_of_all += mib;
  for (const auto& [device, mib] : held) held_of_all += mib;
  if (wanted_of_all > 0 && held_of_all + wanted_of_all > devices.epc_mib())
    return Error(ErrorKind::kExhausted, "claim " + title(allocation.claim) + " wants " + std::to_string(wanted_of_all) +
                                            " MiB of EPC, and of the " + std::to_string(devices.epc_mib()) +
                                            " MiB that claims may have here now, " + std::to_string(held_of_all) +
                                            " MiB are held by others: end some of their pods first");
  if (found == claims_.end() && claims_.size() >= kMostClaims)
    return Error(ErrorKind::kExhausted, std::to_string(kMostClaims) + " claims are prepared on this node, the most " +
                                            "that are written down");
  if (found == claims_.end()) found = claims_.emplace(uid, PreparedClaim{{}, ++generation_}).first;
  found->second.allocation = std::move(allocation);
  return {};
}

std::uint64_t Ledger::held_mib(std::string_view device) const {
  std::uint64_t mib = 0;
  for (const auto& [uid, claim] : claims_)
    for (const Share& share : claim.allocation.shares)
      if (share.device == device) mib += share.mib;
  return mib;
}

std::uint64_t Ledger::held_mib() const {
  std::uint64_t mib = 0;
  for (const auto& [uid, claim] : claims_)
    for (const Share& share : claim.allocation.shares) mib += share.mib;
  return mib;
}

std::string checkpoint_text(const Ledger& ledger) {
  Json claims = Json::object();
  for (const auto& [uid, claim] : ledger.claims()) {
    Json shares = Json::array();
    for (const Share& share : claim.allocation.shares)
      shares.push_back({{"request", share.request},
                        {"device", share.device},
                        {"shareID", share.share_id},
                        {"epcMiB", share.mib},
                        {"quotes", share.quotes ? "Socket" : "None"}});
    claims[uid] = {{"namespace", claim.allocation.claim.name_space},
                   {"name", claim.allocation.claim.name},
                   {"pod", claim.allocation.pod},
                   {"generation", claim.generation},
                   {"shares", std::move(shares)}};
  }
  const std::string line =
      Json{{"version", kVersion}, {"generation", ledger.generation()}, {"claims", std::move(claims)}}.dump() + "\n";
  return line + base::sha256_hex(line) + "\n";
}

Result<Ledger> parse_checkpoint(std::string_view text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return malformed("is not two lines");
  const std::string_view line = text.substr(0, end + 1), sum = text.substr(end + 1);
  if (sum != base::sha256_hex(line) + "\n") return malformed("is not the one that was written: its checksum differs");
  auto document = base::JsonDocument::parse(line, kLimits);
  if (!document) return malformed("cannot be read: " + document.error().message());
  const auto root = document->root();
  if (const auto version = root["version"].number(); version != kVersion)
    return Error(ErrorKind::kUnsupported, "the checkpoint of prepared claims has version " + std::to_string(version) +
                                              ", and this driver reads version " + std::to_string(kVersion) +
                                              ": run the newer driver, or drain the node and remove the file");
  Ledger ledger;
  ENCLAYER_TRY(ledger.generation_, root.number("generation", kAny));
  ENCLAYER_TRY(const auto claims, root.object("claims"));
  ENCLAYER_TRY(const auto members, claims.members());
  if (members.size() > Ledger::kMostClaims) return malformed("has more than 4096 claims");
  for (const auto& [uid, json] : members) {
    auto claim = claim_of(uid, json);
    if (!claim) return malformed("has a claim that is none: " + claim.error().message());
    ledger.claims_.emplace(uid, std::move(*claim));
  }
  return ledger;
}

Result<base::UniqueFd> Checkpoint::lock(std::chrono::milliseconds timeout) const {
  return base::lock_file(folder_ / "claims.lock", timeout);
}

Result<Ledger> Checkpoint::load() const {
  auto text = base::read_text(file(), kMostCheckpoint);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return Ledger();
  if (!text) return text.error();
  auto ledger = parse_checkpoint(*text);
  if (!ledger) return ledger.error().with_context(file().string());
  return ledger;
}

Result<> Checkpoint::move_aside() const {
  std::error_code error;
  std::filesystem::rename(file(), folder_ / "claims.damaged", error);
  if (error) return Error(ErrorKind::kIo, "cannot move " + file().string() + " aside: " + error.message());
  return {};
}

Result<> Checkpoint::save(const Ledger& ledger) const {
  return base::write_file_atomic(file(), base::as_bytes(checkpoint_text(ledger)), 0600);
}

Result<std::uint64_t> Checkpoint::plugin_mib() const {
  auto text = base::read_text(plugin_file(), 32);
  if (!text && text.error().kind() == ErrorKind::kNotFound)
    return Error(ErrorKind::kUnavailable, "enclayer-device-plugin has not written yet how much EPC is its own (" +
                                              plugin_file().string() + "): the driver waits for it");
  if (!text) return text.error();
  std::uint64_t mib = 0;
  const char* last = text->data() + text->size();
  auto [end, error] = std::from_chars(text->data(), last, mib);
  if (error != std::errc() || std::string_view(end, last) != "\n")
    return Error(ErrorKind::kMalformed, plugin_file().string() +
                                            " is no number of MiB: the device plugin writes it anew "
                                            "when it starts");
  return mib;
}

Result<> Checkpoint::set_plugin_mib(std::uint64_t mib) const {
  return base::write_file_atomic(plugin_file(), base::as_bytes(std::to_string(mib) + "\n"), 0600);
}

}  // namespace enclayer::dra
