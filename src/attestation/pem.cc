// SPDX-License-Identifier: Apache-2.0
#include "attestation/pem.h"

#include <string>

#include "base/base64.h"
#include "base/malformed.h"

namespace enclayer::attestation {
namespace {

struct Label {
  std::string_view name, begin, end;
};
constexpr Label kCertificate{"certificate", "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"};
constexpr Label kCrl{"CRL", "-----BEGIN X509 CRL-----", "-----END X509 CRL-----"};

constexpr base::Malformed bad_pem{"PEM: "};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// The blocks of this label, at most `most` of them, and nothing else.
Result<std::vector<Bytes>> blocks(std::string_view text, const Label& label, std::size_t most) {
  const std::string name(label.name);
  while (!text.empty() && (text.back() == '\0' || is_space(text.back()))) text.remove_suffix(1);
  std::vector<Bytes> out;
  while (true) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    if (text.empty()) return out;
    if (!text.starts_with(label.begin)) return bad_pem("there is something else than a " + name + " in the text");
    text.remove_prefix(label.begin.size());
    std::size_t end = text.find(label.end);
    if (end == std::string_view::npos) return bad_pem("a " + name + " has no end");
    if (out.size() == most) return bad_pem("there is more than " + std::to_string(most) + " " + name);
    auto der = base::from_base64(text.substr(0, end), base::Base64::kPem);
    if (!der) return bad_pem("a block is not base64, or its base64 does not end as it should");
    out.push_back(std::move(*der));
    text.remove_prefix(end + label.end.size());
  }
}

}  // namespace

Result<std::vector<Bytes>> certificates_in_pem(std::string_view text) {
  if (text.size() > kMaxPemSize)
    return bad_pem("the text has " + std::to_string(text.size()) + " bytes, at most " + std::to_string(kMaxPemSize) +
                   " are read");
  return blocks(text, kCertificate, kMaxPemCertificates);
}

Result<Bytes> crl_in_pem(std::string_view text) {
  ENCLAYER_TRY(std::vector<Bytes> found, blocks(text, kCrl, 1));
  if (found.empty()) return bad_pem("there is no CRL in the text");
  return std::move(found.front());
}

bool looks_like_pem_crl(std::string_view text) { return text.starts_with(kCrl.begin); }

}  // namespace enclayer::attestation
