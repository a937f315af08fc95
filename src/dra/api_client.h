// SPDX-License-Identifier: Apache-2.0
// The API server's objects that a DRA driver reads and writes, with the rights of the pod that it runs in.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dra/resource_claim.h"
#include "enclayer/error.h"
#include "http/account_client.h"

namespace enclayer::dra {

// One errand: its requests share a connection and a time limit.
class ApiClient {
 public:
  // All requests and pauses together take `total` at most; `who` we are to the API server's logs. Errors are those of the
  // account's files.
  static Result<ApiClient> open(const http::ApiServer& server, std::chrono::milliseconds total,
                                const std::string& who = "enclayer-dra-driver");

  // The body of the answer. `path` begins with "/api". kNotFound: 404. kConflict: 409. kUnavailable, kTimedOut,
  // kMalformed: as of http::AccountClient; the message names the path and what the API server said.
  Result<std::string> send(const std::string& method, const std::string& path, const std::string& body = {});

  Result<std::string> claim(const ClaimName& name);

  // Of all namespaces, each as JSON.
  Result<std::vector<std::string>> claims();

  // A list in pages of `size` entries, each of kMostPage bytes at most. Errors of `page` end
  // it. kExhausted: more than kMostPages.
  Result<> pages(const std::string& path, int size, const std::function<Result<>(const std::string& text)>& page);

  // Returns when something changes in the list that `path` names, with its query, after `version` of it; or when
  // `patience` has passed, or nobody can say what changed since. Errors as of send(), and once `stop` is readable.
  static Result<> wait_for_change(const http::ApiServer& server, const std::string& path, const std::string& version,
                                  std::chrono::seconds patience, const std::string& who, int stop = -1);

  static constexpr std::size_t kMostPage = 8 << 20;
  static constexpr int kMostPages = 1'000;

 private:
  ApiClient(std::string url, http::AccountClient client) : url_(std::move(url)), client_(std::move(client)) {}

  std::string url_;
  http::AccountClient client_;
};

struct NodeFacts {
  std::string uid, runtime;  // "containerd://2.0.4"
};
Result<NodeFacts> read_node(ApiClient& api, const std::string& node);

}  // namespace enclayer::dra
