// SPDX-License-Identifier: Apache-2.0
#include "http/account_client.h"

#include <algorithm>

#include "base/file.h"
#include "http/url.h"

namespace enclayer::http {
namespace {

constexpr std::uint32_t kRefused = 401;  // the status for a token that is not accepted

}  // namespace

Result<std::string> read_token(const std::filesystem::path& file, std::size_t max) {
  ENCLAYER_TRY(std::string token, base::read_text(file, max));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  if (token.empty() || std::any_of(token.begin(), token.end(), [](char c) { return c <= ' ' || c > '~'; }))
    return Error(ErrorKind::kMalformed, file.string() + " holds no token");
  return token;
}

Result<ApiServer> api_server_of_pod(const std::string& host, const std::string& port,
                                    const std::filesystem::path& account) {
  if (host.empty() || port.empty())
    return Error(
        ErrorKind::kUnavailable,
        "this is no pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set. Run it in one, with a "
        "ServiceAccount, as the add-on does");
  bool is_ipv6 = host.find(':') != std::string::npos;
  auto url = checked_url("https://" + (is_ipv6 ? "[" + host + "]" : host) + ":" + port);
  if (!url) return url.error().with_context("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT");
  return ApiServer{*url, account};
}

Result<AccountClient> AccountClient::open(std::filesystem::path account, Options options) {
  options.proxies = {};
  ENCLAYER_TRY(options.ca_pem, base::read_text(account / "ca.crt", kMaxCa));
  if (options.ca_pem.empty()) return Error(ErrorKind::kMalformed, (account / "ca.crt").string() + " is empty");
  return AccountClient(std::move(account), Client(std::move(options)));
}

Result<Response> AccountClient::send(Request request) {
  request.headers.emplace_back();
  auto answer = once(request);
  const std::uint32_t status = answer ? answer->status : answer.error().code();
  return status == kRefused ? once(request) : answer;
}

Result<Response> AccountClient::once(Request& request) {
  ENCLAYER_TRY(std::string token, read_token(account_ / "token", kMaxToken));
  request.headers.back() = "Authorization: Bearer " + token;
  return client_.send(request);
}

}  // namespace enclayer::http
