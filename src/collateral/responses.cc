// SPDX-License-Identifier: Apache-2.0
#include "collateral/responses.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "attestation/pem.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/malformed.h"
#include "base/printable.h"

namespace enclayer::collateral {
namespace {

using base::malformed;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

Result<std::string> issuer_chain(const Response& response, std::initializer_list<std::string_view> names) {
  ENCLAYER_TRY(std::string encoded, header_value(response.headers, names));
  auto chain = percent_decoded(encoded);
  if (chain && chain->size() > attestation::kMaxPemSize)
    chain = malformed("it has " + std::to_string(chain->size()) + " bytes, at most " +
                      std::to_string(attestation::kMaxPemSize) + " are read");
  if (!chain) return chain.error().with_context("header " + std::string(*names.begin()));
  return chain;
}

// The object `key` of the outermost object, as it was sent. `json` was parsed before: it is well-formed.
std::optional<std::string_view> raw_object(std::string_view json, std::string_view key) {
  int depth = 0;
  std::string_view last_string;
  std::optional<std::size_t> start;
  for (std::size_t i = 0; i < json.size(); ++i) {
    switch (json[i]) {
      case '"': {
        std::size_t begin = ++i;
        while (i < json.size() && json[i] != '"') i += json[i] == '\\' ? 2 : 1;
        if (i >= json.size()) return std::nullopt;
        last_string = json.substr(begin, i - begin);
        break;
      }
      case '{':
      case '[':
        // At depth 1 a value that opens with a brace follows its key.
        if (depth == 1 && json[i] == '{' && last_string == key) start = i;
        ++depth;
        break;
      case '}':
      case ']':
        --depth;
        if (depth == 1 && start) return json.substr(*start, i + 1 - *start);
        break;
      default: break;
    }
  }
  return std::nullopt;
}

struct Signed {
  std::string object;
  Bytes signature;
};

// {"<key>": {...}, "signature": "<hexadecimal digits>"}
Result<Signed> signed_object(const Response& response, const char* key) {
  std::string_view text = base::as_text(response.body);
  ENCLAYER_TRY(auto document, base::JsonDocument::parse(text));
  ENCLAYER_CHECK(document.root().object(key));
  auto object = raw_object(text, key);
  if (!object) return malformed(std::string("\"") + key + "\" is spelled with escapes");
  ENCLAYER_TRY(std::string digits, document.root().text("signature"));
  auto signature = base::from_hex(digits);
  if (!signature) return signature.error().with_context("\"signature\"");
  return Signed{std::string(*object), std::move(*signature)};
}

// One kind of collateral, under the name that people know it by.
template <class T>
Result<T> part(const char* name, Result<T> result) {
  if (!result) return result.error().with_context(name);
  return result;
}

struct File {
  const char* name;
  Response Responses::*response;
  bool has_headers;
};
constexpr File kFiles[] = {{"pckcrl", &Responses::pck_crl, true},
                           {"rootcacrl", &Responses::root_ca_crl, false},
                           {"tcb", &Responses::tcb_info, true},
                           {"qe_identity", &Responses::qe_identity, true}};

}  // namespace

Result<std::string> header_value(std::string_view headers, std::initializer_list<std::string_view> names) {
  std::optional<std::string> found;
  while (!headers.empty()) {
    std::size_t end = headers.find('\n');
    std::string_view line = headers.substr(0, end);
    headers.remove_prefix(end == std::string_view::npos ? headers.size() : end + 1);
    std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    std::string_view name = line.substr(0, colon);
    if (std::none_of(names.begin(), names.end(), [&](std::string_view wanted) { return same_word(name, wanted); }))
      continue;
    if (found) return malformed("header " + base::printable(name, 64) + " is there twice");
    found = trimmed(line.substr(colon + 1));
  }
  if (!found) return malformed("header " + std::string(*names.begin()) + " is missing");
  return *found;
}

Result<std::string> percent_decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    auto byte = base::from_hex(text.substr(i + 1, 2));
    if (!byte || byte->size() != 1)
      return malformed("the '%' at byte " + std::to_string(i) + " is not followed by two hexadecimal digits");
    out.push_back(static_cast<char>(byte->front()));
    i += 2;
  }
  return out;
}

