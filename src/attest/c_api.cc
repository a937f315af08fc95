// SPDX-License-Identifier: Apache-2.0
// include/enclayer/attest.h over service_client.h. Nothing may leave a function here but its return value.
#include <openssl/crypto.h>

#include <algorithm>
#include <new>
#include <string>
#include <string_view>

#include "attest/service_client.h"
#include "base/bytes.h"
#include "base/version.h"
#include "enclayer/attest.h"
#include "http/client.h"

namespace enclayer::attest {
namespace {

constexpr unsigned kTimeout = 15;  // seconds

void say(std::string_view text, char* why, std::size_t why_size) {
  if (why == nullptr || why_size == 0) return;
  const std::size_t length = std::min(text.size(), why_size - 1);
  std::copy_n(text.data(), length, why);
  why[length] = '\0';
}

std::string text_of(const char* text) { return text == nullptr ? "" : text; }

int code_of(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kInvalidArgument: return ENCLAYER_ATTEST_INVALID_ARGUMENT;
    case ErrorKind::kMalformed: return ENCLAYER_ATTEST_MALFORMED;
    case ErrorKind::kPermissionDenied: return ENCLAYER_ATTEST_REFUSED;
    case ErrorKind::kInternal: return ENCLAYER_ATTEST_INTERNAL;
    default: return ENCLAYER_ATTEST_UNAVAILABLE;
  }
}

// One call: the service, a place for what it gives out, and what went wrong.
class Call {
 public:
  Call(const enclayer_attest_service* service, char* why, std::size_t why_size)
      : service_(service), why_(why), why_size_(why_size) {
    say("", why_, why_size_);
  }

  // `ask(http, url, quote)` gives Result<Bytes>, which goes to `out` with `*size` bytes of room.
  template <class Ask>
  int give(std::uint8_t* out, std::size_t* size, std::size_t after, const Ask& ask) noexcept {
    try {
      if (service_ == nullptr || service_->struct_size < sizeof(enclayer_attest_service) || service_->url == nullptr ||
          service_->make_quote == nullptr || out == nullptr || size == nullptr)
        return failed(
            ENCLAYER_ATTEST_INVALID_ARGUMENT,
            "the service with its size, its URL and what makes quotes, and room for the answer have to be given");
      if ((service_->certificate == nullptr) != (service_->key == nullptr))
        return failed(ENCLAYER_ATTEST_INVALID_ARGUMENT, "certificate and key go together");
      auto url = http::checked_url(service_->url);
      if (!url) return failed(ENCLAYER_ATTEST_INVALID_ARGUMENT, url.error().message());
      http::Client http(options());
      bool no_quote = false;
      auto got = ask(http, *url, [&](const ByteArray<64>& report_data) { return quote(report_data, no_quote); });
      if (!got) return failed(no_quote ? ENCLAYER_ATTEST_NO_QUOTE : code_of(got.error()), got.error().message());
      const std::size_t room = *size;
      *size = got->size();
      if (room < got->size() + after) {
        *size += after;
        ::OPENSSL_cleanse(got->data(), got->size());
        return failed(ENCLAYER_ATTEST_NO_ROOM,
                      "there is room for " + std::to_string(room) + " bytes, and it has " + std::to_string(*size));
      }
      std::ranges::copy(*got, out);
      std::fill_n(out + got->size(), after, std::uint8_t{0});
      ::OPENSSL_cleanse(got->data(), got->size());
      return ENCLAYER_ATTEST_OK;
    } catch (const std::bad_alloc&) {
      return ENCLAYER_ATTEST_OUT_OF_MEMORY;
    } catch (...) {
      return ENCLAYER_ATTEST_INTERNAL;
    }
  }

  std::string bearer() const { return text_of(service_->bearer_token); }

 private:
  int failed(int code, const std::string& text) const {
    say(text, why_, why_size_);
    return code;
  }

  http::Options options() const {
    http::Options out;
    out.any_status = true;
    out.limits.total = std::chrono::seconds(service_->timeout_seconds == 0 ? kTimeout : service_->timeout_seconds);
    out.user_agent = std::string("libenclayer_attest/") + base::kVersion;
    out.ca_pem = text_of(service_->authorities);
    out.certificate_pem = text_of(service_->certificate);
    out.key_pem = text_of(service_->key);
    out.proxies.http = out.proxies.https = text_of(service_->proxy);
    return out;
  }

  Result<Bytes> quote(const ByteArray<64>& report_data, bool& failed) const {
    Bytes out(ENCLAYER_ATTEST_MAX_QUOTE);
    std::size_t size = out.size();
    const int result = service_->make_quote(service_->context, report_data.data(), out.data(), &size);
    failed = result != 0 || size == 0 || size > out.size();
    if (failed)
      return Error(ErrorKind::kUnavailable, "no quote was made: make_quote() returned " + std::to_string(result) +
                                                ", with " + std::to_string(size) + " bytes");
    out.resize(size);
    return out;
  }

  const enclayer_attest_service* service_;
  char* why_;
  std::size_t why_size_;
};

}  // namespace
}  // namespace enclayer::attest

using enclayer::Bytes;
using enclayer::Result;
using namespace enclayer::attest;

extern "C" {

int enclayer_attest_token(const enclayer_attest_service* service, const char* audience, const char* key_jwk,
                          char* token, std::size_t* size, char* why, std::size_t why_size) {
  return Call(service, why, why_size)
      .give(reinterpret_cast<std::uint8_t*>(token), size, 1,
            [&](enclayer::http::Client& http, const std::string& url, const QuoteOf& quote) -> Result<Bytes> {
              if (audience == nullptr)
                return enclayer::Error(enclayer::ErrorKind::kInvalidArgument, "a token is for an audience");
              Bytes out;
              if (key_jwk != nullptr) {
                ENCLAYER_TRY(const std::string got, request_token(http, url, audience, std::string(key_jwk), quote));
                enclayer::base::append(out, enclayer::base::as_bytes(got));
              } else {
                ENCLAYER_TRY(const Token got, request_token(http, url, audience, quote));
                enclayer::base::append(out, enclayer::base::as_bytes(got.token));
              }
              return out;
            });
}

int enclayer_attest_secret(const enclayer_attest_service* service, const char* name, std::uint8_t* secret,
                           std::size_t* size, char* why, std::size_t why_size) {
  Call call(service, why, why_size);
  return call.give(secret, size, 0,
                   [&](enclayer::http::Client& http, const std::string& url, const QuoteOf& quote) -> Result<Bytes> {
                     return request_secret(http, url, name == nullptr ? "" : name, call.bearer(), quote);
                   });
}

}  // extern "C"
