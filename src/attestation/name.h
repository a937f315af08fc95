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
  // One element of DER. Names of printable ASCII, which all of Intel's are, are read here; OpenSSL is asked about the
  // others. nullopt when it cannot read them either.
  static std::optional<Name> from_der(ByteView der);

  std::string text() const;  // RFC 2253, escaped: fit for a terminal. Made anew by every call
  // The first one, escaped; "" when there is none.
  const std::string& common_name() const { return common_name_; }
  // Whether an attribute contains that word of capital letters.
  bool says(std::string_view word) const;

  // As OpenSSL compares names: neither case nor repeated spaces matter.
  bool operator==(const Name& other) const;

 private:
  Bytes der_;
  std::string common_name_;
  bool plain_ = false;  // what it says stands in der_ as it is
};

}  // namespace enclayer::attestation
