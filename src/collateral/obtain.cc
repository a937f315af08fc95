// SPDX-License-Identifier: Apache-2.0
#include "collateral/obtain.h"

#include <optional>

namespace enclayer::collateral {
namespace {

Error nothing_offline(const Cache* cache, const Request& request) {
  std::string what = "no collateral for " + to_string(request.platform) + " from " + request.url;
  if (cache == nullptr) return {ErrorKind::kNotFound, what + ": there is no cache to take it from"};
  what += " is in " + cache->folder().string();
  for (auto all = cache->list().value_or(std::vector<Cache::Listed>{}); const Cache::Listed& listed : all)
    if (listed.entry && listed.entry->contents.platform == request.platform)
      return {ErrorKind::kNotFound, what + "; there is some from " + listed.entry->url + " (--pccs)"};
  return {ErrorKind::kNotFound, what + "; `enclayer collateral import` brings what was exported elsewhere"};
}

}  // namespace

Result<Obtained> obtain(const Cache* cache, const Request& request, Time now, const AskService& ask) {
  std::vector<std::string> warnings;
  std::optional<Entry> cached;
  if (cache != nullptr) {
    auto found = cache->find(request.platform, request.url);
    if (found) {
      cached = std::move(*found);
    } else {
      warnings.push_back("what the cache has is not used: " + found.error().message());
    }
  }
  auto take_cached = [&] { return Obtained{std::move(*cached), true, std::move(warnings)}; };
  auto doubt = [&](const Entry& entry) {
    if (age_of(entry, now) == Age::kExpired)
      warnings.push_back(
          entry.contents.validity.refusal("this collateral (" + entry.contents.first_to_expire + " ends it)", now));
  };

  if (request.offline) {
    if (!cached) {
      Error error = nothing_offline(cache, request);
      return warnings.empty() ? error : error.with_context(warnings.front());
    }
    doubt(*cached);
    return take_cached();
  }
  if (cached && !request.refresh && age_of(*cached, now) == Age::kFresh) return take_cached();

  auto answer = ask();
  if (!answer) {
    if (!cached || age_of(*cached, now) == Age::kExpired) return answer.error();
    warnings.push_back("the service failed, so this is what was fetched from it at " + format_time(cached->fetched) +
                       ": " + answer.error().message());
    return take_cached();
  }
  ENCLAYER_TRY(Entry entry, make_entry(request.url, now, std::move(*answer)));
  if (cache != nullptr) {
    auto kept = cache->keep(entry);
    if (!kept) {
      warnings.push_back("not kept in the cache: " + kept.error().message());
    } else if (!*kept) {
      warnings.push_back("the service answered with collateral that is older than what the cache has, which is taken");
      // Another process may have put it there since.
      if (auto newer = cache->find(request.platform, request.url); newer && *newer) {
        doubt(**newer);
        return Obtained{std::move(**newer), true, std::move(warnings)};
      }
    }
  }
  doubt(entry);
  return Obtained{std::move(entry), false, std::move(warnings)};
}

}  // namespace enclayer::collateral
