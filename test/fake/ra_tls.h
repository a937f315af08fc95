// SPDX-License-Identifier: Apache-2.0
// RA-TLS certificates of any making: OpenSSL builds them, libcbor writes what is CBOR in them, so that nothing of the
// reader under test has a part in it.
#pragma once

#include <cbor.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/hex.h"
#include "enclayer/bytes.h"
#include "enclayer/collateral.h"

namespace enclayer::fake {

inline constexpr const char *kGramineOid = "0.6.9.42.840.113741.1337.6", *kIntelOid = "1.2.840.113741.1.13.1",
                            *kOpenEnclaveReportOid = "1.2.840.113556.10.1.1",
                            *kNewOpenEnclaveReportOid = "1.3.6.1.4.1.311.105.1",
                            *kOpenEnclaveEvidenceOid = "1.2.840.113556.10.1.2", *kDiceOid = "2.23.133.5.4.9",
                            *kEndorsementsOid = "2.23.133.5.4.2";

inline void must(bool good) {
  if (!good) throw std::runtime_error("making an RA-TLS certificate failed");
}

class RaTlsMaker {
 public:
  // "P-256", "RSA", "RSA1024", "ED25519" or the name of another curve.
  explicit RaTlsMaker(const std::string& key = "P-256") {
    EVP_PKEY* made = key == "RSA"       ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048})
                     : key == "RSA1024" ? EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{1024})
                     : key == "ED25519" ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                                        : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", key.c_str());
    must(made != nullptr);
    key_ = {made, EVP_PKEY_free};
    signer_ = key_;
    digest_ = key == "ED25519" ? nullptr : key == "P-384" ? EVP_sha384() : EVP_sha256();
  }

  std::string subject = "RA-TLS", issuer = "RA-TLS", until = "391231235959Z";

  // SubjectPublicKeyInfo.
  Bytes public_key() const {
    unsigned char* der = nullptr;
    const int size = i2d_PUBKEY(key_.get(), &der);
    must(size > 0);
    Bytes out(der, der + size);
    OPENSSL_free(der);
    return out;
  }
  // The same in PEM, with a NUL.
  Bytes public_key_pem() const {
    std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new(BIO_s_mem()), BIO_free_all);
    must(bio && PEM_write_bio_PUBKEY(bio.get(), key_.get()) == 1);
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &text);
    Bytes out(text, text + size);
    out.push_back(0);
    return out;
  }

  void sign_with(const RaTlsMaker& other) { signer_ = other.key_; }
  void add(const char* oid, Bytes value, bool critical = false) {
    extensions_.push_back({oid, std::move(value), critical});
  }

  // DER, valid from 2001.
  Bytes make() const {
    std::unique_ptr<X509, decltype(&X509_free)> x509(X509_new(), X509_free);
    must(x509 && X509_set_version(x509.get(), X509_VERSION_3) == 1);
    must(ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), 1) == 1);
    auto name = [](X509_NAME* to, const std::string& text) {
      must(X509_NAME_add_entry_by_txt(to, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(text.c_str()), -1,
                                      -1, 0) == 1);
    };
    name(X509_get_subject_name(x509.get()), subject);
    name(X509_get_issuer_name(x509.get()), issuer);
    must(ASN1_TIME_set_string(X509_getm_notBefore(x509.get()), "010101000000Z") == 1);
    must(ASN1_TIME_set_string(X509_getm_notAfter(x509.get()), until.c_str()) == 1);
    must(X509_set_pubkey(x509.get(), key_.get()) == 1);
    for (const Extension& extension : extensions_) {
      std::unique_ptr<ASN1_OBJECT, decltype(&ASN1_OBJECT_free)> oid(OBJ_txt2obj(extension.oid.c_str(), 1),
                                                                    ASN1_OBJECT_free);
      std::unique_ptr<ASN1_OCTET_STRING, decltype(&ASN1_OCTET_STRING_free)> value(ASN1_OCTET_STRING_new(),
                                                                                  ASN1_OCTET_STRING_free);
      must(oid && ASN1_OCTET_STRING_set(value.get(), extension.value.data(), int(extension.value.size())) == 1);
      std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> made(
          X509_EXTENSION_create_by_OBJ(nullptr, oid.get(), extension.critical ? 1 : 0, value.get()),
          X509_EXTENSION_free);
      must(made && X509_add_ext(x509.get(), made.get(), -1) == 1);
    }
    must(X509_sign(x509.get(), signer_.get(), digest_) > 0);
    unsigned char* der = nullptr;
    const int size = i2d_X509(x509.get(), &der);
    must(size > 0);
    Bytes out(der, der + size);
    OPENSSL_free(der);
    return out;
  }

  // `message` signed as certificates are.
  Bytes signature_of(ByteView message) const {
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    std::size_t size = 0;
    must(EVP_DigestSignInit(context.get(), nullptr, digest_, nullptr, signer_.get()) == 1 &&
         EVP_DigestSign(context.get(), nullptr, &size, message.data(), message.size()) == 1);
    Bytes out(size);
    must(EVP_DigestSign(context.get(), out.data(), &size, message.data(), message.size()) == 1);
    out.resize(size);
    return out;
  }

 private:
  struct Extension {
    std::string oid;
    Bytes value;
    bool critical;
  };
  std::shared_ptr<EVP_PKEY> key_, signer_;
  const EVP_MD* digest_ = nullptr;
  std::vector<Extension> extensions_;
};

