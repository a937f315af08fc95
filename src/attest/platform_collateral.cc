// SPDX-License-Identifier: Apache-2.0
#include "attest/platform_collateral.h"

#include <algorithm>

#include "base/hex.h"
#include "base/log.h"

namespace enclayer::attest {
namespace {

using collateral::Age;
using collateral::Entry;
using collateral::PlatformKind;

}  // namespace

Result<std::unique_ptr<PlatformCollateral>> PlatformCollateral::of_file(std::string text) {
  auto parsed = parse_collateral_json(text);
  // A file of many platforms is read for each quote.
  if (!parsed && text.find("\"collaterals\"") == std::string::npos) return parsed.error();
  std::unique_ptr<PlatformCollateral> out(new PlatformCollateral({}, std::move(text)));
  if (!parsed) return out;
  if (const auto contents = collateral::contents_of(*parsed)) out->fixed_until_ = contents->validity.until;
  out->fixed_ = std::make_shared<const Collateral>(*std::move(parsed));
  return out;
}

std::unique_ptr<PlatformCollateral> PlatformCollateral::of_cache(Options options) {
  std::unique_ptr<PlatformCollateral> out(new PlatformCollateral(std::move(options), ""));
  out->read_cache();
  out->thread_ = std::thread([raw = out.get()] { raw->run(); });
  return out;
}

PlatformCollateral::~PlatformCollateral() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

PlatformCollateral::Known* PlatformCollateral::find(const PlatformKind& kind) {
  auto found = std::find_if(known_.begin(), known_.end(), [&](const Known& one) { return one.kind == kind; });
  return found == known_.end() ? nullptr : &*found;
}

// The one that was issued later stays.
void PlatformCollateral::keep(Entry entry) {
  Known* known = find(entry.contents.platform);
  if (known == nullptr) known = &known_.emplace_back(Known{.kind = entry.contents.platform});
  if (known->entry && known->entry->contents.validity.from > entry.contents.validity.from) return;
  if (!known->entry || !(known->entry->collateral == entry.collateral))
    known->parts = std::make_shared<const Collateral>(entry.collateral);
  known->entry = std::move(entry);
}

bool PlatformCollateral::is_ours(const Entry& entry) const {
  if (!options_.service.empty()) return entry.url == options_.edition.with_url(options_.service);
  return collateral::Edition::is_early(entry.url) == (options_.edition == collateral::Edition::early());
}

void PlatformCollateral::read_cache() {
  if (!options_.cache) return;
  auto all = collateral::Cache(*options_.cache).list();
  if (!all) return base::log::warn("collateral cache unreadable", {{"reason", all.error().message()}});
  const std::lock_guard lock(mutex_);
  for (auto& listed : *all) {
    if (!listed.entry)
      base::log::warn("cache entry damaged", {{"file", listed.file}, {"reason", listed.entry.error().message()}});
    else if (is_ours(*listed.entry))
      keep(*std::move(listed.entry));
  }
}

void PlatformCollateral::run() {
  Time looked = options_.now();
  while (true) {
    std::optional<PlatformKind> due;
    {
      std::unique_lock lock(mutex_);
      const Time now = options_.now();
      for (const Known& one : known_)
        if (options_.ask && now >= one.not_before &&
            (one.wanted || (one.entry && age_of(*one.entry, now) != Age::kFresh)))
          due = one.kind;
      if (!due) changed_.wait_for(lock, std::chrono::seconds(1));
      if (ending_) return;
    }
    const Time now = options_.now();
    if (due) {
      auto answer = options_.ask(*due);
      const std::string from = options_.edition.with_url(options_.service);
      auto entry = answer ? collateral::make_entry(from, now, *std::move(answer)) : Result<Entry>(answer.error());
      if (entry && options_.cache) {
        if (auto kept = collateral::Cache(*options_.cache).keep(*entry); !kept)
          base::log::warn("collateral not kept", {{"reason", kept.error().message()}});
      }
      const std::lock_guard lock(mutex_);
      Known* known = find(*due);
      known->wanted = false;
      known->not_before = now + options_.pause;
      known->failure = entry ? "" : entry.error().message();
      if (entry) {
        base::log::info(
            "collateral fetched",
            {{"platform", to_string(*due)}, {"from", from}, {"expires", format_time(entry->contents.validity.until)}});
        keep(*std::move(entry));
      } else {
        ++failures_;
        base::log::warn("collateral not fetched",
                        {{"platform", to_string(*due)}, {"from", from}, {"reason", known->failure}});
      }
    }
    if (now >= looked + kLookEvery || now < looked) {
      looked = now;
      read_cache();
    }
  }
}

Result<std::shared_ptr<const Collateral>> PlatformCollateral::of(const PlatformKind& kind) {
  const std::string what = "collateral for " + to_string(kind);
  const std::lock_guard lock(mutex_);
  const Time now = options_.now();
  Known* known = find(kind);
  if (known != nullptr && known->parts && age_of(*known->entry, now) != Age::kExpired) return known->parts;
  if (!options_.ask) {
    if (known != nullptr && known->parts)
      return Error(ErrorKind::kUnavailable, what +
                                                " has expired, and this service asks nobody for newer; bring it with "
                                                "`enclayer collateral import`");
    return Error(ErrorKind::kNotFound, "there is no " + what + " in this service's cache, and it asks nobody");
  }
  const auto& allowed = options_.fmspc;
  if (known == nullptr && !options_.for_verified &&
      std::find(allowed.begin(), allowed.end(), kind.fmspc) == allowed.end())
    return Error(ErrorKind::kNotFound, "this service gets no " + what +
                                           ": its FMSPC is not among those that are allowed "
                                           "(--fmspc " +
                                           base::to_hex(kind.fmspc) + ")");
  if (known == nullptr) known = &known_.emplace_back(Known{.kind = kind});
  if (!known->failure.empty() && now < known->not_before)
    return Error(ErrorKind::kUnavailable, what + " could not be fetched: " + known->failure);
  known->wanted = true;
  changed_.notify_all();
  return Error(ErrorKind::kUnavailable, what + " is being fetched");
}

Result<std::shared_ptr<const Collateral>> PlatformCollateral::for_quote(ByteView quote) {
  if (fixed_) return fixed_;
  if (!text_.empty()) {
    ENCLAYER_TRY(Collateral parts, collateral_for(quote, text_));
    return std::make_shared<const Collateral>(std::move(parts));
  }
  ENCLAYER_TRY(const auto platform, collateral::platform_of_quote(quote));
  return of(platform.kind);
}

Result<std::shared_ptr<const Collateral>> PlatformCollateral::for_platforms(std::optional<ByteArray<6>> fmspc,
                                                                            std::optional<collateral::PckCa> ca,
                                                                            collateral::Tee tee) {
  if (fixed_) {
    ENCLAYER_TRY(const auto contents, collateral::contents_of(*fixed_));
    const bool asked = (!fmspc || contents.platform.fmspc == *fmspc) && (!ca || contents.platform.ca == *ca) &&
                       contents.platform.tee == tee;
    if (asked) return fixed_;
    return Error(ErrorKind::kNotFound, "this service has collateral for " + to_string(contents.platform) + " alone");
  }
  std::optional<PlatformKind> kind;
  {
    const std::lock_guard lock(mutex_);
    for (const Known& one : known_)
      if (one.parts && (!fmspc || one.kind.fmspc == *fmspc) && (!ca || one.kind.ca == *ca) && one.kind.tee == tee)
        kind = one.kind;
  }
  if (kind) return of(*kind);
  if (!fmspc) return Error(ErrorKind::kNotFound, "this service has no such collateral");
  // Whoever asks for TCB Info does not say of which authority the certificates are; servers have the Platform CA's.
  return of({*fmspc, ca.value_or(collateral::PckCa::kPlatform), tee});
}

std::optional<Time> PlatformCollateral::first_expiry() const {
  const std::lock_guard lock(mutex_);
  std::optional<Time> first = fixed_until_;
  for (const Known& one : known_)
    if (one.entry && (!first || one.entry->contents.validity.until < *first))
      first = one.entry->contents.validity.until;
  return first;
}

std::uint64_t PlatformCollateral::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

}  // namespace enclayer::attest
