// SPDX-License-Identifier: Apache-2.0
#include "attestation/name.h"

#include <algorithm>
#include <vector>

#include "attestation/x509_parts.h"
#include "base/bytes.h"

namespace enclayer::attestation {
namespace {

struct Attribute {
  ByteView oid;
  std::string_view value;
};

constexpr std::uint8_t kCommonName[] = {0x55, 0x04, 0x03};  // 2.5.4.3

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Each character in its shortest form, no surrogates, nothing beyond U+10FFFF (RFC 3629, 4).
bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    unsigned first = byte(at++);
    if (first < 0x80) continue;
    int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4) return false;
    unsigned character = first & (0x3fU >> more);
    for (int i = 0; i < more; ++i) {
      unsigned next = byte(at++);
      if ((next & 0xc0) != 0x80) return false;
      character = character << 6 | (next & 0x3f);
    }
    constexpr unsigned kSmallest[] = {0, 0x80, 0x800, 0x10000};
    if (character < kSmallest[more] || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff))
      return false;
  }
  return true;
}

// SEQUENCE OF SET { SEQUENCE { OID, string } }; `each` is called with every attribute. False when it is anything else.
bool for_each_attribute(ByteView der, auto&& each) {
  DerReader whole(der);
  auto content = whole.next(DerReader::kSequence);
  if (!content || !whole.done()) return false;
  for (DerReader sets(*content); !sets.done();) {
    DerReader set(sets.next(DerReader::kSet).value_or(ByteView()));
    DerReader attribute(set.next(DerReader::kSequence).value_or(ByteView()));
    auto oid = attribute.next(DerReader::kOid);
    auto value = attribute.next();
    if (!oid || !is_oid(*oid) || !value || value->content.empty() || !set.done() || !attribute.done()) return false;
    std::string_view text = base::as_text(value->content);
    bool good = (value->tag == DerReader::kPrintableString && is_ascii(text)) ||
                (value->tag == DerReader::kUtf8String && is_utf8(text));
    if (!good) return false;
    each(Attribute{*oid, text});
  }
  return true;
}

// Backslashes, and control characters and bytes beyond ASCII as \XX. In a name (RFC 2253, 2.4) also what has a meaning
// there.
std::string escaped(std::string_view text, bool in_name) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    bool end = i == 0 || i + 1 == text.size();
    if (c < ' ' || c >= 0x7f) {
      out += '\\';
      out += "0123456789ABCDEF"[c >> 4];
      out += "0123456789ABCDEF"[c & 0xf];
      continue;
    }
    bool meaning = std::string_view(",+\"<>;").find(text[i]) != std::string_view::npos || (c == ' ' && end) ||
                   (c == '#' && i == 0);
    if (c == '\\' || (in_name && meaning)) out += '\\';
    out += text[i];
  }
  return out;
}

// "CN", or "2.5.4.5" of what RFC 2253, 2.3 has no word for.
std::string type_name(ByteView oid) {
  if (oid.size() == 3 && oid[0] == 0x55 && oid[1] == 0x04) {
    switch (oid[2]) {
      case 3: return "CN";
      case 6: return "C";
      case 7: return "L";
      case 8: return "ST";
      case 10: return "O";
      case 11: return "OU";
      default: break;
    }
  }
  std::string out;
  std::uint64_t arc = 0;
  for (std::uint8_t byte : oid) {
    arc = arc << 7 | (byte & 0x7f);
    if (byte >= 0x80) continue;
    if (out.empty()) {  // the first two arcs in one (X.690, 8.19.4)
      std::uint64_t top = std::min<std::uint64_t>(arc / 40, 2);
      out = std::to_string(top) + "." + std::to_string(arc - 40 * top);
    } else {
      out += "." + std::to_string(arc);
    }
    arc = 0;
  }
  return out;
}

// Equal for names that are the same but for case and spaces.
std::vector<std::pair<Bytes, std::string>> comparable(ByteView der) {
  std::vector<std::pair<Bytes, std::string>> out;
  for_each_attribute(der, [&](const Attribute& attribute) {
    std::string value;
    bool space = false;
    for (char c : attribute.value) {
      if (c == ' ' || (c >= '\t' && c <= '\r')) {
        space = !value.empty();
        continue;
      }
      if (std::exchange(space, false)) value += ' ';
      value += 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    out.emplace_back(Bytes(attribute.oid.begin(), attribute.oid.end()), std::move(value));
  });
  return out;
}

}  // namespace

std::optional<Name> Name::from_der(ByteView der) {
  std::optional<std::string_view> common_name;
  bool good = for_each_attribute(der, [&](const Attribute& attribute) {
    if (!common_name && same(attribute.oid, kCommonName)) common_name = attribute.value;
  });
  if (!good) return std::nullopt;
  Name out;
  out.der_.assign(der.begin(), der.end());
  out.common_name_ = escaped(common_name.value_or(""), false);
  return out;
}

std::string Name::text() const {
  std::string out;
  for_each_attribute(der_, [&](const Attribute& attribute) {  // RFC 2253, 2.1: the last one first
    out = type_name(attribute.oid) + "=" + escaped(attribute.value, true) + (out.empty() ? "" : "," + out);
  });
  return out;
}

// Between two attributes stand tags that are no capital letters.
bool Name::says(std::string_view word) const { return base::as_text(der_).find(word) != std::string_view::npos; }

bool Name::operator==(const Name& other) const {
  return der_ == other.der_ || comparable(der_) == comparable(other.der_);
}

}  // namespace enclayer::attestation
