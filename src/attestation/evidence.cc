// SPDX-License-Identifier: Apache-2.0
#include "enclayer/evidence.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "attestation/der.h"
#include "base/base64.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/malformed.h"
#include "base/printable.h"
#include "enclayer/quote.h"
#include "enclayer/ra_tls.h"

namespace enclayer {
namespace {

using base::malformed;

constexpr std::string_view kSpace = " \t\r\n";
// As many as a service's answer may have around the quote; what has more is not worth a millisecond.
constexpr base::JsonLimits kJsonLimits{.size = Evidence::kMaxSize, .depth = 8, .values = 1024};

// "4,734".
std::string grouped(std::size_t number) {
  std::string out = std::to_string(number);
  for (std::size_t at = out.size(); at > 3; at -= 3) out.insert(at - 3, ",");
  return out;
}

std::string_view trimmed(std::string_view text) {
  std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) + 1 - first);
}

bool begins_as_quote(ByteView bytes) {
  return bytes.size() >= QuoteHeader::kSize && base::load_le16(bytes.data()) - 1U < 15 &&
         base::load_le16(bytes.data() + 2) < 16;
}

// How many bytes a length in front of a quote takes; 0: there is none.
std::size_t length_in_front(ByteView bytes) {
  for (std::size_t size : {std::size_t{4}, std::size_t{8}}) {
    if (bytes.size() <= size) break;
    std::uint64_t little = 0, big = 0;
    for (std::size_t i = 0; i < size; ++i) {
      little |= std::uint64_t{bytes[i]} << 8 * i;
      big = big << 8 | bytes[i];
    }
    const std::size_t rest = bytes.size() - size;
    if ((little == rest || big == rest) && begins_as_quote(bytes.subspan(size))) return size;
  }
  return 0;
}

// What bytes are that are no quote: a guess for people.
std::string why_no_quote(ByteView bytes) {
  if (bytes.empty()) return "there is nothing in it";
  if (bytes.size() == 432) return "it has the size of an SGX REPORT, which only its own platform can check";
  if (bytes.size() == 1024) return "it has the size of a TDREPORT, which only its own platform can check";
  if (bytes.size() < QuoteHeader::kSize)
    return "a quote has more than " + std::to_string(QuoteHeader::kSize) + " bytes";
  return "it begins with the bytes " + base::to_hex(bytes.first(4)) +
         ", a quote with its version (3, 4 or 5) and key type (2), 16 bits each, little-endian";
}

bool is_certificate(ByteView bytes) {
  using attestation::DerReader;
  DerReader whole(bytes);
  DerReader parts(whole.next(DerReader::kSequence).value_or(ByteView()));
  return whole.done() && parts.next(DerReader::kSequence) && parts.next(DerReader::kSequence) &&
         parts.next(DerReader::kBitString) && parts.done();
}

// `what`: "a DER certificate", and what it was found in.
Result<Evidence> from_certificate(Bytes der, const std::string& what) {
  auto certificate = parse_ra_tls(der);
  if (!certificate && certificate.error().kind() == ErrorKind::kNotFound)
    return malformed("this is " + what + " without SGX or TDX evidence");
  if (!certificate) return malformed("this is " + what + ", which is not understood: " + certificate.error().message());
  return Evidence{what, certificate->evidence.back().quote, std::move(der)};
}

// `form`: what the bytes were wrapped in.
Result<Evidence> from_bytes(Bytes bytes, const std::string& form) {
  if (begins_as_quote(bytes)) return Evidence{form, std::move(bytes), {}};
  if (is_certificate(bytes))
    return from_certificate(std::move(bytes), (form == "data" ? "" : form + " of ") + std::string("a DER certificate"));
  if (std::size_t length = length_in_front(bytes))
    return Evidence{form + " with a length in front", Bytes(bytes.begin() + std::ptrdiff_t(length), bytes.end()), {}};
  return malformed("this is " + form + " of " + grouped(bytes.size()) +
                   " bytes that is no quote: " + why_no_quote(bytes));
}

// What a character is worth as a hexadecimal digit.
constexpr std::uint8_t kNoDigit = 0xff, kBetween = 0xfe;
constexpr std::array<std::uint8_t, 256> kHexDigits = [] {
  std::array<std::uint8_t, 256> digits{};
  digits.fill(kNoDigit);
  for (std::uint8_t value = 0; value < 16; ++value)
    for (const char* all : {"0123456789abcdef", "0123456789ABCDEF"})
      digits[static_cast<std::uint8_t>(all[value])] = value;
  for (char c : kSpace) digits[static_cast<std::uint8_t>(c)] = kBetween;
  return digits;
}();

