// SPDX-License-Identifier: Apache-2.0
#include "attestation/collateral_forms.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "attestation/certificate.h"
#include "attestation/der.h"
#include "attestation/pck_extension.h"
#include "attestation/pem.h"
#include "base/base64.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/malformed.h"
#include "base/printable.h"
#include "enclayer/collateral.h"
#include "enclayer/quote.h"

namespace enclayer {
namespace attestation {
namespace {

using base::malformed;

// CRLs as lists of numbers, and a file for all platforms that there are, have more values than collateral of one.
constexpr base::JsonLimits kLimits{.size = Collateral::kMaxJsonSize, .values = 1 << 18};

constexpr std::string_view kSpace = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) + 1 - first);
}

// A member of an object, or an element of an array with an empty key; the value as it stands in the text.
struct RawMember {
  std::string_view key, value;
};

// Of the outermost object or array. `json` was parsed before: it is well-formed. Keys with escapes are not undone.
std::vector<RawMember> raw_members(std::string_view json) {
  std::vector<RawMember> out;
  RawMember member;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i < json.size(); ++i) {
    switch (json[i]) {
      case '"':
        for (++i; i < json.size() && json[i] != '"'; ++i) i += json[i] == '\\';
        break;
      case '{':
      case '[':
        if (++depth == 1) begin = i + 1;
        break;
      case ':':
        if (depth != 1) break;
        member.key = trimmed(json.substr(begin, i - begin));
        if (member.key.size() >= 2) member.key = member.key.substr(1, member.key.size() - 2);  // its quotes
        begin = i + 1;
        break;
      case '}':
      case ']':
        if (--depth > 0) break;
        [[fallthrough]];
      case ',':
        if (depth > 1) break;
        member.value = trimmed(json.substr(begin, i - begin));
        if (!member.value.empty()) out.push_back(member);
        if (depth == 0) return out;
        member = {};
        begin = i + 1;
        break;
      default: break;
    }
  }
  return out;
}

std::string_view raw_value(std::string_view json, std::string_view key) {
  for (const RawMember& member : raw_members(json))
    if (member.key == key) return member.value;
  return {};
}

// ---- The nine parts ----

// Bytes as a list of numbers, as old dcap-qvl writes them; nullopt when it is none.
std::optional<Bytes> listed_bytes(std::string_view raw) {
  if (!raw.starts_with('[')) return std::nullopt;
  Bytes out;
  for (const RawMember& element : raw_members(raw)) {
    if (element.value.size() > 3 || element.value.find_first_not_of("0123456789") != std::string_view::npos)
      return std::nullopt;
    const int value = std::stoi(std::string(element.value));
    if (value > 255) return std::nullopt;
    out.push_back(static_cast<std::uint8_t>(value));
  }
  return out;
}

// A text, whose JSON escapes are undone; of anything else the value as it stands there.
struct Part {
  std::string_view key;
  std::string text;
  std::string_view raw;
};

Result<Part> part(base::JsonValue root, std::string_view json, std::string_view key) {
  if (auto text = root.text(key)) return Part{key, std::move(*text), {}};
  Part out{key, "", raw_value(json, key)};
  if (out.raw.empty()) return malformed("\"" + std::string(key) + "\" is missing");
  return out;
}

template <class T>
Result<T> named(const Part& part, Result<T> result) {
  if (!result) return result.error().with_context("\"" + std::string(part.key) + "\"");
  return result;
}

Result<Bytes> crl_of(const Part& part) {
  if (part.raw.empty() && part.text.empty()) return Bytes();  // verify() says that the list is missing, and which one
  auto listed = listed_bytes(part.raw);
  return named(part, crl_in_der(listed ? ByteView(*listed) : base::as_bytes(part.text)));
}

