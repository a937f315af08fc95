// SPDX-License-Identifier: Apache-2.0
#include "sgx/report.h"

#include <algorithm>

#include "base/bytes.h"

namespace enclayer::sgx {

using base::array_at;

TargetInfo TargetInfo::from_bytes(std::span<const std::uint8_t, kSize> bytes) {
  const std::uint8_t* p = bytes.data();
  TargetInfo target;
  target.mr_enclave = array_at<32>(bytes, 0);
  target.attributes = {base::load_le64(p + 32), base::load_le64(p + 40)};
  target.config_svn = base::load_le16(p + 50);
  target.misc_select = base::load_le32(p + 52);
  target.config_id = array_at<64>(bytes, 64);
  return target;
}

ByteArray<TargetInfo::kSize> TargetInfo::to_bytes() const {
  ByteArray<kSize> out{};
  std::uint8_t* p = out.data();
  std::copy(mr_enclave.begin(), mr_enclave.end(), p);
  base::store_le64(p + 32, attributes.flags);
  base::store_le64(p + 40, attributes.xfrm);
  base::store_le16(p + 50, config_svn);
  base::store_le32(p + 52, misc_select);
  std::copy(config_id.begin(), config_id.end(), p + 64);
  return out;
}

}  // namespace enclayer::sgx
