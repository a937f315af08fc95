// SPDX-License-Identifier: Apache-2.0
// enclayer quote: asks an AESM service for a quote of a simulated enclave, as an application would.
#include <sys/random.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "aesm/client.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/hex.h"
#include "cli_support.h"
#include "commands.h"
#include "net/frame_client.h"
#include "sim/ca.h"
#include "sim/enclave.h"
#include "simulated_quote.h"

namespace enclayer::apps {
namespace {

constexpr std::uint32_t kMaxQuoteSize = net::kMaxReply;

struct QuoteOptions {
  std::string socket = kAesmSocket, report_data, out, output = "text";
  int timeout = 15;  // seconds; Intel's client waits as long
};

// CLI11 checks: "" is good, anything else says what is wrong.
std::string check_report_data(const std::string& digits) {
  auto bytes = base::from_hex(digits);
  if (!bytes) return bytes.error().message();
  if (bytes->size() > 64) return "report data has 64 bytes at most, this has " + std::to_string(bytes->size());
  return "";
}

Result<Bytes> ask(const std::string& socket, std::chrono::seconds timeout, ByteView request) {
  auto reply = net::call(socket, request, timeout);
  if (reply) return reply;
  const Error& error = reply.error();
  if (error.kind() == ErrorKind::kNotFound || error.kind() == ErrorKind::kUnavailable)
    return Error(ErrorKind::kUnavailable,
                 error.message() + ". No AESM service is there; start one: enclayer-quote-helper --socket " + socket);
  return reply;
}

void print(const QuoteOptions& options, const SimulatedQuote& got) {
  if (options.output == "json") {
    nlohmann::ordered_json out = {{"quote", options.out},
                                  {"bytes", got.quote.size()},
                                  {"simulated", true},
                                  {"mr_enclave", base::to_hex(got.enclave.mr_enclave)},
                                  {"report_data", base::to_hex(got.enclave.report_data)},
                                  {"qe_mr_enclave", base::to_hex(got.target.qe.mr_enclave)},
                                  {"att_key_id", base::to_hex(got.target.pub_key_id)},
                                  {"qe_report", "checked"}};
    std::printf("%s\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return;
  }
  std::printf("SIMULATED: this is a quote of a simulated enclave and proves nothing: anybody can make one.\n");
  auto line = [](const char* name, const std::string& value) { std::printf("  %-15s %s\n", name, value.c_str()); };
  line("quote", options.out + ", " + std::to_string(got.quote.size()) + " bytes");
  line("MRENCLAVE", base::to_hex(got.enclave.mr_enclave));
  line("report data", base::to_hex(got.enclave.report_data));
  line("QE", base::to_hex(got.target.qe.mr_enclave));
  line("key id", base::to_hex(got.target.pub_key_id));
  line("QE report", "right: its MAC, and SHA-256(nonce || quote)");
}

int quote_command(const QuoteOptions& options) {
  constexpr char kProgram[] = "enclayer quote";
  ByteArray<64> report_data{};
  std::ranges::copy(*base::from_hex(options.report_data), report_data.begin());
  auto got = simulated_quote(options.socket, report_data, std::chrono::seconds(options.timeout));
  if (!got) return fail(kProgram, got.error());
  if (auto written = base::write_file_atomic(options.out, got->quote, 0644); !written)
    return fail(kProgram, written.error());
  print(options, *got);
  return 0;
}

}  // namespace

// The order of Intel's client: init (size), init, size of the quote, quote with QE report; a connection each.
Result<SimulatedQuote> simulated_quote(const std::string& socket, const ByteArray<64>& report_data,
                                       std::chrono::seconds timeout, SimulatedEnclave which) {
  auto ask = [&](ByteView request) { return apps::ask(socket, timeout, request); };
  ENCLAYER_TRY(Bytes init_size_reply, ask(aesm::init_size_request()));
  ENCLAYER_TRY(std::uint64_t key_id_size, aesm::read_init_size_reply(init_size_reply));
  if (key_id_size != 32)
    return Error(ErrorKind::kUnsupported,
                 "the service's key ids have " + std::to_string(key_id_size) + " bytes, not 32");
  SimulatedQuote got;
  ENCLAYER_TRY(Bytes init_reply, ask(aesm::init_request()));
  ENCLAYER_TRY(got.target, aesm::read_init_reply(init_reply));
  ENCLAYER_TRY(Bytes size_reply, ask(aesm::quote_size_request()));
  ENCLAYER_TRY(std::uint32_t size, aesm::read_quote_size_reply(size_reply));
  if (size > kMaxQuoteSize)
    return Error(ErrorKind::kUnsupported, "the service's quotes have " + std::to_string(size) + " bytes, at most " +
                                              std::to_string(kMaxQuoteSize) + " are taken");

  got.enclave = sim::enclave_body(report_data);
  if (which == SimulatedEnclave::kDebug) got.enclave.attributes.flags |= Attributes::kDebug;
  if (which == SimulatedEnclave::kOther) got.enclave.mr_enclave = base::sha256(got.enclave.mr_enclave);
  quoting::QeReportRequest qe_report{{}, sim::enclave_target()};
  if (::getrandom(qe_report.nonce.data(), qe_report.nonce.size(), 0) != static_cast<ssize_t>(qe_report.nonce.size()))
    return Error(ErrorKind::kInternal, "the system gives no random numbers");

  auto report = sim::ereport(got.enclave, got.target.qe);
  ENCLAYER_TRY(Bytes quote_reply, ask(aesm::quote_request(report, size, qe_report)));
  auto reply = aesm::read_quote_reply(quote_reply, true);
  if (!reply) {
    if (reply.error().kind() == ErrorKind::kPermissionDenied)
      return Error(reply.error().kind(),
                   reply.error().message() +
                       ". This command's enclave is simulated, and only a simulated Quoting Enclave "
                       "accepts its report: a service with real hardware has to refuse it");
    return reply.error();
  }
  ENCLAYER_CHECK(sim::check_qe_report(*reply, qe_report.nonce, got.target.qe));
  got.quote = std::move(reply->quote);
  ByteView body = ByteView(got.quote).subspan(48);
  if (!std::ranges::equal(body.first<ReportBody::kSize>(), report.body_bytes()))
    return Error(ErrorKind::kPermissionDenied, "the quote is not about the enclave that asked for it");
  return got;
}

void add_quote(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<QuoteOptions>();
  CLI::App* command = app.add_subcommand("quote", "Have a quote made for a simulated enclave");
  command->add_option("--out", options->out, "Where the quote goes")->required()->option_text("FILE (required)");
  command->add_option("--socket", options->socket, "The AESM service to ask")
      ->option_text("PATH [/var/run/aesmd/aesm.socket]");
  command
      ->add_option("--report-data", options->report_data,
                   "What the enclave says in its report: up to 64 bytes, zeros follow")
      ->check(CLI::Validator(check_report_data, "", "report data"))
      ->option_text("HEX");
  command->add_option("--timeout", options->timeout, "For each of the four requests, in seconds")
      ->check(CLI::Range(1, 600))
      ->option_text("S [15]");
  add_output_flag(*command, options->output);
  command->footer(
      R"(Exit codes: 0 the quote is written; 1 misuse; 2 the service speaks something else; 3 the file cannot be written, or
the report was refused; 4 no service answers.
Example: enclayer quote --report-data 656e636c61796572 --out quote.bin)");
  command->callback([options, &exit_code] { exit_code = quote_command(*options); });
}

}  // namespace enclayer::apps
