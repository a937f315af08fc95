// SPDX-License-Identifier: Apache-2.0
#include "attest/signing_keys.h"

#include <openssl/rand.h>

#include <algorithm>
#include <limits>

#include "attest/certificate.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/log.h"

namespace enclayer::attest {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kOthers = 077, kOthersWrite = 022;
constexpr auto kNonceKey = "nonce.key";
constexpr auto kSuffix = ".pem";

template <std::size_t N>
ByteArray<N> random_bytes() {
  ByteArray<N> out{};
  if (::RAND_bytes(out.data(), static_cast<int>(out.size())) != 1) std::abort();  // no randomness, no keys
  return out;
}

}  // namespace

Result<std::unique_ptr<SigningKeys>> SigningKeys::open(Options options, Time now, std::optional<Time> rotate_at) {
  std::unique_ptr<SigningKeys> keys(new SigningKeys(std::move(options)));
  if (keys->options_.ours) {
    ENCLAYER_CHECK(base::make_folder(keys->options_.folder, 0700));
  }
  ENCLAYER_CHECK(keys->renew(now, rotate_at));
  return keys;
}

Result<SigningKeys::Folder> SigningKeys::read() const {
  std::error_code error;
  fs::directory_iterator all(options_.folder, error);
  if (error)
    return Error(error == std::errc::permission_denied ? ErrorKind::kPermissionDenied : ErrorKind::kNotFound,
                 "the signing keys' folder " + options_.folder.string() + " cannot be read: " + error.message());
  Folder out;
  for (const auto& entry : all) {
    const fs::path& path = entry.path();
    if (path.extension() != kSuffix || path.filename().string().starts_with(".")) continue;
    if (out.rs256.size() + out.es256.size() == kMaxKeys)
      return Error(ErrorKind::kExhausted, options_.folder.string() + " holds more than " + std::to_string(kMaxKeys) +
                                              " signing keys; remove the oldest");
    const auto found = base::Root(options_.folder).stat(path.filename().string());
    if (options_.ours && found && (found->st_mode & kOthers) != 0)
      return Error(
          ErrorKind::kConflict,
          path.string() + " may be read by others: whoever did can sign tokens. Remove it, and another is made");
    if (!options_.ours && found && (found->st_mode & kOthersWrite) != 0)
      return Error(ErrorKind::kConflict, path.string() +
                                             " may be written by others: whoever did chooses who signs tokens "
                                             "here. chmod go-w " +
                                             path.string());
    ENCLAYER_TRY(const std::string pem, base::read_text(path, kMaxPem));
    auto key = TokenKey::from_pem(pem);
    if (!key) return key.error().with_context("signing key " + path.string());
    if (key->simulated() != options_.simulated)
      return Error(ErrorKind::kConflict,
                   path.string() +
                       (options_.simulated ? " is the key of an instance that is not simulated"
                                           : " is the key of a simulated instance, which proves nothing") +
                       "; give this instance a folder of its own");
    Keys& keys = key->algorithm() == Algorithm::kRs256 ? out.rs256 : out.es256;
    keys.push_back(std::make_shared<const TokenKey>(*std::move(key)));
  }
  for (Keys* keys : {&out.rs256, &out.es256})
    std::sort(keys->begin(), keys->end(), [](const auto& a, const auto& b) {
      return std::pair(a->made(), a->id()) < std::pair(b->made(), b->id());
    });
  return out;
}

Result<> SigningKeys::make(Algorithm algorithm, Time now) const {
  ENCLAYER_TRY(const TokenKey key, TokenKey::generate(algorithm, options_.simulated, now));
  std::string name = format_time(now);
  std::erase_if(name, [](char c) { return c == '-' || c == ':'; });
  name = std::string(to_string(algorithm)) + "-" + name + "-" + base::to_hex(random_bytes<4>()) + kSuffix;
  const std::string pem = key.to_pem();
  ENCLAYER_CHECK(base::write_file_atomic(options_.folder / name, base::as_bytes(pem), 0600));
  base::log::info("signing key made", {{"algorithm", to_string(algorithm)}, {"kid", key.id()}, {"file", name}});
  return {};
}

