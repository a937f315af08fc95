// SPDX-License-Identifier: Apache-2.0
#include "attest/vault_transit.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/printable.h"
#include "http/account_client.h"

namespace enclayer::attest {
namespace {

constexpr std::size_t kMaxVaultToken = 8 << 10;           // bytes; Vault's batch tokens have some hundred
constexpr std::size_t kMaxAnswer = 128 << 10;             // bytes: the largest secret in base64, and what is around it
constexpr std::chrono::milliseconds kWaitForOthers{250};  // Vault takes a few ms where it is well

bool plain(std::string_view text, std::string_view more) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           more.find(c) != std::string_view::npos;
  });
}

Error unavailable(std::string why) { return {ErrorKind::kUnavailable, std::move(why)}; }

// What Vault says of an error, in its words: {"errors": ["..."]}.
std::string words_of(const http::Response& answer) {
  auto document = base::JsonDocument::parse(base::as_text(answer.body), base::JsonLimits{});
  auto errors = document ? document->root().texts("errors") : Result<std::vector<std::string>>(document.error());
  return errors && !errors->empty() ? ": " + base::printable(errors->front(), 300) : "";
}

}  // namespace

Result<VaultTransit> VaultTransit::open(Options options) {
  ENCLAYER_TRY(options.url, http::checked_url(options.url));
  ENCLAYER_TRY(const http::Url parts, http::parse_url(options.url));
  const bool local = parts.host == "localhost" || parts.host.starts_with("127.") || parts.host == "::1";
  if (parts.scheme != "https" && !local)
    return Error(ErrorKind::kInvalidArgument,
                 options.url + ": a token would go there in the clear; give an https URL (http on loopback will do)");
  const std::size_t slash = options.key.rfind('/');
  const bool good = slash != std::string::npos && slash > 0 && slash + 1 < options.key.size() &&
                    options.key.front() != '/' && options.key.find("//") == std::string::npos &&
                    options.key.find("..") == std::string::npos && plain(options.key, "/-_.");
  if (!good)
    return Error(ErrorKind::kInvalidArgument, base::printable(options.key, 128) +
                                                  " is no key of a transit engine: MOUNT/KEY, of letters, digits, "
                                                  "'-', '_' and '.'");
  options.http.proxies = {};
  options.http.any_status = true;
  options.http.limits.connect = std::chrono::seconds(2);
  options.http.limits.request = options.http.limits.total = kPatience;
  options.http.limits.tries = 1;  // who asks us comes again
  options.http.limits.max_body = kMaxAnswer;
  return VaultTransit(std::move(options));
}

Result<Bytes> VaultTransit::decrypt(std::string_view name, ByteView ciphertext) const {
  std::string text(base::as_text(ciphertext));
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  if (!text.starts_with("vault:v") || text.size() > kMaxCiphertext || !plain(text, ":+/="))
    return Error(ErrorKind::kMalformed,
                 "the file of " + base::printable(name, 64) + " is no ciphertext of a transit engine (vault:v1:...)");
  const auto token = http::read_token(options_.token_file, kMaxVaultToken);
  if (!token) return unavailable(token.error().message());
  const std::unique_lock only_one(*asking_, kWaitForOthers);
  if (!only_one) return unavailable("Vault is being asked for another secret; try again in a moment");

  const std::size_t slash = options_.key.rfind('/');
  const std::string url =
      options_.url + "/v1/" + options_.key.substr(0, slash) + "/decrypt" + options_.key.substr(slash);
  const nlohmann::json body = {{"ciphertext", text}, {"associated_data", base::to_base64(base::as_bytes(name))}};
  http::Client vault(options_.http);
  auto answer = vault.send({url,
                            "POST",
                            {"Content-Type: application/json", "X-Vault-Request: true", "X-Vault-Token: " + *token},
                            body.dump()});
  if (!answer) return unavailable(answer.error().message());
  if (answer->status == 400)
    return Error(ErrorKind::kMalformed,
                 "Vault does not decrypt " + base::printable(name, 64) + " by " + options_.key + words_of(*answer));
  if (answer->status != 200)
    return unavailable(url + " answers with status " + std::to_string(answer->status) + words_of(*answer) +
                       (answer->status == 403   ? "; does the token have `update` there, and is it still good?"
                        : answer->status == 404 ? "; is the transit engine mounted there?"
                                                : ""));
  auto document = base::JsonDocument::parse(base::as_text(answer->body), {.size = kMaxAnswer});
  std::string plaintext = document ? document->root()["data"]["plaintext"].text() : "";
  auto secret = base::from_base64(plaintext, base::Base64::kPem);
  ::OPENSSL_cleanse(plaintext.data(), plaintext.size());
  ::OPENSSL_cleanse(answer->body.data(), answer->body.size());
  if (!secret || secret->empty() || secret->size() > kMaxSecretSize)
    return unavailable(url + " answers with something else than a secret of 1 to " + std::to_string(kMaxSecretSize) +
                       " bytes");
  return *std::move(secret);
}

}  // namespace enclayer::attest
