// SPDX-License-Identifier: Apache-2.0
// The certificates and revocation lists that the simulation issues. An order is a plain value: with one field changed
// it makes what no honest authority would issue, for the tests of a verifier.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "enclayer/bytes.h"
#include "enclayer/error.h"
#include "enclayer/time.h"
#include "sim/signing_key.h"

namespace enclayer::sim {

using Serial = ByteArray<20>;

// A fresh one: random, positive, 160 bits long, as Intel's are.
Serial random_serial();

// Of Intel's extension, below: the items that only certificates of the Platform CA have.
struct SgxPlatform {
  ByteArray<16> instance_id{};
  bool has_configuration = true;  // false: six items, which no authority issues
  bool dynamic_platform = true, cached_keys = true, smt_enabled = true;
};

// Intel's extension of PCK certificates, 1.2.840.113741.1.13.1: which machine at which patch level the certificate is
// for.
struct SgxExtension {
  ByteArray<16> ppid{};
  ByteArray<16> components{};  // the 16 SVNs that TCB Info speaks of
  std::uint16_t pce_svn = 0;
  ByteArray<16> cpu_svn{};
  ByteArray<2> pce_id{};
  ByteArray<6> fmspc{};
  int sgx_type = 1;  // 0 standard, 1 scalable, 2 scalable with integrity
  std::optional<SgxPlatform> platform;
};

struct CertificateOrder {
  std::string common_name;
  std::string organization = "Simulation only - not Intel";
  Serial serial{};
  Time not_before, not_after;
  std::string basic_constraints, key_usage;  // as OpenSSL spells them: "critical,CA:TRUE,pathlen:0"
  std::string crl_url;
  std::optional<SgxExtension> sgx;
};

// Somebody who holds a certificate and its key.
struct Identity {
  SigningKey key;
  std::string certificate;  // PEM
};

// A certificate for `subject`, PEM. Without an issuer it is signed with the subject's own key.
Result<std::string> issue_certificate(const CertificateOrder& order, const SigningKey& subject, const Identity* issuer);

struct CrlOrder {
  Time this_update, next_update;
  std::optional<std::uint64_t> number = 1;  // nullopt: a list without one, which no authority issues
  std::vector<Serial> revoked;              // at this_update
};

// DER.
Result<Bytes> issue_crl(const CrlOrder& order, const Identity& issuer);

// Whether the certificate is for this key, was signed by `issuer` (nullptr: by itself) and is valid at `now`;
// kMalformed with the reason if not. Not a verification of trust: it finds a state folder that was damaged or mixed up.
Result<> check_identity(const Identity& identity, const Identity* issuer, Time now);

}  // namespace enclayer::sim
