// SPDX-License-Identifier: Apache-2.0
// How long verification takes, beside one P-256 verification; bench/verify/run runs it and compares.
//   verify_bench [--evidence=FOLDER] [Google Benchmark's options]
// Quotes are of a simulated platform, because only its owner can make new ones; `real` is a quote of Intel's. With
// --evidence the first quote, its collateral and root go to FOLDER, for other verifiers to judge.
#include <benchmark/benchmark.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <vector>

#include "attestation/certificate.h"
#include "attestation/crl.h"
#include "attestation/pem.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "enclayer/enclayer.h"
#include "enclayer/policy.h"
#include "enclayer/verifier.h"
#include "fake/quote_case.h"
#include "sim/enclave.h"
#include "sim/quoting_enclave.h"

namespace {

using namespace enclayer;

const Time kNow = parse_time("2026-11-21T10:00:00Z").value();

// One platform. Each quote is of a Quoting Enclave that has just made its key, so that its QE report is new too.
struct Platform {
  static constexpr std::size_t kQuotes = 512;

  sim::Ca ca = sim::make_ca(sim::ca_order(kNow)).value();
  Collateral collateral = sim::issue_collateral(ca, sim::collateral_order(kNow)).value();
  TrustedRoot root = TrustedRoot::from_pem(ca.root.certificate).value();
  std::vector<Bytes> of_new_keys = quotes(true), of_one_key = quotes(false);

 private:
  std::vector<Bytes> quotes(bool new_keys) const {
    std::vector<Bytes> out;
    std::unique_ptr<sim::QuotingEnclave> qe;
    for (std::size_t i = 0; i < kQuotes; ++i) {
      if (!qe || new_keys) qe = sim::QuotingEnclave::make(ca, sim::SigningKey::generate().value()).value();
      ByteArray<64> data{};
      base::store_le64(data.data(), i);
      auto report = sim::ereport(sim::enclave_body(data), qe->target()->qe);
      out.push_back(qe->quote(report, std::nullopt)->quote);
    }
    return out;
  }
};

const Platform& platform() {
  static const Platform kPlatform;
  return kPlatform;
}

void check(const Verification& v) {
  if (v.verified()) return;
  std::fprintf(stderr, "verify_bench: %s: %s\n", std::string(to_string(v.reason)).c_str(), v.detail.c_str());
  std::abort();
}

Verification judge(Verifier& verifier, const Bytes& quote) {
  return verifier.verify(quote, platform().collateral, platform().root, kNow);
}

// The unit: one signature checked by OpenSSL, everything about it prepared.
void p256_verification(benchmark::State& state) {
  sim::SigningKey key = sim::SigningKey::generate().value();
  Bytes message(432, 1);
  ByteArray<32> digest = base::sha256(message);
  auto* pkey = static_cast<EVP_PKEY*>(key.evp_pkey());
  unsigned char signature[80];
  std::size_t size = sizeof signature;
  EVP_PKEY_CTX* signer = EVP_PKEY_CTX_new(pkey, nullptr);
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new(pkey, nullptr);
  if (EVP_PKEY_sign_init(signer) != 1 || EVP_PKEY_sign(signer, signature, &size, digest.data(), digest.size()) != 1 ||
      EVP_PKEY_verify_init(context) != 1)
    std::abort();
  for (auto _ : state)
    if (EVP_PKEY_verify(context, signature, size, digest.data(), digest.size()) != 1) std::abort();
  EVP_PKEY_CTX_free(context);
  EVP_PKEY_CTX_free(signer);
}

// Same platform and collateral, a quote and a QE report that were never seen.
void normal(benchmark::State& state, bool prepared) {
  const auto& quotes = platform().of_new_keys;
  std::unique_ptr<Verifier> verifier;
  std::size_t next = quotes.size();
  for (auto _ : state) {
    if (next == quotes.size()) {
      state.PauseTiming();
      verifier = std::make_unique<Verifier>();
      if (prepared) check(verifier->prepare(quotes[0], platform().collateral, platform().root, kNow));
      check(judge(*verifier, quotes[0]));
      next = 1;
      state.ResumeTiming();
    }
    check(judge(*verifier, quotes[next++]));
  }
}

// ... and a QE report that was seen before.
void qe_report_seen(benchmark::State& state) {
  const auto& quotes = platform().of_one_key;
  Verifier verifier;
  check(judge(verifier, quotes[0]));
  std::size_t next = 0;
  for (auto _ : state) check(judge(verifier, quotes[++next % quotes.size()]));
}

void cold(benchmark::State& state) {
  const auto& quotes = platform().of_new_keys;
  std::size_t next = 0;
  for (auto _ : state) {
    Verifier verifier;
    check(judge(verifier, quotes[++next % quotes.size()]));
  }
}

// Nothing seen before, by a verifier that has tables of the keys that signed the collateral, and of the platform's.
void cold_prepared(benchmark::State& state) {
  const auto& quotes = platform().of_new_keys;
  Verifier verifier(0);
  check(verifier.prepare(quotes[0], platform().collateral, platform().root, kNow));
  std::size_t next = 0;
  for (auto _ : state) check(judge(verifier, quotes[++next % quotes.size()]));
}

void cold_real(benchmark::State& state, const char* name) {
  auto real = fake::quote_case(name);
  for (auto _ : state) check(verify(real.quote, real.collateral, TrustedRoot::intel(), real.at));
}

void seen_real(benchmark::State& state, const char* name) {
  auto real = fake::quote_case(name);
  Verifier verifier;
  for (auto _ : state) check(verifier.verify(real.quote, real.collateral, TrustedRoot::intel(), real.at));
}

// ---- The same in C, whose callers hand over the collateral as text every time and get JSON back ----

struct InC {
  std::string collateral = to_json(platform().collateral);
  enclayer_verifier* verifier = nullptr;

