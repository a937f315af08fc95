// SPDX-License-Identifier: Apache-2.0
#include "attestation/name.h"

#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/x509.h>

#include <algorithm>

#include "attestation/openssl.h"
#include "attestation/x509_parts.h"
#include "base/bytes.h"

namespace enclayer::attestation {
namespace {

constexpr std::uint8_t kCommonName[] = {0x55, 0x04, 0x03};  // 2.5.4.3

using OpensslName = OpensslPtr<X509_NAME, X509_NAME_free>;

// Null when it is no name.
OpensslName openssl_name(ByteView der) {
  const unsigned char* at = der.data();
  OpensslName name(d2i_X509_NAME(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  return at == der.data() + der.size() ? std::move(name) : nullptr;
}

// Characters that stand for themselves in the forms of text that are made of names. Those with a meaning in RFC 2253
// are among them: they do only there.
bool is_plain(ByteView text) {
  return std::all_of(text.begin(), text.end(), [](std::uint8_t c) { return c >= ' ' && c <= '~' && c != '\\'; });
}

// The common name, when `der` is a name whose parts are one attribute each, in printable ASCII; else nullopt.
std::optional<std::string> plain_common_name(ByteView der) {
  std::optional<std::string> found;
  DerReader whole(der);
  auto content = whole.next(DerReader::kSequence);
  if (!content || !whole.done()) return std::nullopt;
  for (DerReader sets(*content); !sets.done();) {
    DerReader set(sets.next(DerReader::kSet).value_or(ByteView()));
    DerReader attribute(set.next(DerReader::kSequence).value_or(ByteView()));
    auto oid = attribute.next(DerReader::kOid);
    auto value = attribute.next();
    if (!oid || !is_oid(*oid) || !value || !set.done() || !attribute.done()) return std::nullopt;
    bool text = value->tag == DerReader::kUtf8String || value->tag == DerReader::kPrintableString;
    if (!text || value->content.empty() || !is_plain(value->content)) return std::nullopt;
    if (!found && same(*oid, kCommonName)) found = base::as_text(value->content);
  }
  return found.value_or("");
}

std::string first_common_name(const X509_NAME* name) {
  int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  return at < 0 ? "" : printable(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

}  // namespace

std::optional<Name> Name::from_der(ByteView der) {
  Name out;
  out.der_.assign(der.begin(), der.end());
  if (auto plain = plain_common_name(der)) {
    out.plain_ = true;
    out.common_name_ = std::move(*plain);
  } else if (OpensslName name = openssl_name(der)) {
    out.common_name_ = first_common_name(name.get());
  } else {
    return std::nullopt;
  }
  return out;
}

std::string Name::text() const {
  OpensslName name = openssl_name(der_);
  return name ? printable(name.get()) : "";
}

bool Name::says(std::string_view word) const {
  return plain_ ? base::as_text(der_).find(word) != std::string_view::npos : text().find(word) != std::string::npos;
}

bool Name::operator==(const Name& other) const {
  if (der_ == other.der_) return true;
  OpensslName ours = openssl_name(der_), theirs = openssl_name(other.der_);
  return ours && theirs && X509_NAME_cmp(ours.get(), theirs.get()) == 0;
}

}  // namespace enclayer::attestation
