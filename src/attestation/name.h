// SPDX-License-Identifier: Apache-2.0
// Whose certificate or CRL it is, and who issued it: an X.501 Name (RFC 5280, 4.1.2.4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "enclayer/bytes.h"

namespace enclayer::attestation {

class Name {
 public:
  // One element of DER: attributes, one by one, each a PrintableString of ASCII or a UTF8String, as RFC 5280 demands of
  // CAs and as all of Intel's names are. nullopt for anything else, and for an empty attribute.
  static std::optional<Name> from_der(ByteView der);

  std::string text() const;  // RFC 2253, escaped: fit for a terminal. Made anew by every call
  // The first one, escaped; "" when there is none.
  const std::string& common_name() const { return common_name_; }
  // Whether an attribute contains that word of capital letters.
  bool says(std::string_view word) const;

  // As RFC 5280, 7.1 has it, in ASCII: neither case, spaces at the ends, repeated spaces nor the kind of string matter.
  bool operator==(const Name& other) const;

 private:
  Bytes der_;
  std::string common_name_;
};

}  // namespace enclayer::attestation
