// SPDX-License-Identifier: Apache-2.0
// sgx_att_key_id_ext_t, 256 bytes: which attestation key a client wants its quote from. There is one to be had, the
// ECDSA P-256 key of Intel's QE3; the simulated QE answers to the same name, because clients accept no other.
#pragma once

#include "enclayer/bytes.h"

namespace enclayer::aesm {

using AttKeyId = ByteArray<256>;
inline constexpr std::size_t kPubKeyIdSize = 32;  // of a key's public id: SHA-256

// id 0 | version 0 | MRSIGNER length 32 | MRSIGNER of Intel's QE in 48 bytes | product id 1 | ... | algorithm id 2.
const AttKeyId& ecdsa_att_key_id();

// Whether `id` (256 bytes or more) names that key. Only the first 158 bytes say so (sgx_ql_att_key_id_t); the rest
// belongs to the client.
bool names_ecdsa_key(ByteView id);

}  // namespace enclayer::aesm