inline Bytes der_element(std::uint8_t tag, ByteView content) {
  Bytes out{tag};
  if (content.size() < 0x80) {
    out.push_back(static_cast<std::uint8_t>(content.size()));
  } else {
    out.insert(out.end(), {0x83, static_cast<std::uint8_t>(content.size() >> 16),
                           static_cast<std::uint8_t>(content.size() >> 8), static_cast<std::uint8_t>(content.size())});
    while (out[2] == 0) {  // the shortest form
      out.erase(out.begin() + 2);
      --out[1];
    }
  }
  base::append(out, content);
  return out;
}

// The certificate with Gramine's NULL after ecdsa-with-SHA256, in both places, signed anew. Of a maker with P-256.
inline Bytes with_null_parameters(const RaTlsMaker& maker) {
  const Bytes plain = base::from_hex("300a06082a8648ce3d040302").value();
  const Bytes with_null = base::from_hex("300c06082a8648ce3d0403020500").value();
  const Bytes der = maker.make();
  // SEQUENCE { SEQUENCE { [0] version, serial, algorithm, ... }, algorithm, signature }
  auto header = [](ByteView at) { return at[1] < 0x80 ? std::size_t{2} : std::size_t{2} + (at[1] & 0x7f); };
  ByteView tbs = ByteView(der).subspan(header(der));
  const std::size_t tbs_header = header(tbs);
  auto found = std::search(tbs.begin(), tbs.end(), plain.begin(), plain.end());
  must(found != tbs.end());
  const ByteView before(tbs.begin() + std::ptrdiff_t(tbs_header), found);
  const ByteView rest(found + std::ptrdiff_t(plain.size()), tbs.end());
  auto last = std::find_end(rest.begin(), rest.end(), plain.begin(), plain.end());
  must(last != rest.end());
  Bytes content(before.begin(), before.end());
  base::append(content, with_null);
  content.insert(content.end(), rest.begin(), last);
  Bytes out = der_element(0x30, content);
  Bytes bits{0};
  base::append(bits, maker.signature_of(out));
  base::append(out, with_null);
  base::append(out, der_element(0x03, bits));
  return der_element(0x30, out);
}

// ---- CBOR ----

inline Bytes to_bytes(cbor_item_t* item) {
  unsigned char* data = nullptr;
  std::size_t room = 0;
  const std::size_t size = cbor_serialize_alloc(item, &data, &room);
  must(size > 0);
  Bytes out(data, data + size);
  std::free(data);
  cbor_decref(&item);
  return out;
}
inline cbor_item_t* cbor_bytes(ByteView bytes) { return cbor_move(cbor_build_bytestring(bytes.data(), bytes.size())); }

