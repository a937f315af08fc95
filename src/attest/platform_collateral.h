// SPDX-License-Identifier: Apache-2.0
// Collateral for the quotes that are shown to a service, which never waits for it: what is there is there, what is not
// is fetched in the background while whoever needs it is told to come back.
//
// Either one file's, for every quote, as `enclayer verify --collateral` takes it; or that of a cache (src/collateral) and
// of the service that the cache is filled from. Strangers choose quotes, so they must not choose what we ask for: only
// platforms whose FMSPC is allowed, or that the cache knows, are asked for; one that failed is left alone for a while.
// Collateral of the early edition (collateral/service.h) is kept by a PlatformCollateral of its own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "collateral/cache.h"
#include "collateral/contents.h"
#include "collateral/service.h"
#include "enclayer/collateral.h"
#include "enclayer/error.h"
#include "enclayer/time.h"

namespace enclayer::attest {

class PlatformCollateral {
 public:
  static constexpr std::chrono::seconds kPause{60};      // after an answer or a failure, before the next try
  static constexpr std::chrono::seconds kLookEvery{30};  // at the cache's folder: bundles are imported there

  struct Options {
    std::optional<std::filesystem::path> cache{};
    std::string service{};          // its URL; "" asks nobody, and every service's entries of the cache are good
    collateral::Edition edition{};  // of this one alone; as the service likes it: of any but the early one
    // Asks that service; called in a thread of its own, for one platform at a time.
    std::function<Result<Collateral>(const collateral::PlatformKind&)> ask{};
    std::vector<ByteArray<6>> fmspc{};  // that are asked for although the cache does not know them
    bool for_verified = false;          // who wants collateral has verified the quote: its platform is asked for, too
    std::chrono::seconds pause = kPause;
    std::function<Time()> now;
  };

  // One file's text. kMalformed: it is no collateral.
  static Result<std::unique_ptr<PlatformCollateral>> of_file(std::string text);
  // Reads the cache at once, and asks for what is due.
  static std::unique_ptr<PlatformCollateral> of_cache(Options options);
  ~PlatformCollateral();

  // kUnavailable: it is being fetched, or could not be lately, or has expired; worth another try in a while. kNotFound:
  // nobody asks for this platform. Otherwise what is wrong with the quote, or with the file for this quote.
  Result<std::shared_ptr<const Collateral>> for_quote(ByteView quote);

  // The same for who asks for parts (collateral_door.h): any authority's, or any FMSPC's, where it is not given.
  Result<std::shared_ptr<const Collateral>> for_platforms(std::optional<ByteArray<6>> fmspc,
                                                          std::optional<collateral::PckCa> ca, collateral::Tee tee);

  // The earliest expiry of what is there; nullopt: nothing is, or a file of many platforms.
  std::optional<Time> first_expiry() const;
  std::uint64_t failures() const;  // of asking, since the start

 private:
  struct Known {
    collateral::PlatformKind kind;
    std::optional<collateral::Entry> entry{};
    std::shared_ptr<const Collateral> parts{};  // of the entry
    bool wanted = false;                        // by somebody who was sent away
    Time not_before{};                          // of the next try
    std::string failure{};                      // of the last one
  };

  PlatformCollateral(Options options, std::string text) : options_(std::move(options)), text_(std::move(text)) {}
  Known* find(const collateral::PlatformKind& kind);
  void keep(collateral::Entry entry);
  bool is_ours(const collateral::Entry& entry) const;
  void read_cache();
  void run();
  Result<std::shared_ptr<const Collateral>> of(const collateral::PlatformKind& kind);

  const Options options_;
  const std::string text_;                   // a file's
  std::shared_ptr<const Collateral> fixed_;  // the same where it needs no quote to be read
  std::optional<Time> fixed_until_{};        // and its expiry

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Known> known_;
  std::uint64_t failures_ = 0;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace enclayer::attest
