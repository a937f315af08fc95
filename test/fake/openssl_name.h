// SPDX-License-Identifier: Apache-2.0
// Names as OpenSSL writes them.
#pragma once

#include <gtest/gtest.h>
#include <openssl/obj_mac.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include "attestation/name.h"
#include "attestation/openssl.h"

namespace enclayer::fake {

// Only such names are written in the same way: OpenSSL has words for more types of attributes.
inline bool of_common_types(const X509_NAME* name) {
  for (int i = 0; i < X509_NAME_entry_count(name); ++i)
    switch (OBJ_obj2nid(X509_NAME_ENTRY_get_object(X509_NAME_get_entry(name, i)))) {
      case NID_commonName:
      case NID_countryName:
      case NID_localityName:
      case NID_stateOrProvinceName:
      case NID_organizationName:
      case NID_organizationalUnitName: break;
      default: return false;
    }
  return true;
}

inline void expect_same_text(const attestation::Name& ours, const X509_NAME* theirs) {
  if (of_common_types(theirs)) {
    EXPECT_EQ(ours.text(), attestation::printable(theirs));
  }
}

}  // namespace enclayer::fake
