// SPDX-License-Identifier: Apache-2.0
#include "sim/ereport.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/bytes.h"

namespace enclayer::sim {
namespace {

constexpr ByteArray<16> kBaseReportKey = {0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0};
constexpr std::string_view kOwnerEpoch = "THISISOWNEREPOCH";
constexpr std::uint16_t kReportKeyName = 3;
constexpr std::size_t kKeyIdOffset = 384, kMacOffset = 416;

// AES-128-CMAC (NIST SP 800-38B).
ByteArray<16> cmac(const ByteArray<16>& key, ByteView data) {
  static EVP_MAC* const mac = EVP_MAC_fetch(nullptr, "CMAC", nullptr);
  std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> ctx(EVP_MAC_CTX_new(mac), EVP_MAC_CTX_free);
  char cipher[] = "AES-128-CBC";
  OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
                         OSSL_PARAM_construct_end()};
  ByteArray<16> out{};
  std::size_t size = 0;
  // Fails only where OpenSSL has no AES or no memory: then nothing here can go on, least of all a MAC check.
  if (!ctx || EVP_MAC_init(ctx.get(), key.data(), key.size(), params) != 1 ||
      EVP_MAC_update(ctx.get(), data.data(), data.size()) != 1 ||
      EVP_MAC_final(ctx.get(), out.data(), &size, out.size()) != 1 || size != out.size())
    std::abort();
  return out;
}

ByteArray<32> default_key_id() {
  ByteArray<32> key_id{};
  std::copy(kBaseReportKey.begin(), kBaseReportKey.end(), key_id.begin());
  return key_id;
}

}  // namespace

const std::array<ByteArray<16>, 3>& cpu_svns() {
  static constexpr std::array<ByteArray<16>, 3> kCpuSvns = {{
      {0x48, 0x20, 0xf3, 0x37, 0x6a, 0xe6, 0xb2, 0xf2, 0x03, 0x4d, 0x3b, 0x7a, 0x4b, 0x48, 0xa7, 0x78},
      {0x53, 0x39, 0xae, 0x8c, 0x93, 0xae, 0x8f, 0x3c, 0xe4, 0x32, 0xdb, 0x92, 0x4d, 0x0f, 0x07, 0x33},
      {0x64, 0xea, 0x4f, 0x3f, 0xa0, 0x03, 0x0c, 0x36, 0x38, 0x3c, 0x32, 0x2d, 0x4f, 0x3a, 0x8d, 0x4f},
  }};
  return kCpuSvns;
}

ByteArray<16> report_key(const sgx::TargetInfo& target, const ByteArray<16>& cpu_svn, const ByteArray<32>& key_id) {
  // The derivation data is a C structure with its padding, 192 bytes (linux-sgx deriv.h, dd_report_key_t).
  ByteArray<192> data{};
  std::uint8_t* p = data.data();
  base::store_le16(p, kReportKeyName);
  base::store_le64(p + 8, target.attributes.flags);
  base::store_le64(p + 16, target.attributes.xfrm);
  base::store_le32(p + 24, target.misc_select);
  std::copy(kOwnerEpoch.begin(), kOwnerEpoch.end(), p + 28);
  std::copy(target.mr_enclave.begin(), target.mr_enclave.end(), p + 44);
  std::copy(cpu_svn.begin(), cpu_svn.end(), p + 76);
  base::store_le16(p + 92, target.config_svn);
  std::copy(target.config_id.begin(), target.config_id.end(), p + 94);
  std::copy(key_id.begin(), key_id.end(), p + 158);
  return cmac(kBaseReportKey, data);
}

sgx::Report ereport(const ReportBody& body, const sgx::TargetInfo& target) {
  sgx::Report report;
  auto bytes = body.to_bytes();
  auto key_id = default_key_id();
  std::copy(bytes.begin(), bytes.end(), report.raw.begin());
  std::copy(key_id.begin(), key_id.end(), report.raw.begin() + kKeyIdOffset);
  auto mac = cmac(report_key(target, body.cpu_svn, key_id), bytes);
  std::copy(mac.begin(), mac.end(), report.raw.begin() + kMacOffset);
  return report;
}

bool report_is_for(const sgx::Report& report, const sgx::TargetInfo& target) {
  auto cpu_svn = report.body().cpu_svn;
  if (std::find(cpu_svns().begin(), cpu_svns().end(), cpu_svn) == cpu_svns().end()) return false;
  auto mac = cmac(report_key(target, cpu_svn, base::array_at<32>(report.raw, kKeyIdOffset)), report.body_bytes());
  return CRYPTO_memcmp(mac.data(), report.raw.data() + kMacOffset, mac.size()) == 0;
}

}  // namespace enclayer::sim