// TCB Info or QE Identity: a text or an object, either with its signature wrapped in or with the signature beside it.
Result<SignedText> signed_part(base::JsonValue root, std::string_view json, const char* name, const char* inner) {
  ENCLAYER_TRY(Part content, part(root, json, name));
  if (!content.raw.empty() && !content.raw.starts_with('{'))
    return malformed("\"" + std::string(name) + "\" is neither a text nor an object");
  std::string text = content.raw.empty() ? std::move(content.text) : std::string(content.raw);
  if (text.ends_with('\0')) text.pop_back();
  if (text.ends_with('\0')) return malformed("\"" + std::string(name) + "\" has more than one NUL at its end");
  if (text.find("\"signature\"") != std::string::npos) {
    ENCLAYER_TRY(auto document, named(content, base::JsonDocument::parse(text, kLimits)));
    if (document.root().has(inner)) return named(content, signed_text(text, inner));
  }
  const std::string beside = std::string(name) + "_signature";
  ENCLAYER_TRY(Part digits, part(root, json, beside));
  if (auto listed = listed_bytes(digits.raw)) return SignedText{std::move(text), std::move(*listed)};
  if (!digits.raw.empty()) return malformed("\"" + beside + "\" is neither a text nor a list of bytes");
  ENCLAYER_TRY(Bytes signature, named(digits, base::from_hex(digits.text)));
  return SignedText{std::move(text), std::move(signature)};
}

Result<Collateral> from_parts(base::JsonValue root, std::string_view json) {
  Collateral out;
  ENCLAYER_TRY(out.pck_crl_issuer_chain, root.text("pck_crl_issuer_chain"));
  ENCLAYER_TRY(Part root_ca_crl, part(root, json, "root_ca_crl"));
  ENCLAYER_TRY(out.root_ca_crl, crl_of(root_ca_crl));
  ENCLAYER_TRY(Part pck_crl, part(root, json, "pck_crl"));
  ENCLAYER_TRY(out.pck_crl, crl_of(pck_crl));
  ENCLAYER_TRY(out.tcb_info_issuer_chain, root.text("tcb_info_issuer_chain"));
  ENCLAYER_TRY(SignedText tcb_info, signed_part(root, json, "tcb_info", "tcbInfo"));
  ENCLAYER_TRY(out.qe_identity_issuer_chain, root.text("qe_identity_issuer_chain"));
  ENCLAYER_TRY(SignedText qe_identity, signed_part(root, json, "qe_identity", "enclaveIdentity"));
  out.tcb_info = std::move(tcb_info.text);
  out.tcb_info_signature = std::move(tcb_info.signature);
  out.qe_identity = std::move(qe_identity.text);
  out.qe_identity_signature = std::move(qe_identity.signature);
  out.pck_certificate_chain = root["pck_certificate_chain"].text();
  return out;
}

// ---- platform_collaterals.json of Intel's PcsClientTool: one file for many platforms ----

// What of it a quote needs.
struct Wanted {
  std::string fmspc;  // lower-case digits
  bool platform_ca = false, tdx = false;
  std::string issuer_chain;  // of the PCK certificate: its CA and root, as they stand in the quote
};

Result<Wanted> wanted_by(ByteView bytes) {
  ENCLAYER_TRY(Quote quote, parse_quote(bytes));
  if (quote.certification.type != CertificationData::kPckChain)
    return Error(ErrorKind::kUnsupported,
                 "collateral of many platforms, and the quote has no PCK certificate that says which one it is of");
  std::string_view pem = base::as_text(quote.certification.data);
  ENCLAYER_TRY(auto certificates, certificates_from_pem(pem));
  Wanted out;
  out.tdx = !quote.sgx();
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  for (const Certificate& certificate : certificates) {
    const std::size_t size = pem.find(kEnd) + kEnd.size();
    if (certificate.sgx_extension) {
      ENCLAYER_TRY(PckExtension platform, parse_pck_extension(*certificate.sgx_extension));
      out.fmspc = base::to_hex(platform.fmspc);
      out.platform_ca = certificate.issuer.common_name().find("Platform") != std::string::npos;
    } else {
      out.issuer_chain += std::string(trimmed(pem.substr(0, size))) + "\n";
    }
    pem.remove_prefix(size);
  }
  return out;
}

