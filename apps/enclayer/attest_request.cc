// SPDX-License-Identifier: Apache-2.0
// enclayer attest request: a token of the attestation service, as an enclave of this pod would get one.
#include "attest_request.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "attest/token_request.h"
#include "base/bytes.h"
#include "base/file.h"
#include "cli_support.h"
#include "http/client.h"
#include "simulated_quote.h"

namespace enclayer::apps {
namespace {

constexpr auto kSystemAuthorities = "/etc/ssl/certs/ca-certificates.crt";
constexpr std::size_t kMaxPemFile = 4 << 20;

struct Options {
  std::string url, audience, socket = kAesmSocket, cacert, out;
  int timeout = 15;  // seconds
};

Result<> request(const Options& options) {
  http::Options http_options;
  http_options.any_status = true;
  http_options.limits.total = std::chrono::seconds(options.timeout);
  if (options.cacert.empty()) {  // a service that is asked over http works without them
    http_options.ca_pem = base::read_text(kSystemAuthorities, kMaxPemFile).value_or("");
  } else {
    ENCLAYER_TRY(http_options.ca_pem, read_input_text(options.cacert, kMaxPemFile));
  }
  http::Client http(std::move(http_options));
  auto quote = [&](const ByteArray<64>& report_data) -> Result<Bytes> {
    ENCLAYER_TRY(SimulatedQuote got,
                 simulated_quote(options.socket, report_data, std::chrono::seconds(options.timeout)));
    return std::move(got.quote);
  };
  ENCLAYER_TRY(const attest::Token token, attest::request_token(http, {options.url, options.audience, quote}));
  if (options.out.empty()) {
    std::printf("%s\n", token.token.c_str());
    return {};
  }
  return base::write_file_atomic(options.out, base::as_bytes(token.token + "\n"), 0600);
}

}  // namespace

void add_attest_request(CLI::App& attest, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = attest.add_subcommand("request", "A token for a simulated enclave, as a pod gets one");
  command->add_option("--url", options->url, "The attestation service")->required()->option_text("URL (required)");
  command
      ->add_option("--audience", options->audience,
                   "Who the token is for; one of those that the service makes tokens for")
      ->required()
      ->option_text("NAME (required)");
  command->add_option("--socket", options->socket, "The AESM service that makes the quote")
      ->option_text("PATH [/var/run/aesmd/aesm.socket]");
  command
      ->add_option("--cacert", options->cacert,
                   "The authorities that the service's certificate may be of, in place of the system's")
      ->option_text("PEM");
  command->add_option("--out", options->out, "Where the token goes, readable for its owner alone")
      ->option_text("FILE [standard output]");
  command->add_option("--timeout", options->timeout, "For the service, and for each request for the quote, in seconds")
      ->check(CLI::Range(1, 600))
      ->option_text("S [15]");
  command->footer(
      R"(The enclave is simulated, so only a service with --simulated-root gives it a token. The token names a key that was made
for it and is gone with this command: it is for trying a service and what reads its tokens.
Exit codes: 0 here is the token; 1 misuse, also an audience that the service does not know; 2 what answers is no
  attestation service; 3 the service accepts no such evidence, or a file cannot be read or written; 4 nobody answers.
Example: enclayer attest request --url https://attest.example --audience vault)");
  command->callback([options, &exit_code] {
    auto done = request(*options);
    exit_code = done ? 0 : fail("enclayer attest request", done.error());
  });
}

}  // namespace enclayer::apps
