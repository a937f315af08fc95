// SPDX-License-Identifier: Apache-2.0
// enclayer attest request: a token or a secret of the attestation service, as an enclave of this pod would get it.
#include "attest_request.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <string>

#include "attest/service_client.h"
#include "base/bytes.h"
#include "base/file.h"
#include "cli_support.h"
#include "http/client.h"
#include "simulated_quote.h"

namespace enclayer::apps {
namespace {

constexpr std::size_t kMaxPemFile = 4 << 20, kMaxToken = 16 << 10;  // bytes

struct Options {
  std::string url, audience, secret, token_file, socket = kAesmSocket, cacert, client_cert, client_key, out;
  SimulatedEnclave enclave = SimulatedEnclave::kRelease;
  int timeout = 15;  // seconds
};

Result<> request(const Options& options, const http::Proxies& proxies) {
  http::Options http_options;
  http_options.proxies = proxies;
  http_options.any_status = true;
  http_options.limits.total = std::chrono::seconds(options.timeout);
  // A service that is asked over http works without any.
  ENCLAYER_TRY(http_options.ca_pem, trusted_authorities(options.cacert));
  if (!options.client_cert.empty()) {
    ENCLAYER_TRY(http_options.certificate_pem, read_input_text(options.client_cert, kMaxPemFile));
    ENCLAYER_TRY(http_options.key_pem, read_input_text(options.client_key, kMaxPemFile));
  }
  http::Client http(std::move(http_options));
  auto quote = [&](const ByteArray<64>& report_data) -> Result<Bytes> {
    ENCLAYER_TRY(SimulatedQuote got,
                 simulated_quote(options.socket, report_data, std::chrono::seconds(options.timeout), options.enclave));
    return std::move(got.quote);
  };
  Bytes got;
  if (!options.secret.empty()) {
    std::string bearer;
    if (!options.token_file.empty()) {
      ENCLAYER_TRY(bearer, read_input_text(options.token_file, kMaxToken));
      while (bearer.ends_with('\n')) bearer.pop_back();
    }
    ENCLAYER_TRY(got, attest::request_secret(http, options.url, options.secret, bearer, quote));
  } else {
    ENCLAYER_TRY(const attest::Token token, attest::request_token(http, options.url, options.audience, quote));
    base::append(got, base::as_bytes(token.token + "\n"));
  }
  if (!options.out.empty()) {
    ENCLAYER_CHECK(base::write_file_atomic(options.out, got, 0600));
    std::fprintf(stderr, "%s: %zu bytes in %s\n", options.secret.empty() ? "token" : options.secret.c_str(), got.size(),
                 options.out.c_str());
    return {};
  }
  std::fwrite(got.data(), 1, got.size(), stdout);
  return {};
}

}  // namespace

void add_attest_request(CLI::App& attest, const http::Proxies& proxies, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = attest.add_subcommand("request", "A token or a secret for a simulated enclave, as a pod gets it");
  command->add_option("--url", options->url, "The attestation service")->required()->option_text("URL (required)");
  auto* audience = command
                       ->add_option("--audience", options->audience,
                                    "A token for this audience, one of those that the service makes tokens for")
                       ->option_text("NAME");
  auto* secret = command->add_option("--secret", options->secret, "In its place: this secret, as it is")
                     ->excludes(audience)
                     ->option_text("NAME");
  command
      ->add_option("--token-file", options->token_file,
                   "The ServiceAccount token by which the service knows who asks for a secret")
      ->needs(secret)
      ->option_text("FILE");
  command->add_option("--socket", options->socket, "The AESM service that makes the quote")
      ->option_text("PATH [/var/run/aesmd/aesm.socket]");
  command
      ->add_option("--cacert", options->cacert,
                   "The authorities that the service's certificate may be of, in place of the system's")
      ->option_text("PEM");
  static const std::map<std::string, SimulatedEnclave> kEnclaves = {{"release", SimulatedEnclave::kRelease},
                                                                    {"debug", SimulatedEnclave::kDebug},
                                                                    {"other", SimulatedEnclave::kOther}};
  command
      ->add_option("--enclave", options->enclave,
                   "What the enclave is: for release, under a debugger, or another one of the same signer")
      ->transform(CLI::CheckedTransformer(kEnclaves, CLI::ignore_case))
      ->option_text("release|debug|other [release]");
  auto* certificate = command
                          ->add_option("--client-cert", options->client_cert,
                                       "Prove to the service who asks: a certificate and what leads up to its root")
                          ->option_text("PEM");
  auto* key = command->add_option("--client-key", options->client_key, "... its private key, without a passphrase")
                  ->option_text("PEM");
  certificate->needs(key);
  key->needs(certificate);
  command->add_option("--out", options->out, "Where it goes, readable for its owner alone")
      ->option_text("FILE [standard output]");
  command->add_option("--timeout", options->timeout, "For the service, and for each request for the quote, in seconds")
      ->check(CLI::Range(1, 600))
      ->option_text("S [15]");
  command->footer(
      R"(The enclave is simulated, so only a service with --simulated-root gives it anything. The key that its evidence holds is
made for this one request: a secret is decrypted with it, and a token names it, for trying what reads tokens.
Proxies: those of the environment (https_proxy, http_proxy, all_proxy, no_proxy).
Exit codes: 0 here it is; 1 misuse; 2 what answers is no attestation service, or a certificate or key is none; 3 the service
  accepts no such evidence, caller or audience, or a file cannot be read or written; 4 nobody answers.
Example: enclayer attest request --url https://attest.example --audience vault
         enclayer attest request --url https://attest.example --secret db-password --token-file /var/run/secrets/tokens/attest)");
  command->callback([options, proxies, &exit_code] {
    if (options->audience.empty() && options->secret.empty())
      throw CLI::RequiredError("--audience or --secret is required", CLI::ExitCodes::RequiredError);
    auto done = request(*options, proxies);
    exit_code = done ? 0 : fail("enclayer attest request", done.error());
  });
}

}  // namespace enclayer::apps