bool same_digits(std::string_view a, std::string_view lower_case) {
  return std::equal(a.begin(), a.end(), lower_case.begin(), lower_case.end(),
                    [](char x, char y) { return (x >= 'A' && x <= 'Z' ? x + 32 : x) == y; });
}

Result<Collateral> from_platform_collaterals(base::JsonValue root, std::string_view json, ByteView quote) {
  ENCLAYER_TRY(Wanted wanted, wanted_by(quote));
  base::JsonValue all = root["collaterals"], certificates = all["certificates"];
  const std::string_view raw = raw_value(json, "collaterals");
  Collateral out;
  ENCLAYER_TRY(
      std::string issuers,
      percent_decoded(
          certificates["SGX-PCK-Certificate-Issuer-Chain"][wanted.platform_ca ? "PLATFORM" : "PROCESSOR"].text()));
  out.pck_crl_issuer_chain = issuers.empty() ? wanted.issuer_chain : issuers;
  const char* const crl = wanted.platform_ca ? "platformCrl" : "processorCrl";
  ENCLAYER_TRY(Part pck_crl, part(all["pckcacrl"], raw_value(raw, "pckcacrl"), crl));
  ENCLAYER_TRY(out.pck_crl, crl_of(pck_crl));
  ENCLAYER_TRY(Part root_ca_crl, part(all, raw, "rootcacrl"));
  ENCLAYER_TRY(out.root_ca_crl, crl_of(root_ca_crl));
  // The tool is told a version of the service, and version 3 has the longer name.
  const bool old = !certificates.has("TCB-Info-Issuer-Chain");
  ENCLAYER_TRY(std::string tcb_chain, certificates.text(old ? "SGX-TCB-Info-Issuer-Chain" : "TCB-Info-Issuer-Chain"));
  ENCLAYER_TRY(out.tcb_info_issuer_chain, percent_decoded(tcb_chain));
  ENCLAYER_TRY(std::string qe_chain, certificates.text("SGX-Enclave-Identity-Issuer-Chain"));
  ENCLAYER_TRY(out.qe_identity_issuer_chain, percent_decoded(qe_chain));

  // Where the tool was asked for the early edition alone, the standard one is missing or "".
  std::string qe_identity;
  for (const char* key :
       {wanted.tdx ? "tdqeidentity" : "qeidentity", wanted.tdx ? "tdqeidentity_early" : "qeidentity_early"})
    if (auto found = part(all, raw, key); found && qe_identity.empty())
      qe_identity = found->raw.starts_with('{') ? std::string(found->raw) : found->text;
  if (qe_identity.empty())
    return malformed(std::string("there is no ") + (wanted.tdx ? "\"tdqeidentity\"" : "\"qeidentity\""));
  ENCLAYER_TRY(SignedText qe, signed_text(qe_identity, "enclaveIdentity"));
  out.qe_identity = std::move(qe.text);
  out.qe_identity_signature = std::move(qe.signature);
  for (const RawMember& entry : raw_members(raw_value(raw, "tcbinfos"))) {
    std::string_view fmspc = raw_value(entry.value, "fmspc");
    if (fmspc.size() != 14 || !same_digits(fmspc.substr(1, 12), wanted.fmspc)) continue;  // 12 digits in quotes
    std::string_view tcb_info;
    for (const char* key : {"tdx_tcbinfo", "tdx_tcbinfo_early", "sgx_tcbinfo", "tcbinfo", "sgx_tcbinfo_early",
                            "tcbinfo_early"})  // "tcbinfo" is of version 3
      if (wanted.tdx == std::string_view(key).starts_with("tdx") && !tcb_info.starts_with('{'))
        tcb_info = raw_value(entry.value, key);
    if (!tcb_info.starts_with('{')) break;
    ENCLAYER_TRY(SignedText tcb, signed_text(tcb_info, "tcbInfo"));
    out.tcb_info = std::move(tcb.text);
    out.tcb_info_signature = std::move(tcb.signature);
    return out;
  }
  return malformed(std::string("there is no ") + (wanted.tdx ? "TDX" : "SGX") + " TCB Info for FMSPC " + wanted.fmspc +
                   " among those of \"tcbinfos\"");
}

