// SPDX-License-Identifier: Apache-2.0
#include "enclayer/evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "base/base64.h"
#include "base/bytes.h"
#include "base/hex.h"
#include "fake/quote_case.h"

namespace enclayer {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const Bytes& quote() {
  static const Bytes kQuote = fake::quote_case("A_phala_sgx_processor").quote;
  return kQuote;
}

// RFC 4648, written here a second time so that the reader is not tested against itself.
std::string base64(ByteView bytes, bool url = false, bool padded = true) {
  std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  digits += url ? "-_" : "+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t j = 0; j < 3; ++j) three = three << 8 | (i + j < bytes.size() ? bytes[i + j] : 0U);
    for (std::size_t j = 0; j < 4; ++j)
      if (i + j <= bytes.size())
        out += digits[three >> (18 - 6 * j) & 63];
      else if (padded)
        out += '=';
  }
  return out;
}

std::string in_lines(const std::string& text, std::size_t width, const char* end = "\n") {
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += width) out += text.substr(at, width) + end;
  return out;
}

std::string with_length(std::size_t size, bool big, std::size_t plus = 0) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < 4; ++i) out[big ? size - 1 - i : i] = static_cast<char>((quote().size() + plus) >> 8 * i);
  return out + std::string(base::as_text(quote()));
}

Result<Evidence> found_in(const std::string& text) { return evidence_from(base::as_bytes(text)); }

std::string refusal(const std::string& text) {
  auto evidence = found_in(text);
  if (evidence) return "a quote was found as " + evidence->form;
  EXPECT_EQ(evidence.error().kind(), ErrorKind::kMalformed);
  return evidence.error().message();
}

TEST(Evidence, quote_is_found_in_each_form) {
  const std::string bytes(base::as_text(quote())), hex = base::to_hex(quote());
  std::string upper = hex;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  const std::map<std::string, std::string> forms = {
      {"bytes", bytes},
      {"32 bits, little-endian", with_length(4, false)},
      {"32 bits, big-endian", with_length(4, true)},
      {"64 bits, little-endian", with_length(8, false)},
      {"64 bits, big-endian", with_length(8, true)},
      {"hex", hex},
      {"HEX", upper},
      {"0x", "0x" + hex},
      {"0X, line feed", "0X" + upper + "\n"},
      {"xxd -p", in_lines(hex, 60)},
      {"hex and NUL", hex + '\0'},
      {"hex in quotes", "\"" + hex + "\"\n"},
      {"base64", base64(quote())},
      {"base64 -w 76", in_lines(base64(quote()), 76)},
      {"base64 with CRLF", in_lines(base64(quote()), 76, "\r\n")},
      {"base64 without padding", base64(quote(), false, false)},
      {"base64url", base64(quote(), true, false)},
      {"base64url, padded", base64(quote(), true)},
      {"PEM", "-----BEGIN SGX QUOTE-----\n" + in_lines(base64(quote()), 64) + "-----END SGX QUOTE-----\n"},
      {"JSON quote", R"({"quote": ")" + base64(quote()) + R"(", "event_log": [{"imr": 0}]})"},
      {"JSON report", R"(  {"x": null, "report": "0x)" + hex + "\"}\n"},
      {"JSON with UTF-8 mark", "\xef\xbb\xbf{\"quote\":\"" + hex + "\"}"},
      {"base64 of a length and the quote", base64(base::as_bytes(with_length(4, true)))},
  };
  for (const auto& [name, text] : forms) {
    auto evidence = found_in(text);
    ASSERT_TRUE(evidence) << name << ": " << evidence.error().message();
    EXPECT_EQ(evidence->quote, quote()) << name;
    EXPECT_FALSE(evidence->form.empty());
  }
}

