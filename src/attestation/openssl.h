// SPDX-License-Identifier: Apache-2.0
// Small bridges to OpenSSL's types, for .cc files.
#pragma once

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>
#include <optional>
#include <string>

#include "enclayer/bytes.h"
#include "enclayer/time.h"

namespace enclayer::attestation {

template <auto release>
struct OpensslFree {
  template <class T>
  void operator()(T* p) const {
    release(p);
  }
};
template <class T, auto release>
using OpensslPtr = std::unique_ptr<T, OpensslFree<release>>;

inline Bytes bytes_of(const ASN1_STRING* s) {
  const unsigned char* data = ASN1_STRING_get0_data(s);
  return Bytes(data, data + ASN1_STRING_length(s));
}

// What has been printed into a memory BIO.
inline std::string text_of(BIO* out) {
  char* data = nullptr;
  long size = BIO_get_mem_data(out, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

// Control characters and bytes beyond ASCII come out escaped; names in the form of RFC 2253.
inline std::string printable(const X509_NAME* name) {
  OpensslPtr<BIO, BIO_free_all> out(BIO_new(BIO_s_mem()));
  return out && X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253) >= 0 ? text_of(out.get()) : "";
}
inline std::string printable(const ASN1_STRING* s) {
  OpensslPtr<BIO, BIO_free_all> out(BIO_new(BIO_s_mem()));
  unsigned long how = ASN1_STRFLGS_ESC_CTRL | ASN1_STRFLGS_ESC_MSB | ASN1_STRFLGS_UTF8_CONVERT;
  return out && ASN1_STRING_print_ex(out.get(), s, how) >= 0 ? text_of(out.get()) : "";
}

inline std::optional<Time> time_of(const ASN1_TIME* time) {
  std::tm tm{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &tm) != 1) return std::nullopt;
  std::chrono::year_month_day date{std::chrono::year(tm.tm_year + 1900), std::chrono::month(unsigned(tm.tm_mon + 1)),
                                   std::chrono::day(unsigned(tm.tm_mday))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(tm.tm_hour) + std::chrono::minutes(tm.tm_min) +
         std::chrono::seconds(tm.tm_sec);
}

}  // namespace enclayer::attestation
