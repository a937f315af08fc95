// SPDX-License-Identifier: Apache-2.0
#include "enclayer/report.h"

#include "base/bytes.h"

namespace enclayer {

using base::array_at;

ReportBody ReportBody::from_bytes(std::span<const std::uint8_t, kSize> bytes) {
  const std::uint8_t* p = bytes.data();
  ReportBody body;
  body.cpu_svn = array_at<16>(bytes, 0);
  body.misc_select = base::load_le32(p + 16);
  body.isv_ext_prod_id = array_at<16>(bytes, 32);
  body.attributes = {base::load_le64(p + 48), base::load_le64(p + 56)};
  body.mr_enclave = array_at<32>(bytes, 64);
  body.mr_signer = array_at<32>(bytes, 128);
  body.config_id = array_at<64>(bytes, 192);
  body.isv_prod_id = base::load_le16(p + 256);
  body.isv_svn = base::load_le16(p + 258);
  body.config_svn = base::load_le16(p + 260);
  body.isv_family_id = array_at<16>(bytes, 304);
  body.report_data = array_at<64>(bytes, 320);
  return body;
}

ByteArray<ReportBody::kSize> ReportBody::to_bytes() const {
  ByteArray<kSize> out{};
  std::uint8_t* p = out.data();
  auto put = [&](std::size_t offset, ByteView field) { std::copy(field.begin(), field.end(), p + offset); };
  put(0, cpu_svn);
  base::store_le32(p + 16, misc_select);
  put(32, isv_ext_prod_id);
  base::store_le64(p + 48, attributes.flags);
  base::store_le64(p + 56, attributes.xfrm);
  put(64, mr_enclave);
  put(128, mr_signer);
  put(192, config_id);
  base::store_le16(p + 256, isv_prod_id);
  base::store_le16(p + 258, isv_svn);
  base::store_le16(p + 260, config_svn);
  put(304, isv_family_id);
  put(320, report_data);
  return out;
}

}  // namespace enclayer
