// SPDX-License-Identifier: Apache-2.0
// An HTTP client with the rights of a Kubernetes ServiceAccount, from the files that the kubelet puts into a pod.
#pragma once

#include <filesystem>

#include "http/client.h"

namespace enclayer::http {

struct ApiServer {
  std::string url;                // https://10.96.0.1:443
  std::filesystem::path account;  // where the kubelet puts the ServiceAccount's token and ca.crt, and renews them
};

// As the kubelet tells every container, in KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT. kUnavailable where they
// are empty: this is no pod. kInvalidArgument where they are no address and port.
Result<ApiServer> api_server_of_pod(const std::string& host, const std::string& port,
                                    const std::filesystem::path& account);

// The token in a file of `max` bytes at most, fit for a header: without the line's end after it. kMalformed: the file holds
// none, or what is no single line of visible ASCII, which would forge another header. Also the errors of reading.
Result<std::string> read_token(const std::filesystem::path& file, std::size_t max);

class AccountClient {
 public:
  // `account` is the folder of `token` and `ca.crt`; the kubelet renews the token. The authorities that are trusted come
  // from there, and no proxy is asked: the API server is in our own network. Errors are those of ca.crt, and kMalformed
  // where it is empty.
  static Result<AccountClient> open(std::filesystem::path account, Options options);

  // As Client::send(), with the token. When that is refused (401) its file is read again, once: what was read a moment
  // ago may have been the old one. Also the errors of that file, and kMalformed where it holds no token.
  Result<Response> send(Request request);

  static constexpr std::size_t kMaxToken = 64 << 10;  // bytes
  static constexpr std::size_t kMaxCa = 256 << 10;

 private:
  AccountClient(std::filesystem::path account, Client client)
      : account_(std::move(account)), client_(std::move(client)) {}
  Result<Response> once(Request& request);

  std::filesystem::path account_;
  Client client_;
};

}  // namespace enclayer::http
