// SPDX-License-Identifier: Apache-2.0
#include "sgx/sigstruct.h"

#include <algorithm>

#include "base/bytes.h"

namespace enclayer::sgx {
namespace {

constexpr ByteArray<16> kHeader{0x06, 0, 0, 0, 0xE1, 0, 0, 0, 0, 0, 0x01, 0, 0, 0, 0, 0};
constexpr ByteArray<16> kHeader2{0x01, 0x01, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 0x01, 0, 0, 0};
constexpr std::size_t kHeader2At = 24, kMrEnclaveAt = 960, kIsvProdIdAt = 1024, kIsvSvnAt = 1026;

}  // namespace

std::vector<Sigstruct> find_sigstructs(ByteView file, std::size_t most) {
  std::vector<Sigstruct> found;
  for (auto at = file.begin(); found.size() < most; ++at) {
    at = std::search(at, file.end(), kHeader.begin(), kHeader.end());
    auto left = static_cast<std::size_t>(file.end() - at);
    if (left < Sigstruct::kSize) break;
    ByteView bytes = file.last(left).first(Sigstruct::kSize);
    if (!std::equal(kHeader2.begin(), kHeader2.end(), bytes.begin() + kHeader2At)) continue;
    found.push_back({base::array_at<32>(bytes, kMrEnclaveAt), base::load_le16(&bytes[kIsvProdIdAt]),
                     base::load_le16(&bytes[kIsvSvnAt])});
  }
  return found;
}

}  // namespace enclayer::sgx