TEST(Evidence, certificate_gives_its_quote_and_itself) {
  const std::string pem = base::read_text(std::string(ENCLAYER_TEST_DATA "/ratls/gramine-cert.pem"), 1 << 16).value();
  auto of_pem = found_in(pem);
  ASSERT_TRUE(of_pem) << of_pem.error().message();
  EXPECT_EQ(of_pem->form, "a PEM certificate");
  EXPECT_EQ(of_pem->quote.size(), 4734U);
  const std::string der(base::as_text(of_pem->certificate));
  EXPECT_EQ(der.size(), 10068U);
  for (const auto& [form, text] : std::map<std::string, std::string>{
           {"a DER certificate", der},
           {"base64 text of a DER certificate", base64(of_pem->certificate)},
           {"hexadecimal text of a DER certificate", base::to_hex(of_pem->certificate)}}) {
    auto evidence = found_in(text);
    ASSERT_TRUE(evidence) << form;
    EXPECT_EQ(evidence->form, form);
    EXPECT_EQ(evidence->certificate, of_pem->certificate);
    EXPECT_EQ(evidence->quote, of_pem->quote);
  }
  EXPECT_TRUE(found_in(base::to_hex(quote()))->certificate.empty());

  const std::string root = base::read_text(fake::quote_data() / "intel_root_2049.pem", 1 << 16).value();
  EXPECT_EQ(refusal(root), "this is a PEM certificate without SGX or TDX evidence");
  EXPECT_THAT(refusal(root + pem), StartsWith("this is PEM of several certificates"));
  const Bytes root_der = base::read_file(fake::quote_data() / "intel_root_2049.der", 1 << 16).value();
  EXPECT_EQ(refusal(std::string(base::as_text(root_der))), "this is a DER certificate without SGX or TDX evidence");
  std::string damaged = der;
  damaged[199] = '\x21';  // secp224r1 in the place of secp384r1
  EXPECT_THAT(refusal(damaged), StartsWith("this is a DER certificate, which is not understood: "));
}

TEST(Evidence, json_escapes_are_undone) {
  std::string escaped;
  for (char c : base64(quote())) escaped += c == '/' ? "\\/" : std::string(1, c);
  ASSERT_THAT(escaped, HasSubstr("\\/"));
  auto evidence = found_in("{\"quote\":\"" + escaped + "\"}");
  ASSERT_TRUE(evidence);
  EXPECT_EQ(evidence->quote, quote());
}

TEST(Evidence, quote_that_is_damaged_or_of_another_version_is_still_one) {
  for (std::size_t size : {std::size_t{48}, std::size_t{436}, quote().size() - 1}) {
    auto evidence = evidence_from(ByteView(quote()).first(size));
    ASSERT_TRUE(evidence);
    EXPECT_EQ(evidence->quote.size(), size);
  }
  Bytes next = quote();
  next[0] = 6;
  EXPECT_TRUE(evidence_from(next)) << "parse_quote() has the better words for it";
}