// {"pubkey-hash": [algorithm, hash of the key], "nonce": ...}; an algorithm that is not 1, 7 or 8 is half of SHA-256.
inline Bytes claims(const Bytes& public_key, std::uint8_t algorithm = 1, std::optional<Bytes> nonce = {}) {
  const EVP_MD* digest = algorithm == 7 ? EVP_sha384() : algorithm == 8 ? EVP_sha512() : EVP_sha256();
  Bytes hash(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  must(EVP_Digest(public_key.data(), public_key.size(), hash.data(), &size, digest, nullptr) == 1);
  hash.resize(algorithm == 2 ? size / 2 : size);
  cbor_item_t* entry = cbor_new_definite_array(2);
  must(cbor_array_push(entry, cbor_move(cbor_build_uint8(algorithm))) && cbor_array_push(entry, cbor_bytes(hash)));
  const Bytes hash_entry = to_bytes(entry);
  cbor_item_t* map = cbor_new_definite_map(nonce ? 2 : 1);
  must(cbor_map_add(map, {cbor_move(cbor_build_string("pubkey-hash")), cbor_bytes(hash_entry)}));
  if (nonce) must(cbor_map_add(map, {cbor_move(cbor_build_string("nonce")), cbor_bytes(*nonce)}));
  return to_bytes(map);
}

inline Bytes tagged(cbor_item_t* array) {
  cbor_item_t* tag = cbor_new_tag(60000);
  cbor_tag_set_item(tag, cbor_move(array));
  return to_bytes(tag);
}
inline Bytes dice(ByteView quote, ByteView claims_buffer) {
  cbor_item_t* array = cbor_new_definite_array(2);
  must(cbor_array_push(array, cbor_bytes(quote)) && cbor_array_push(array, cbor_bytes(claims_buffer)));
  return tagged(array);
}

// As rats-tls writes it; texts and CRLs with the NUL that Intel's quote provider library leaves after them.
inline Bytes endorsements(const Collateral& c, bool dated) {
  auto with_nul = [](std::string_view text) {
    Bytes out(text.begin(), text.end());
    out.push_back(0);
    return out;
  };
  auto wrapped = [&](const char* key, const std::string& text, const Bytes& signature) {
    return with_nul("{\"" + std::string(key) + "\":" + text + ",\"signature\":\"" + base::to_hex(signature) + "\"}");
  };
  std::vector<Bytes> parts = {wrapped("tcbInfo", c.tcb_info, c.tcb_info_signature),
                              with_nul(c.tcb_info_issuer_chain),
                              with_nul(base::as_text(c.pck_crl)),
                              with_nul(base::as_text(c.root_ca_crl)),
                              with_nul(c.pck_crl_issuer_chain),
                              wrapped("enclaveIdentity", c.qe_identity, c.qe_identity_signature),
                              with_nul(c.qe_identity_issuer_chain)};
  if (dated) parts.push_back(with_nul("2025-06-25T00:00:00Z"));
  cbor_item_t* array = cbor_new_definite_array(parts.size() + 1);
  must(cbor_array_push(array, cbor_move(cbor_build_uint32(3))));
  for (const Bytes& part : parts) must(cbor_array_push(array, cbor_bytes(part)));
  return tagged(array);
}

// ---- Open Enclave ----

inline Bytes with_open_enclave_header(ByteView quote) {
  Bytes out(16);
  base::store_le32(out.data(), 1);
  base::store_le32(out.data() + 4, 2);
  base::store_le64(out.data() + 8, quote.size());
  base::append(out, quote);
  return out;
}

inline Bytes open_enclave_evidence(ByteView quote, ByteView custom_claims) {
  Bytes out = base::from_hex("03000000a3a21e871b4d4014b70aa125d2fbcd8c00000000").value();
  out.resize(32);
  base::store_le64(out.data() + 24, quote.size() + custom_claims.size());
  base::append(out, quote);
  base::append(out, custom_claims);
  return out;
}

}  // namespace enclayer::fake
