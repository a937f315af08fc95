// SPDX-License-Identifier: Apache-2.0
// The pod's side of the attestation service: a token for the enclave or TD that asks.
//
//   1. a nonce of the service     GET /nonce
//   2. a key of this process      runtime data {"keys": [JWK], "nonce": text}
//   3. evidence that holds both   a quote whose report data is SHA-256 of them, and 32 zero bytes
//   4. the token                  POST /ear (rats_door.h); its `cnf` is that key
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

struct TokenRequest {
  std::string url;       // of the service: "https://attest.example"
  std::string audience;  // who the token is for
  // The quote of this enclave or TD with that report data.
  std::function<Result<Bytes>(const ByteArray<64>& report_data)> quote;
};

struct Token {
  std::string token;  // JWT
  DecryptionKey key;  // that the token names: what is encrypted to it only this process can read
};

// `http` gives answers of every status (Options::any_status). The token is not verified here: it is for somebody else.
// kPermissionDenied: the service accepts no such evidence, and says why. kInvalidArgument: it takes no such request, as of
// an audience that it does not know. kMalformed: it answers something else. Others are those of `http` and `quote`.
Result<Token> request_token(http::Client& http, const TokenRequest& request);

}  // namespace enclayer::attest
