// SPDX-License-Identifier: Apache-2.0
// The decrypting half of Vault's transit engine as its API is documented, for HttpService. It encrypts nothing: what it
// calls a ciphertext holds name and secret for everybody to read.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "attest/base64url.h"
#include "base/base64.h"
#include "base/bytes.h"
#include "fake/http_service.h"

namespace enclayer::fake {

class Vault {
 public:
  // `key`: MOUNT/KEY.
  Vault(std::string token, const std::string& key) : token_(std::move(token)) {
    const std::size_t slash = key.rfind('/');
    target_ = "/v1/" + key.substr(0, slash) + "/decrypt" + key.substr(slash);
  }

  // As transit/encrypt answers where `name` is the associated data.
  static std::string sealed(const std::string& name, const std::string& secret) {
    return "vault:v1:" + base64(name + '\n' + secret);
  }

  HttpAnswer answer(const HttpRequest& request) const {
    auto errors = [](int status, const char* why) {
      return http_answer(status, nlohmann::json{{"errors", nlohmann::json::array({why})}}.dump(),
                         "Content-Type: application/json\r\n");
    };
    if (request.head.find("\r\nX-Vault-Token: " + token_ + "\r\n") == std::string::npos)
      return errors(403, "permission denied");
    if (request.target != target_) return errors(404, "no handler for route");
    const auto body = nlohmann::json::parse(request.body, nullptr, false);
    if (!body.is_object()) return errors(400, "failed to parse JSON input");
    const std::string ciphertext = body.value("ciphertext", "");
    if (!ciphertext.starts_with("vault:v1:")) return errors(400, "invalid ciphertext: no prefix");
    const std::string content = bytes(ciphertext.substr(9)), name = bytes(body.value("associated_data", ""));
    if (!content.starts_with(name + '\n')) return errors(400, "cipher: message authentication failed");
    return http_answer(200, nlohmann::json{{"data", {{"plaintext", base64(content.substr(name.size() + 1))}}}}.dump(),
                       "Content-Type: application/json\r\n");
  }

 private:
  static std::string base64(const std::string& text) {
    std::string out = attest::to_base64url(base::as_bytes(text));
    for (char& c : out) c = c == '-' ? '+' : c == '_' ? '/' : c;
    return out.append((4 - out.size() % 4) % 4, '=');
  }
  static std::string bytes(const std::string& text) {
    const auto found = base::from_base64(text, base::Base64::kPem);
    return found ? std::string(base::as_text(*found)) : "";
  }

  std::string token_, target_;
};

}  // namespace enclayer::fake
