// SPDX-License-Identifier: Apache-2.0
// What certificates and CRLs are both made of (RFC 5280, 4.1 and 5.1). For .cc files of this folder.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "attestation/der.h"
#include "base/malformed.h"
#include "enclayer/time.h"

namespace enclayer::attestation {

// AlgorithmIdentifier of ecdsa-with-SHA256, 1.2.840.10045.4.3.2, which has no parameters (RFC 5758, 3.2).
inline constexpr std::uint8_t kEcdsaWithSha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                                    0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
inline constexpr std::uint8_t kAuthorityKeyId[] = {0x55, 0x1d, 0x23};  // 2.5.29.35

inline bool same(ByteView a, ByteView b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

// SEQUENCE { what is signed, the algorithm of the signature, the signature }, and nothing after it.
struct SignedParts {
  ByteView content;    // with its tag and length: what is signed
  ByteView algorithm;  // likewise
  ByteView signature;
};

inline Result<SignedParts> signed_parts(ByteView der, std::size_t max_size, base::Malformed refuse,
                                        std::string_view not_one) {
  if (der.size() > max_size)
    return refuse("it has " + std::to_string(der.size()) + " bytes, at most " + std::to_string(max_size) + " are read");
  DerReader whole(der);
  auto sequence = whole.next(DerReader::kSequence);
  if (!sequence) return refuse(not_one);
  if (!whole.done()) return refuse("bytes follow after its end");
  DerReader parts(*sequence);
  auto content = parts.whole(DerReader::kSequence);
  auto algorithm = parts.whole(DerReader::kSequence);
  auto signature = parts.next(DerReader::kBitString);
  if (!content || !algorithm || !signature || signature->empty() || !parts.done()) return refuse(not_one);
  if ((*signature)[0] != 0) return refuse("its signature is not a whole number of bytes");
  return SignedParts{*content, *algorithm, signature->subspan(1)};
}

// Content of an INTEGER of 0 or more in its shortest form: its bytes without the zero that keeps it from being
// negative; else nullopt.
inline std::optional<ByteView> unsigned_integer(ByteView content) {
  if (content.empty() || content[0] >= 0x80) return std::nullopt;
  if (content.size() == 1 || content[0] != 0) return content;
  return content[1] < 0x80 ? std::nullopt : std::optional(content.subspan(1));
}

// The arcs of an object identifier end with a byte below 0x80, and do not begin with 0x80 (X.690, 8.19.2).
inline bool is_oid(ByteView content) {
  bool begins = true;
  for (std::uint8_t byte : content) {
    if (begins && byte == 0x80) return false;
    begins = byte < 0x80;
  }
  return begins && !content.empty();
}

// UTCTime or GeneralizedTime in the one form that RFC 5280, 4.1.2.5 allows of each: YYMMDDHHMMSSZ, years from 1950 to
// 2049, and YYYYMMDDHHMMSSZ. nullopt for anything else.
inline std::optional<Time> next_time(DerReader& reader) {
  auto element = reader.next();
  if (!element) return std::nullopt;
  const bool utc = element->tag == DerReader::kUtcTime;
  if (!utc && element->tag != DerReader::kGeneralizedTime) return std::nullopt;
  ByteView text = element->content;
  if (text.size() != (utc ? 13U : 15U) || text.back() != 'Z') return std::nullopt;
  text = text.first(text.size() - 1);
  if (!std::all_of(text.begin(), text.end(), [](std::uint8_t c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  auto two_digits = [&] {
    int value = 10 * (text[0] - '0') + (text[1] - '0');
    text = text.subspan(2);
    return value;
  };
  int year = two_digits();
  year = utc ? year + (year < 50 ? 2000 : 1900) : 100 * year + two_digits();
  auto month = static_cast<unsigned>(two_digits()), day = static_cast<unsigned>(two_digits());
  std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
  int hour = two_digits(), minute = two_digits(), second = two_digits();
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         std::chrono::seconds(second);
}

// The fields of a TBSCertificate of version 3 (RFC 5280, 4.1.2). Names, key and extensions are left to the reader, as what
// is taken there depends on whose certificate it is.
struct TbsFields {
  ByteView serial;                                  // content of the INTEGER
  ByteView algorithm, issuer, subject, public_key;  // with tag and length
  Time from, until;
  std::optional<ByteView> extensions;  // content of the SEQUENCE, without that of its tag [3]
};

inline Result<TbsFields> tbs_fields(const SignedParts& parts, base::Malformed refuse, std::string_view not_one) {
  DerReader list(*DerReader(parts.content).next(DerReader::kSequence));
  DerReader version(list.at(DerReader::constructed(0)) ? list.next(DerReader::constructed(0)).value_or(ByteView())
                                                       : ByteView());
  auto number = version.next();  // 2 means 3; left out, it means 1
  if (!number || !version.done() || DerReader::number(*number, DerReader::kInteger, 2) != 2U)
    return Error(ErrorKind::kUnsupported, refuse("it is not of version 3").message());
  auto serial = list.next(DerReader::kInteger);
  auto algorithm = list.whole(DerReader::kSequence);
  auto issuer = list.whole(DerReader::kSequence);
  auto validity = list.next(DerReader::kSequence);
  auto subject = list.whole(DerReader::kSequence);
  auto public_key = list.whole(DerReader::kSequence);
  const bool extended = list.at(DerReader::constructed(3));
  auto extensions = extended ? list.next(DerReader::constructed(3)) : std::nullopt;
  if (!serial || !algorithm || !issuer || !validity || !subject || !public_key || (extended && !extensions) ||
      !list.done())
    return refuse(not_one);
  if (!same(*algorithm, parts.algorithm)) return refuse("it names two algorithms for its signature");
  DerReader times(*validity);
  auto from = next_time(times), until = next_time(times);
  if (!from || !until || !times.done()) return refuse("its validity is not a pair of times");
  TbsFields out{*serial, *algorithm, *issuer, *subject, *public_key, *from, *until, std::nullopt};
  if (extensions) {
    DerReader whole(*extensions);
    out.extensions = whole.next(DerReader::kSequence);
    if (!out.extensions || !whole.done()) return refuse("its extensions are damaged");
  }
  return out;
}

struct Extension {
  ByteView oid, value;
  bool critical = false;
};

inline std::optional<Extension> next_extension(DerReader& extensions) {
  auto content = extensions.next(DerReader::kSequence);
  if (!content) return std::nullopt;
  DerReader parts(*content);
  Extension out;
  auto oid = parts.next(DerReader::kOid);
  if (!oid || !is_oid(*oid)) return std::nullopt;
  out.oid = *oid;
  if (parts.at(DerReader::kBoolean)) {  // left out when false
    auto critical = parts.next(DerReader::kBoolean);
    if (!critical || critical->size() != 1 || (*critical)[0] != 0xff) return std::nullopt;
    out.critical = true;
  }
  auto value = parts.next(DerReader::kOctetString);
  if (!value || !parts.done()) return std::nullopt;
  out.value = *value;
  return out;
}

// AuthorityKeyIdentifier: SEQUENCE { [0] key, [1] names, [2] serial number }, each of them if it is there; names and
// serial number are passed over. False when it is damaged.
inline bool read_authority_key_id(ByteView value, std::optional<Bytes>& key) {
  DerReader whole(value);
  auto content = whole.next(DerReader::kSequence);
  if (!content || !whole.done()) return false;
  DerReader parts(*content);
  if (parts.at(DerReader::primitive(0))) {
    auto id = parts.next();
    if (!id) return false;
    key.emplace(id->content.begin(), id->content.end());
  }
  if (parts.at(DerReader::constructed(1))) parts.next();
  if (parts.at(DerReader::primitive(2))) parts.next();
  return parts.done();
}

}  // namespace enclayer::attestation