  InC() {
    constexpr std::string_view kPolicy = R"({"version": 1, "allow_simulated": true})";
    const std::string& root = platform().ca.root.certificate;
    char why[256];
    if (enclayer_verifier_new(root.data(), root.size(), kPolicy.data(), kPolicy.size(), &verifier, why, sizeof why) !=
        ENCLAYER_OK) {
      std::fprintf(stderr, "verify_bench: %s\n", why);
      std::abort();
    }
  }
  ~InC() { enclayer_verifier_free(verifier); }
  InC(const InC&) = delete;
  InC& operator=(const InC&) = delete;

  void judge(const Bytes& quote) {
    enclayer_verdict* verdict = nullptr;
    if (enclayer_verify(verifier, quote.data(), quote.size(), collateral.data(), collateral.size(),
                        kNow.time_since_epoch().count(), &verdict) != ENCLAYER_OK)
      std::abort();
    benchmark::DoNotOptimize(enclayer_verdict_json(verdict));
    enclayer_verdict_free(verdict);
  }
};

void c_normal(benchmark::State& state) {
  const auto& quotes = platform().of_new_keys;
  std::unique_ptr<InC> c;
  std::size_t next = quotes.size();
  for (auto _ : state) {
    if (next == quotes.size()) {
      state.PauseTiming();
      c = std::make_unique<InC>();
      c->judge(quotes[0]);
      next = 1;
      state.ResumeTiming();
    }
    c->judge(quotes[next++]);
  }
}

void c_qe_report_seen(benchmark::State& state) {
  const auto& quotes = platform().of_one_key;
  InC c;
  c.judge(quotes[0]);
  std::size_t next = 0;
  for (auto _ : state) c.judge(quotes[++next % quotes.size()]);
}

void c_cold(benchmark::State& state) {
  const auto& quotes = platform().of_new_keys;
  std::size_t next = 0;
  for (auto _ : state) InC().judge(quotes[++next % quotes.size()]);
}

// ---- 64 KiB of what is meant to be expensive, for each parser ----

constexpr std::size_t kHostile = 64 << 10;

std::string repeated(std::string_view begin, std::string_view part, std::string_view end) {
  std::string out(begin);
  while (out.size() + part.size() + end.size() <= kHostile) out += part;
  return out += end;
}

void parse_json(benchmark::State& state, const std::string& text) {
  for (auto _ : state) benchmark::DoNotOptimize(base::JsonDocument::parse(text));
}
void parse_collateral(benchmark::State& state, const std::string& text) {
  for (auto _ : state) benchmark::DoNotOptimize(parse_collateral_json(text));
}
void parse_pem(benchmark::State& state, const std::string& text) {
  for (auto _ : state) benchmark::DoNotOptimize(attestation::certificates_in_pem(text));
}
void parse_a_quote(benchmark::State& state, const Bytes& bytes) {
  for (auto _ : state) benchmark::DoNotOptimize(parse_quote(bytes));
}
void parse_crl(benchmark::State& state, const Bytes& der) {
  for (auto _ : state) benchmark::DoNotOptimize(attestation::Crl::from_der(der));
}
void parse_certificate(benchmark::State& state, const Bytes& der) {
  for (auto _ : state) benchmark::DoNotOptimize(attestation::Certificate::from_der(der));
}

void register_parsers() {
  std::string keys = "{";
  for (int i = 0; keys.size() < kHostile - 16; ++i) keys += "\"" + std::to_string(i) + "\":0,";
  keys += "\"z\":0}";
  const std::pair<const char*, std::string> texts[] = {{"numbers", repeated("{\"a\":[", "0,", "0]}")},
                                                       {"objects", repeated("{\"a\":[", "{},", "{}]}")},
                                                       {"members", repeated("{\"a\":[", "{\"a\":0},", "0]}")},
                                                       {"escapes", repeated("{\"a\":\"", "\\u00e4", "\"}")},
                                                       {"keys", keys},
                                                       {"characters", repeated("{\"a\":\"", "x", "\"}")}};
  for (const auto& [name, text] : texts)
    benchmark::RegisterBenchmark(("parse_64k/json_" + std::string(name)).c_str(),
                                 [text = text](benchmark::State& state) { parse_json(state, text); });
  std::string hex = repeated("{\"pck_crl_issuer_chain\":\"\",\"root_ca_crl\":\"", "00", "\"}");
  benchmark::RegisterBenchmark("parse_64k/collateral",
                               [hex](benchmark::State& state) { parse_collateral(state, hex); });
  std::string pem = repeated("-----BEGIN CERTIFICATE-----\n", "MIIB", "\n-----END CERTIFICATE-----\n");
  benchmark::RegisterBenchmark("parse_64k/pem", [pem](benchmark::State& state) { parse_pem(state, pem); });

  Bytes quote = platform().of_new_keys[0];
  std::size_t more = kHostile - quote.size();
  quote.resize(kHostile);
  base::store_le32(quote.data() + 432, base::load_le32(quote.data() + 432) + static_cast<std::uint32_t>(more));
  base::store_le32(quote.data() + 1048, base::load_le32(quote.data() + 1048) + static_cast<std::uint32_t>(more));
  if (!parse_quote(quote)) std::abort();
  benchmark::RegisterBenchmark("parse_64k/quote", [quote](benchmark::State& state) { parse_a_quote(state, quote); });

  // As many entries as there is room for.
  sim::CrlOrder order{kNow, kNow + std::chrono::hours(24), 1, {}};
  auto crl_of = [&](std::size_t entries) {
    order.revoked.assign(entries, {});
    for (sim::Serial& serial : order.revoked) serial = sim::random_serial();
    return sim::issue_crl(order, platform().ca.pck_ca).value();
  };
  Bytes crl = crl_of((kHostile - crl_of(0).size()) / ((crl_of(200).size() - crl_of(100).size()) / 100 + 1));
  benchmark::RegisterBenchmark("parse_64k/crl", [crl](benchmark::State& state) { parse_crl(state, crl); });

  Bytes certificate = attestation::certificates_in_pem(platform().ca.pck.certificate)->front();
  benchmark::RegisterBenchmark("parse_1k/certificate",
                               [certificate](benchmark::State& state) { parse_certificate(state, certificate); });
}

bool write_evidence(const std::filesystem::path& folder) {
  const Platform& p = platform();
  auto write = [&](const char* name, ByteView content) {
    return base::write_file_atomic(folder / name, content, 0644).has_value();
  };
  return write("quote.bin", p.of_new_keys[0]) && write("collateral.json", base::as_bytes(to_json(p.collateral))) &&
         write("root.pem", base::as_bytes(p.ca.root.certificate)) &&
         write("time", base::as_bytes(std::to_string(kNow.time_since_epoch().count())));
}

BENCHMARK(p256_verification);
BENCHMARK_CAPTURE(normal, plain, false);
BENCHMARK_CAPTURE(normal, prepared, true);
BENCHMARK(qe_report_seen);
BENCHMARK(cold);
BENCHMARK(cold_prepared);
BENCHMARK_CAPTURE(seen_real, sgx, "A_phala_sgx_processor");
BENCHMARK_CAPTURE(cold_real, sgx, "A_phala_sgx_processor");
BENCHMARK_CAPTURE(seen_real, tdx, "T4_phala_tdx_v4");
BENCHMARK_CAPTURE(cold_real, tdx, "T4_phala_tdx_v4");
BENCHMARK(c_normal);
BENCHMARK(c_qe_report_seen);
BENCHMARK(c_cold);

}  // namespace

int main(int argc, char** argv) {
  constexpr char kEvidence[] = "--evidence=";
  if (argc > 1 && std::strncmp(argv[1], kEvidence, sizeof kEvidence - 1) == 0) {
    if (!write_evidence(argv[1] + sizeof kEvidence - 1)) {
      std::fprintf(stderr, "verify_bench: cannot write the evidence to %s\n", argv[1] + sizeof kEvidence - 1);
      return 1;
    }
    std::swap(argv[1], argv[0]);
    --argc;
    ++argv;
  }
  register_parsers();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