Result<std::string> pck_crl_issuer_chain(const Response& response) {
  return issuer_chain(response, {"SGX-PCK-CRL-Issuer-Chain"});
}

Result<Bytes> crl_in_der(ByteView body) {
  if (body.size() > kMaxBody)
    return malformed("a CRL of " + std::to_string(body.size()) + " bytes, at most " + std::to_string(kMaxBody) +
                     " are read");
  // The first byte of DER is 0x30; of its hexadecimal digits it is '3'.
  if (!body.empty() && body.front() == 0x30) return Bytes(body.begin(), body.end());
  std::string_view text = trimmed(base::as_text(body));
  if (attestation::looks_like_pem_crl(text)) return attestation::crl_in_pem(text);
  auto bytes = base::from_hex(text);
  if (!bytes || bytes->empty())
    return malformed("neither DER nor PEM nor hexadecimal digits, it starts with \"" + base::printable(text, 40) +
                     "\"");
  return *bytes;
}

Result<Collateral> collateral_from(const Responses& r) {
  constexpr auto kPckCrl = "PCK CRL", kRootCrl = "root CA CRL", kTcbInfo = "TCB Info", kQeIdentity = "QE Identity";
  Collateral out;
  ENCLAYER_TRY(out.pck_crl_issuer_chain, part(kPckCrl, pck_crl_issuer_chain(r.pck_crl)));
  ENCLAYER_TRY(out.pck_crl, part(kPckCrl, crl_in_der(r.pck_crl.body)));
  ENCLAYER_TRY(out.root_ca_crl, part(kRootCrl, crl_in_der(r.root_ca_crl.body)));
  // Version 3 of the service has the longer name.
  ENCLAYER_TRY(out.tcb_info_issuer_chain,
               part(kTcbInfo, issuer_chain(r.tcb_info, {"TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain"})));
  ENCLAYER_TRY(Signed tcb_info, part(kTcbInfo, signed_object(r.tcb_info, "tcbInfo")));
  ENCLAYER_TRY(out.qe_identity_issuer_chain,
               part(kQeIdentity, issuer_chain(r.qe_identity, {"SGX-Enclave-Identity-Issuer-Chain"})));
  ENCLAYER_TRY(Signed qe_identity, part(kQeIdentity, signed_object(r.qe_identity, "enclaveIdentity")));
  out.tcb_info = std::move(tcb_info.object);
  out.tcb_info_signature = std::move(tcb_info.signature);
  out.qe_identity = std::move(qe_identity.object);
  out.qe_identity_signature = std::move(qe_identity.signature);
  return out;
}

Result<Responses> read_responses(const std::filesystem::path& folder) {
  Responses out;
  for (const File& file : kFiles) {
    Response& response = out.*file.response;
    ENCLAYER_TRY(response.body, base::read_file(folder / file.name, kMaxBody));
    if (!file.has_headers) continue;
    ENCLAYER_TRY(response.headers, base::read_text(folder / (std::string(file.name) + ".headers"), kMaxHeaders));
  }
  return out;
}

Result<> write_responses(const std::filesystem::path& folder, const Responses& responses) {
  if (!std::filesystem::is_directory(folder)) {
    ENCLAYER_CHECK(base::make_folder(folder, 0755));
  }
  for (const File& file : kFiles) {
    const Response& response = responses.*file.response;
    ENCLAYER_CHECK(base::write_file_atomic(folder / file.name, response.body, 0644));
    if (!file.has_headers) continue;
    ENCLAYER_CHECK(base::write_file_atomic(folder / (std::string(file.name) + ".headers"),
                                           base::as_bytes(response.headers), 0644));
  }
  return {};
}

}  // namespace enclayer::collateral
