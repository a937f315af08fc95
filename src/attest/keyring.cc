// SPDX-License-Identifier: Apache-2.0
#include "attest/keyring.h"

#include "base/file.h"

namespace enclayer::attest {

Result<std::unique_ptr<Keyring>> Keyring::open(Options options, Time now) {
  std::unique_ptr<Keyring> keyring(new Keyring(std::move(options)));
  ENCLAYER_CHECK(keyring->renew(now));
  return keyring;
}

Result<> Keyring::make(Time now, std::optional<Time> rotate_at) {
  if (signing_ != nullptr) {
    ENCLAYER_CHECK(signing_->renew(now, rotate_at));
  } else {
    ENCLAYER_TRY(signing_, SigningKeys::open(options_.signing, now, rotate_at));
  }
  if (!options_.certificate) return {};
  ENCLAYER_TRY(const base::UniqueFd lock, base::lock_file(options_.signing.folder / "lock"));
  return options_.certificate->renew(now);
}

Result<> Keyring::share(Time now) {
  ENCLAYER_CHECK(options_.secret->renew([&](std::optional<Time> rotate_at) { return make(now, rotate_at); }));
  if (options_.authority_map.empty() || !options_.certificate) return {};
  ENCLAYER_TRY(const std::string authority, base::read_text(options_.certificate->authority(), std::size_t{64} << 10));
  return options_.secret->publish(options_.authority_map, "ca.crt", authority);
}

Result<> Keyring::renew(Time now) {
  if (!options_.secret) return make(now, std::nullopt);
  // A clock that was set back is no reason to wait longer.
  if (looked_ && now >= *looked_ && now < *looked_ + kLookEvery) return {};
  looked_.reset();
  ENCLAYER_CHECK(share(now));
  looked_ = now;
  return {};
}

}  // namespace enclayer::attest