// Hexadecimal digits with whitespace between them; of an odd number of them the last one is lost, and `odd` says so.
// nullopt: there is something else in the text. One pass: a quote in such a text is what people mostly have.
std::optional<Bytes> from_hex(std::string_view text, bool& odd) {
  Bytes out(text.size() / 2);
  std::size_t digits = 0;
  std::uint8_t first = 0;
  for (char c : text) {
    const std::uint8_t digit = kHexDigits[static_cast<std::uint8_t>(c)];
    if (digit == kBetween) continue;
    if (digit == kNoDigit) return std::nullopt;
    if (digits++ % 2 == 0)
      first = digit;
    else
      out[digits / 2 - 1] = static_cast<std::uint8_t>(first << 4 | digit);
  }
  odd = digits % 2 != 0;
  out.resize(digits / 2);
  return out;
}

Result<Evidence> from_pem(std::string_view text, const std::string& around) {
  constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ", kDashes = "-----";
  std::string_view rest = text.substr(kBegin.size());
  const std::size_t label_size = std::min(rest.find(kDashes), rest.size());
  const std::string label(rest.substr(0, label_size));
  const std::string what = around + "PEM of the label \"" + base::printable(label, 64) + "\"";
  const std::string end = std::string(kEnd) + label + std::string(kDashes);
  if (label.find("KEY") != std::string::npos) return malformed("this is " + what + ": a key, no quote");
  if (label == "CERTIFICATE" && rest.find(kBegin) != std::string_view::npos)
    return malformed("this is " + around + "PEM of several certificates: give the one with the evidence alone");
  if (!rest.ends_with(end) || rest.size() < label_size + kDashes.size() + end.size())
    return malformed("this is " + what + " that does not end with \"" + base::printable(end, 80) + "\"");
  auto bytes = base::from_base64(
      rest.substr(label_size + kDashes.size(), rest.size() - label_size - kDashes.size() - end.size()),
      base::Base64::kAny);
  if (!bytes) return malformed("this is " + what + " with something else than base64 in it");
  return label == "CERTIFICATE" ? from_certificate(std::move(*bytes), around + "a PEM certificate")
                                : from_bytes(std::move(*bytes), what);
}

// `text` has no whitespace around it. `around`: what it was found in.
Result<Evidence> from_text(std::string_view text, const std::string& around) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    text = trimmed(text.substr(1, text.size() - 2));  // no escapes: base64 has one at most, "\/", which few write
  if (text.empty()) return malformed("this is " + around + "text with nothing in it");
  if (text.starts_with("-----BEGIN ")) return from_pem(text, around);
  std::string_view digits = text.starts_with("0x") || text.starts_with("0X") ? text.substr(2) : text;
  bool odd = false;
  if (auto bytes = from_hex(digits, odd)) {
    if (odd) return malformed("this is " + around + "hexadecimal text with an odd number of digits: one was lost");
    return from_bytes(std::move(*bytes), around + "hexadecimal text");
  }
  if (auto bytes = base::from_base64(text, base::Base64::kAny))
    return from_bytes(std::move(*bytes), around + "base64 text");
  return malformed("this is " + around + "text of " + grouped(text.size()) +
                   " bytes, neither hexadecimal digits nor base64 nor PEM; it begins with \"" +
                   base::printable(text, 40) + "\"");
}

Result<Evidence> from_json(std::string_view text) {
  auto document = base::JsonDocument::parse(text, kJsonLimits);
  if (!document) return malformed("this is JSON that cannot be read: " + document.error().message());
  base::JsonValue root = document->root();
  const bool quote = root.has("quote"), report = root.has("report");
  if (quote && report)
    return malformed("this is JSON with both \"quote\" and \"report\": give the one that is meant alone");
  if (!quote && !report) return malformed("this is JSON without \"quote\" or \"report\" in its outermost object");
  auto field = root.text(quote ? "quote" : "report");
  if (!field) return malformed("this is JSON without a quote in it: " + field.error().message());
  return from_text(trimmed(*field), "JSON with ");
}

bool is_text(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](char c) { return (c >= ' ' && c <= '~') || kSpace.find(c) != std::string_view::npos; });
}

}  // namespace

Result<Evidence> evidence_from(ByteView bytes) {
  if (bytes.size() > Evidence::kMaxSize)
    return malformed("this has " + grouped(bytes.size()) + " bytes, at most " + grouped(Evidence::kMaxSize) +
                     " are read");
  std::string_view text = base::as_text(bytes);
  if (text.ends_with('\0')) text.remove_suffix(1);
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // UTF-8 says so on some systems
  text = trimmed(text);
  if (text.starts_with('{')) return from_json(text);
  if (!text.empty() && is_text(text)) return from_text(text, "");
  return from_bytes(base::copy_of(bytes), "data");
}

}  // namespace enclayer