Result<Collateral> from_any(std::string_view text, ByteView quote) {
  while (text.ends_with('\0') || text.ends_with('\n')) text.remove_suffix(1);
  ENCLAYER_TRY(auto document, base::JsonDocument::parse(text, kLimits));
  if (document.root().has("collaterals")) return from_platform_collaterals(document.root(), text, quote);
  return from_parts(document.root(), text);
}

// What begins with a whole SEQUENCE, without the one NUL that may follow it; nullopt for what does not.
std::optional<Bytes> without_nul(ByteView bytes) {
  DerReader whole(bytes);
  const auto sequence = whole.whole(DerReader::kSequence);
  if (!sequence) return std::nullopt;
  const bool one_nul = bytes.size() == sequence->size() + 1 && bytes.back() == 0;
  return Bytes(bytes.begin(), bytes.end() - (one_nul ? 1 : 0));
}

}  // namespace

Result<Bytes> crl_in_der(ByteView crl) {
  if (crl.size() > kMaxCrlText)
    return malformed("a CRL of " + std::to_string(crl.size()) + " bytes, at most " + std::to_string(kMaxCrlText) +
                     " are read");
  if (auto der = without_nul(crl)) return std::move(*der);
  std::string_view text = base::as_text(crl);
  if (text.ends_with('\0')) text.remove_suffix(1);
  text = trimmed(text);
  const bool pem = looks_like_pem_crl(text);
  auto bytes = pem ? crl_in_pem(text) : base::from_hex(text);
  if (pem && !bytes) return bytes.error();
  if (!bytes || bytes->empty())
    return malformed("neither DER nor PEM nor hexadecimal digits, it starts with \"" + base::printable(text, 40) +
                     "\"");
  // What was in them may be PEM, or DER with its NUL, but not digits once more.
  if (looks_like_pem_crl(base::as_text(*bytes))) return crl_in_der(*bytes);
  if (auto der = without_nul(*bytes)) return std::move(*der);
  return bytes;
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

Result<SignedText> signed_text(std::string_view json, const char* key) {
  ENCLAYER_TRY(auto document, base::JsonDocument::parse(json));
  ENCLAYER_TRY(base::JsonValue content, document.root().object(key));
  if (content.has(key)) return malformed(std::string("\"") + key + "\" is wrapped twice");
  std::string_view object = raw_value(json, key);
  if (object.empty()) return malformed(std::string("\"") + key + "\" is spelled with escapes");
  ENCLAYER_TRY(std::string digits, document.root().text("signature"));
  auto signature = base::from_hex(digits);
  if (!signature) return signature.error().with_context("\"signature\"");
  return SignedText{std::string(object), std::move(*signature)};
}

}  // namespace attestation

Result<Collateral> collateral_for(ByteView quote, std::string_view text) {
  if (text.size() > Collateral::kMaxJsonSize)
    return base::malformed("collateral: it has " + std::to_string(text.size()) + " bytes, at most " +
                           std::to_string(Collateral::kMaxJsonSize) + " are read");
  auto collateral = attestation::from_any(text, quote);
  if (!collateral) return collateral.error().with_context("collateral");
  return collateral;
}

Result<Collateral> parse_collateral_json(std::string_view json) { return collateral_for({}, json); }

}  // namespace enclayer
