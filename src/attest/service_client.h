// SPDX-License-Identifier: Apache-2.0
// The pod's side of the attestation service: a token, or a secret, for the enclave or TD that asks.
//
//   1. a key of this process       runtime data {"keys": [JWK]}, of a token with "nonce", from GET /nonce
//   2. evidence that holds them    a quote whose report data is SHA-256 of the runtime data, and 32 zero bytes
//   3. a token for it              POST /ear (rats_door.h); its `cnf` is that key
//      or a secret                 POST /release/<name> (release_door.h), encrypted to that key
//
// `http` gives answers of every status (Options::any_status). kPermissionDenied: the service accepts no such evidence,
// caller or audience, and says why. kInvalidArgument: it takes no such request. kMalformed: it answers something else. Others are those of `http` and of who makes the quote.
#pragma once

#include <functional>
#include <string>

#include "attest/jwe.h"
#include "enclayer/bytes.h"
#include "enclayer/error.h"

namespace enclayer::http {
class Client;
}

namespace enclayer::attest {

// The quote of this enclave or TD with that report data.
using QuoteOf = std::function<Result<Bytes>(const ByteArray<64>& report_data)>;

struct Token {
  std::string token;  // JWT; not verified here, as it is for somebody else
  DecryptionKey key;  // that the token names: what is encrypted to it only this process can read
};

// `url`: of the service, "https://attest.example"; `audience`: who the token is for.
Result<Token> request_token(http::Client& http, const std::string& url, const std::string& audience,
                            const QuoteOf& quote);

// The same for a key of the caller's own, public, as JWK (RFC 7517): the token names it. kInvalidArgument: it is no JWK, or
// a private one.
Result<std::string> request_token(http::Client& http, const std::string& url, const std::string& audience,
                                  const std::string& jwk, const QuoteOf& quote);

// `bearer`: the ServiceAccount token by which the service knows who asks; "" where a certificate says it.
Result<Bytes> request_secret(http::Client& http, const std::string& url, const std::string& name,
                             const std::string& bearer, const QuoteOf& quote);

}  // namespace enclayer::attest
