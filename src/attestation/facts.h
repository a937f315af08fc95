// SPDX-License-Identifier: Apache-2.0
// Facts: what bytes parse to, and that a key signed them. A fact depends on those bytes and on nothing else, so it
// stays true whatever the time, the trusted root and the revocation lists say. Verification asks for facts and judges
// them; asked again, a fact is not worked out again, within one verification or, with a FactMemory, across many.
#pragma once

#include <compare>
#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "attestation/certificate.h"
#include "attestation/crl.h"
#include "attestation/qe_identity.h"
#include "attestation/tcb_info.h"
#include "base/digest.h"
#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer {
namespace attestation {

// The name of a fact: SHA-256 of all the bytes that it is about and, of a signature, the whole public key.
struct FactKey {
  enum class Kind { kPem, kCertificate, kCrl, kTcbInfo, kQeIdentity, kKey, kCertificateSigned, kCrlSigned, kSigned };

  Kind kind;
  ByteArray<32> about{};
  ByteArray<64> by{};

  auto operator<=>(const FactKey&) const = default;
};

struct Fact {
  FactKey key;
  std::shared_ptr<const void> value;  // of the type that belongs to the kind; of a signature, anything but null
  std::size_t size = 0;               // bytes of memory that it takes, estimated from above
};

}  // namespace attestation

// Facts of many verifications, the most recently used ones, within `capacity` bytes. Any thread may use it.
class FactMemory {
 public:
  explicit FactMemory(std::size_t capacity) : capacity_(capacity) {}

  std::shared_ptr<const void> find(const attestation::FactKey& key);  // null when it is not there
  void keep(std::vector<attestation::Fact> facts);
  std::size_t size() const;

  // Makes tables (p256.h) for these keys, as far as there is room for them. They are not forgotten, and do not count
  // against the capacity.
  static constexpr std::size_t kMaxTables = 16;
  void prepare(const std::set<ByteArray<64>>& points);
  std::shared_ptr<const attestation::P256Key> prepared(const ByteArray<64>& point) const;  // null without a table

 private:
  using ByUse = std::list<attestation::Fact>;  // the last used one first

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  ByUse by_use_;
  std::map<attestation::FactKey, ByUse::iterator> by_key_;  // a tree: no choice of keys makes it slow
  std::size_t size_ = 0;
  std::map<ByteArray<64>, std::shared_ptr<const attestation::P256Key>> tables_;
};

namespace attestation {

// Bytes of somebody else's, and what names them: hashed once, asked about often.
struct Hashed {
  explicit Hashed(ByteView all) : bytes(all), digest(base::sha256(all)) {}

  ByteView bytes;
  ByteArray<32> digest;
};

using Certificates = std::vector<CertificatePtr>;

// The facts that one verification asks for. For one thread.
class Facts {
 public:
  // With a `memory`, facts are looked up there too; what is new goes there with remember() and not before.
  explicit Facts(FactMemory* memory = nullptr) : memory_(memory) {}

  // The certificates of a PEM text (pem.h), in its order; `wanted` of them, or kUnsupported.
  Result<Certificates> certificates(std::string_view pem, std::size_t wanted);
  Result<std::shared_ptr<const Crl>> crl(ByteView der);
  Result<std::shared_ptr<const TcbInfo>> tcb_info(const Hashed& json);
  Result<std::shared_ptr<const QeIdentity>> qe_identity(const Hashed& json);
  std::shared_ptr<const P256Key> key(const ByteArray<64>& point);  // null when it is no point of the curve

  bool signed_by(const P256Key& key, const Certificate& certificate);
  bool signed_by(const P256Key& key, const Crl& crl);
  bool signed_by(const P256Key& key, const Hashed& message, ByteView r_s);

  // The keys that signed what was not known before.
  std::set<ByteArray<64>> signers() const;

  // Hands the new facts over to the memory, once nobody can doubt that the evidence was genuine.
  void remember();

 private:
  std::shared_ptr<const void> find(const FactKey& key) const;
  // Those of a PEM text that was read before; none when the text or one of them is not remembered.
  Certificates known_certificates(const FactKey& text) const;
  void add(const FactKey& key, std::shared_ptr<const void> value, std::size_t size);
  template <class T>
  Result<std::shared_ptr<const T>> parsed(FactKey::Kind kind, const Hashed& bytes, std::size_t growth, auto&& parse);
  bool holds(const FactKey& key, const P256Key& signer, auto&& check);

  FactMemory* memory_;
  std::map<FactKey, Fact> new_;
};

}  // namespace attestation
}  // namespace enclayer
