// SPDX-License-Identifier: Apache-2.0
// What a provisioning service answered, as it came, and as a folder of files. The service is Intel's (PCS) or a caching
// one in its place (PCCS); both speak Intel's "Provisioning Certification Service" API, versions 3 and 4.
//
// The folder is what curl makes of the same requests (docs/collateral.md): NAME is the body byte for byte, NAME.headers
// the header lines, from which only the issuer chain is read.
//
//   pckcrl, pckcrl.headers            GET pckcrl?ca=...&encoding=der   SGX-PCK-CRL-Issuer-Chain
//   rootcacrl                         GET rootcacrl (PCCS), or the CRL that the root's certificate points to
//   tcb, tcb.headers                  GET tcb?fmspc=...                TCB-Info-Issuer-Chain, SGX-TCB-Info-Issuer-Chain
//   qe_identity, qe_identity.headers  GET qe/identity                  SGX-Enclave-Identity-Issuer-Chain
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "attestation/collateral_forms.h"
#include "enclayer/bytes.h"
#include "enclayer/collateral.h"
#include "enclayer/error.h"
#include "http/client.h"

namespace enclayer::collateral {

using attestation::crl_in_der;
using attestation::percent_decoded;
using http::Response;

// Bytes; what real services send is below 20 KB and 10 KB.
inline constexpr std::size_t kMaxBody = attestation::kMaxCrlText;
inline constexpr std::size_t kMaxHeaders = 64 << 10;

struct Responses {
  Response pck_crl, root_ca_crl, tcb_info, qe_identity;

  bool operator==(const Responses&) const = default;
};

// The value of a header, its name in any case, spaces around it removed. kMalformed when it is there twice or not at
// all; `names` lists the spellings of different versions of the service, of which exactly one has to be there.
Result<std::string> header_value(std::string_view headers, std::initializer_list<std::string_view> names);

// The PEM chain in the header of a response to pckcrl: the PCK CA, the root.
Result<std::string> pck_crl_issuer_chain(const Response& response);

// Cuts the responses up; the signed JSON objects stay byte for byte as they are in the body. Says nothing about what
// the parts are worth: that is for contents_of() and verify().
Result<Collateral> collateral_from(const Responses& responses);

// The folder's files. A missing one is kNotFound and named; one beyond its limit is kMalformed.
Result<Responses> read_responses(const std::filesystem::path& folder);
// Makes the folder when it is not there; each file is replaced as a whole.
Result<> write_responses(const std::filesystem::path& folder, const Responses& responses);

}  // namespace enclayer::collateral
