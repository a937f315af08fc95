// SPDX-License-Identifier: Apache-2.0
#include "attestation/facts.h"

#include <string>
#include <utility>

#include "attestation/pem.h"
#include "base/bytes.h"
#include "base/digest.h"

namespace enclayer {

using attestation::Fact;
using attestation::FactKey;

std::shared_ptr<const void> FactMemory::find(const FactKey& key) {
  std::lock_guard lock(mutex_);
  auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  by_use_.splice(by_use_.begin(), by_use_, found->second);
  return found->second->value;
}

void FactMemory::keep(std::vector<Fact> facts) {
  ByUse forgotten;  // freed after the lock
  std::lock_guard lock(mutex_);
  for (Fact& fact : facts) {
    if (fact.size > capacity_ || by_key_.contains(fact.key)) continue;
    while (capacity_ - size_ < fact.size) {
      size_ -= by_use_.back().size;
      by_key_.erase(by_use_.back().key);
      forgotten.splice(forgotten.begin(), by_use_, std::prev(by_use_.end()));
    }
    size_ += fact.size;
    by_use_.push_front(std::move(fact));
    by_key_.emplace(by_use_.front().key, by_use_.begin());
  }
}

std::size_t FactMemory::size() const {
  std::lock_guard lock(mutex_);
  return size_;
}

void FactMemory::prepare(const std::set<ByteArray<64>>& points) {
  for (const auto& point : points) {
    if (prepared(point)) continue;
    auto key = attestation::P256Key::from_point(point);
    if (!key) continue;
    {
      std::lock_guard lock(mutex_);
      if (tables_.size() == kMaxTables) return;
    }
    auto table = std::make_shared<const attestation::P256Key>(key->with_table());
    std::lock_guard lock(mutex_);
    if (tables_.size() < kMaxTables) tables_.emplace(point, std::move(table));
  }
}

std::shared_ptr<const attestation::P256Key> FactMemory::prepared(const ByteArray<64>& point) const {
  std::lock_guard lock(mutex_);
  auto found = tables_.find(point);
  return found == tables_.end() ? nullptr : found->second;
}

namespace attestation {
namespace {

using Kind = FactKey::Kind;

// Memory that facts take, measured and rounded up: the entry with its two keys; a key of OpenSSL; per byte of DER or
// JSON what OpenSSL's and our structures make of it.
constexpr std::size_t kEntry = 512;
constexpr std::size_t kKeySize = 3 << 10;
constexpr std::size_t kCertificateGrowth = 12, kCrlGrowth = 12, kJsonGrowth = 2;

// Which certificates a PEM text consists of.
using CertificateDigests = std::vector<ByteArray<32>>;

// What a fact that has no value points at.
const std::shared_ptr<const void>& yes() {
  static const std::shared_ptr<const void> kYes = std::make_shared<const bool>(true);
  return kYes;
}

}  // namespace

std::shared_ptr<const void> Facts::find(const FactKey& key) const {
  if (auto found = new_.find(key); found != new_.end()) return found->second.value;
  return memory_ != nullptr ? memory_->find(key) : nullptr;
}

void Facts::add(const FactKey& key, std::shared_ptr<const void> value, std::size_t size) {
  new_.emplace(key, Fact{key, std::move(value), kEntry + size});
}

void Facts::remember() {
  if (memory_ == nullptr || new_.empty()) return;
  std::vector<Fact> facts;
  facts.reserve(new_.size());
  for (auto& [key, fact] : new_) facts.push_back(std::move(fact));
  new_.clear();
  memory_->keep(std::move(facts));
}

template <class T>
Result<std::shared_ptr<const T>> Facts::parsed(Kind kind, const Hashed& bytes, std::size_t growth, auto&& parse) {
  FactKey key{kind, bytes.digest};
  if (auto known = find(key)) return std::static_pointer_cast<const T>(known);
  auto fresh = parse(bytes.bytes);
  if (!fresh) return fresh.error();
  auto value = std::make_shared<const T>(std::move(*fresh));
  add(key, value, growth * bytes.bytes.size());
  return value;
}

std::set<ByteArray<64>> Facts::signers() const {
  std::set<ByteArray<64>> out;
  for (const auto& [key, fact] : new_)
    if (key.kind == Kind::kCertificateSigned || key.kind == Kind::kCrlSigned || key.kind == Kind::kSigned)
      out.insert(key.by);
  return out;
}

bool Facts::holds(const FactKey& key, const P256Key& signer, auto&& check) {
  if (find(key)) return true;
  auto prepared = memory_ != nullptr ? memory_->prepared(signer.point()) : nullptr;
  if (!check(prepared ? *prepared : signer)) return false;
  add(key, yes(), 0);
  return true;
}

Certificates Facts::known_certificates(const FactKey& text) const {
  auto digests = std::static_pointer_cast<const CertificateDigests>(find(text));
  if (!digests) return {};
  Certificates out;
  for (const auto& digest : *digests) {
    auto certificate = std::static_pointer_cast<const Certificate>(find({Kind::kCertificate, digest}));
    if (!certificate) return {};
    out.push_back(std::move(certificate));
  }
  return out;
}

Result<Certificates> Facts::certificates(std::string_view pem, std::size_t wanted) {
  FactKey text{Kind::kPem, base::sha256(base::as_bytes(pem))};
  if (Certificates known = known_certificates(text); known.size() == wanted) return known;
  ENCLAYER_TRY(std::vector<Bytes> blocks, certificates_in_pem(pem));
  if (blocks.size() != wanted)  // told before any of them costs anything
    return Error(ErrorKind::kUnsupported,
                 "it has " + std::to_string(blocks.size()) + " certificates, not " + std::to_string(wanted));
  Certificates out;
  auto digests = std::make_shared<CertificateDigests>();
  for (const Bytes& block : blocks) {
    ENCLAYER_TRY(CertificatePtr certificate,
                 parsed<Certificate>(Kind::kCertificate, Hashed(block), kCertificateGrowth, Certificate::from_der));
    digests->push_back(certificate->digest);
    out.push_back(std::move(certificate));
  }
  add(text, digests, digests->size() * sizeof digests->front());
  return out;
}

Result<std::shared_ptr<const Crl>> Facts::crl(ByteView der) {
  return parsed<Crl>(Kind::kCrl, Hashed(der), kCrlGrowth, Crl::from_der);
}

Result<std::shared_ptr<const TcbInfo>> Facts::tcb_info(const Hashed& json) {
  return parsed<TcbInfo>(Kind::kTcbInfo, json, kJsonGrowth,
                         [](ByteView text) { return parse_tcb_info(base::as_text(text)); });
}

Result<std::shared_ptr<const QeIdentity>> Facts::qe_identity(const Hashed& json) {
  return parsed<QeIdentity>(Kind::kQeIdentity, json, kJsonGrowth,
                            [](ByteView text) { return parse_qe_identity(base::as_text(text)); });
}

std::shared_ptr<const P256Key> Facts::key(const ByteArray<64>& point) {
  FactKey key{Kind::kKey, {}, point};
  if (auto known = find(key)) return std::static_pointer_cast<const P256Key>(known);
  auto fresh = P256Key::from_point(point);
  if (!fresh) return nullptr;
  auto value = std::make_shared<const P256Key>(std::move(*fresh));
  add(key, value, kKeySize);
  return value;
}

bool Facts::signed_by(const P256Key& key, const Certificate& certificate) {
  return holds({Kind::kCertificateSigned, certificate.digest, key.point()}, key,
               [&](const P256Key& signer) { return certificate.signed_by(signer); });
}

bool Facts::signed_by(const P256Key& key, const Crl& crl) {
  return holds({Kind::kCrlSigned, crl.digest, key.point()}, key,
               [&](const P256Key& signer) { return crl.signed_by(signer); });
}

bool Facts::signed_by(const P256Key& key, const Hashed& message, ByteView r_s) {
  return r_s.size() == 64 && holds({Kind::kSigned, base::sha256(message.digest, r_s), key.point()}, key,
                                   [&](const P256Key& signer) { return signer.signed_digest(message.digest, r_s); });
}

}  // namespace attestation
}  // namespace enclayer