TEST(Evidence, anything_else_is_told_what_it_is) {
  const Bytes junk(4734, 0xa5);
  const std::string hex = base::to_hex(junk), good = base::to_hex(quote());
  const std::map<std::string, std::string> refused = {
      {"", "this is data of 0 bytes that is no quote: there is nothing in it"},
      {" \n", "this is data of 2 bytes that is no quote"},
      {std::string(base::as_text(junk)),
       "this is data of 4,734 bytes that is no quote: it begins with the bytes a5a5a5a5"},
      {hex, "this is hexadecimal text of 4,734 bytes that is no quote"},
      {base64(junk), "this is base64 text of 4,734 bytes that is no quote"},
      {good.substr(1), "this is hexadecimal text with an odd number of digits"},
      {good.substr(0, 90), "this is hexadecimal text of 45 bytes that is no quote: a quote has more than 48 bytes"},
      {std::string(432, '\x81'), "this is data of 432 bytes that is no quote: it has the size of an SGX REPORT"},
      {std::string(1024, '\x81'), "this is data of 1,024 bytes that is no quote: it has the size of a TDREPORT"},
      {"# My notes", "this is text of 10 bytes, neither hexadecimal digits nor base64 nor PEM; it begins with \"# My"},
      {base64(quote()) + "!", "this is text of"},
      {"\"\"", "this is text with nothing in it"},
      {"{", "this is JSON that cannot be read: "},
      {"{}", "this is JSON without \"quote\" or \"report\""},
      {R"({"quote": {"quote": ")" + good + "\"}}", "this is JSON without a quote in it: \"quote\""},
      {R"({"quote": [3, 0]})", "this is JSON without a quote in it: \"quote\""},
      {R"({"quote": "00", "report": "00"})", "this is JSON with both"},
      {R"({"quote": "{}"})", "this is JSON with text of 2 bytes"},
      {R"({"quote": "", "quote": ""})", "this is JSON that cannot be read: "},
      {R"({"report": ")" + hex + "\"}", "this is JSON with hexadecimal text of 4,734 bytes that is no quote"},
      {"-----BEGIN X-----\nAAAA", "this is PEM of the label \"X\" that does not end with \"-----END X-----\""},
      {"-----BEGIN X-----", "this is PEM of the label \"X\" that does not end with"},
      {"-----BEGIN X", "this is PEM of the label \"X\" that does not end with"},
      {"-----BEGIN X-----!-----END X-----", "this is PEM of the label \"X\" with something else than base64"},
      {"-----BEGIN X-----AAAA-----END X-----", "this is PEM of the label \"X\" of 3 bytes that is no quote"},
      {"-----BEGIN EC PRIVATE KEY-----\n", "this is PEM of the label \"EC PRIVATE KEY\": a key, no quote"},
      {with_length(4, false, 1), "this is data of"},
  };
  for (const auto& [text, wanted] : refused) {
    EXPECT_THAT(refusal(text), StartsWith(wanted));
    EXPECT_THAT(refusal(text), Not(HasSubstr("untrusted")));
  }
}

TEST(Evidence, size_is_bounded) {
  std::string text = base::to_hex(quote());
  text.resize(Evidence::kMaxSize, ' ');
  EXPECT_TRUE(found_in(text));
  EXPECT_EQ(refusal(text + " "), "this has 1,048,577 bytes, at most 1,048,576 are read");
  EXPECT_THAT(refusal(std::string(100000, '[')), StartsWith("this is text of 100,000 bytes"));
  EXPECT_THAT(refusal("{\"a\":" + std::string(100000, '[')), StartsWith("this is JSON that cannot be read: "));
}

TEST(Base64, known_answers_of_rfc_4648) {
  const std::map<std::string, std::string> known = {{"", ""},
                                                    {"Zg==", "f"},
                                                    {"Zm8=", "fo"},
                                                    {"Zm9v", "foo"},
                                                    {"Zm9vYg==", "foob"},
                                                    {"Zm9vYmE=", "fooba"},
                                                    {"Zm9vYmFy", "foobar"}};
  for (const auto& [text, bytes] : known) {
    std::string bare = text.substr(0, text.find('='));
    for (const std::string& form : {text, bare}) {
      auto decoded = base::from_base64(form, base::Base64::kAny);
      ASSERT_TRUE(decoded) << form;
      EXPECT_EQ(base::as_text(*decoded), bytes);
    }
  }
}

TEST(Base64, pem_has_padding_and_the_standard_alphabet) {
  for (const char* text : {"Zg", "Zm8", "Zm9vYg", "-_-_"}) {
    EXPECT_FALSE(base::from_base64(text, base::Base64::kPem)) << text;
    EXPECT_TRUE(base::from_base64(text, base::Base64::kAny)) << text;
  }
  EXPECT_EQ(base::from_base64("+/+/", base::Base64::kPem), base::from_base64("-_-_", base::Base64::kAny));
}

TEST(Base64, junk_is_refused) {
  for (const char* text : {"Z", "Zg=", "Zg===", "Z===", "Zh==", "Zm9=", "Zg==Zg==", "=",
                           "====", "Zm9v=", "Zm9v====", "+/-_", "Zm9v!", "Zm9\xc3"})
    EXPECT_FALSE(base::from_base64(text, base::Base64::kAny)) << text;
  EXPECT_FALSE(base::from_base64(std::string_view("Zm9v\0", 5), base::Base64::kAny));
}

}  // namespace
}  // namespace enclayer