void SigningKeys::remove_dead(const Folder& folder, Time now) const {
  for (const Keys& keys : {folder.rs256, folder.es256})
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (now <= published_until(keys, i)) continue;
      for (const std::string& name : base::Root(options_.folder).list("")) {
        if (!name.ends_with(kSuffix)) continue;
        const auto pem = base::read_text(options_.folder / name, kMaxPem);
        const auto key = pem ? TokenKey::from_pem(*pem) : Result<TokenKey>(pem.error());
        std::error_code ignored;
        if (key && key->id() == keys[i]->id() && fs::remove(options_.folder / name, ignored))
          base::log::info("signing key removed", {{"kid", key->id()}, {"file", name}});
      }
    }
}

Result<ByteArray<32>> SigningKeys::read_nonce_key() const {
  const fs::path path = options_.folder / kNonceKey;
  if (options_.ours && !fs::exists(path)) {
    ENCLAYER_CHECK(base::write_file_atomic(path, random_bytes<32>(), 0600));
  }
  ENCLAYER_TRY(const Bytes bytes, base::read_file(path, 1024));
  ByteArray<32> out{};
  if (bytes.size() != out.size())
    return Error(ErrorKind::kMalformed,
                 path.string() + " has " + std::to_string(bytes.size()) + " bytes, not " + std::to_string(out.size()));
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

ByteArray<32> SigningKeys::nonce_key() const {
  const std::lock_guard guard(mutex_);
  return nonce_key_;
}

Result<> SigningKeys::renew(Time now, std::optional<Time> rotate_at) {
  base::UniqueFd lock;
  if (options_.ours) {
    ENCLAYER_TRY(lock, base::lock_file(options_.folder / "lock"));
  }
  ENCLAYER_TRY(Folder found, read());
  // The newest has to be made after this.
  Time outdated = now - options_.turn_over;
  if (rotate_at && *rotate_at <= now) outdated = std::max(outdated, *rotate_at - std::chrono::seconds(1));
  for (const Algorithm algorithm : {Algorithm::kRs256, Algorithm::kEs256}) {
    const Keys& keys = found.of(algorithm);
    if (!options_.ours && keys.empty())
      return Error(ErrorKind::kNotFound, options_.folder.string() + " has no key for " +
                                             std::string(to_string(algorithm)) +
                                             " (a file *.pem, key and certificate)");
    if (options_.ours && (keys.empty() || keys.back()->made() <= outdated)) {
      ENCLAYER_CHECK(make(algorithm, now));
    }
  }
  if (options_.ours) {
    ENCLAYER_TRY(found, read());
    remove_dead(found, now);
  }
  ENCLAYER_TRY(const ByteArray<32> nonce_key, read_nonce_key());
  const std::lock_guard guard(mutex_);
  folder_ = std::move(found);
  nonce_key_ = nonce_key;
  return {};
}

SigningKeys::Folder SigningKeys::current() const {
  const std::lock_guard guard(mutex_);
  return folder_;
}

Time SigningKeys::signs_from(const Keys& keys, std::size_t which) {
  return which == 0 ? keys[0]->made() : keys[which]->made() + kPublishedFirst;
}

Time SigningKeys::published_until(const Keys& keys, std::size_t which) const {
  if (which + 1 == keys.size()) return Time::max();
  return signs_from(keys, which + 1) + options_.token_life + kSkew;
}

std::shared_ptr<const TokenKey> SigningKeys::signing(Algorithm algorithm, Time now) const {
  const Folder folder = current();
  const Keys& keys = folder.of(algorithm);
  for (std::size_t i = keys.size(); i-- > 1;)
    if (signs_from(keys, i) <= now) return keys[i];
  return keys.front();  // also where every clock was set back
}

std::string SigningKeys::listed(std::initializer_list<Algorithm> algorithms, Time now) const {
  const Folder folder = current();
  std::string out;
  for (const Algorithm algorithm : algorithms) {
    const Keys& keys = folder.of(algorithm);
    for (std::size_t i = 0; i < keys.size(); ++i)
      if (now <= published_until(keys, i)) out += (out.empty() ? "" : ",") + keys[i]->jwk();
  }
  return "{\"keys\":[" + out + "]}";
}

std::string SigningKeys::jwks(Time now) const { return listed({Algorithm::kRs256, Algorithm::kEs256}, now); }
std::string SigningKeys::jwks(Algorithm algorithm, Time now) const { return listed({algorithm}, now); }

}  // namespace enclayer::attest
