// SPDX-License-Identifier: Apache-2.0
#include "aesm/att_key_id.h"

#include <algorithm>

namespace enclayer::aesm {

const AttKeyId& ecdsa_att_key_id() {
  static constexpr ByteArray<32> kIntelQeMrSigner = {0x8c, 0x4f, 0x57, 0x75, 0xd7, 0x96, 0x50, 0x3e, 0x96, 0x13, 0x7f,
                                                     0x77, 0xc6, 0x8a, 0x82, 0x9a, 0x00, 0x56, 0xac, 0x8d, 0xed, 0x70,
                                                     0x14, 0x0b, 0x08, 0x1b, 0x09, 0x44, 0x90, 0xc5, 0x7b, 0xff};
  static const AttKeyId kId = [] {
    AttKeyId id{};
    id[4] = 32;  // mrsigner_length
    std::copy(kIntelQeMrSigner.begin(), kIntelQeMrSigner.end(), id.begin() + 6);
    id[54] = 1;   // prod_id
    id[154] = 2;  // algorithm_id: ECDSA P-256
    return id;
  }();
  return kId;
}

bool names_ecdsa_key(ByteView id) {
  constexpr std::size_t kCompared = 158;
  const AttKeyId& ours = ecdsa_att_key_id();
  return id.size() >= ours.size() && std::equal(ours.begin(), ours.begin() + kCompared, id.begin());
}

}  // namespace enclayer::aesm
