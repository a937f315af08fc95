// SPDX-License-Identifier: Apache-2.0
// Simulated quotes in one process, by one and two threads, against what software can reach at all: the report's MAC
// checked (two CMACs of AES-128), one P-256 signature, one copy of the finished quote, in a loop that allocates
// nothing.
//   build/bench/bin/sim_quote_bench          goal: quote/threads:N >= 70 % of ceiling/threads:N in items_per_second
#include <benchmark/benchmark.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "sim/enclave.h"
#include "sim/quoting_enclave.h"

namespace {

using namespace enclayer;

struct Setup {
  sim::Ca ca = sim::make_ca(sim::ca_order(parse_time("2026-11-21T10:00:00Z").value())).value();
  sim::SigningKey key = sim::SigningKey::generate().value();
  std::unique_ptr<sim::QuotingEnclave> qe = sim::QuotingEnclave::make(ca, key).value();
  sgx::Report report = sim::ereport(sim::enclave_body({}), qe->target()->qe);
  Bytes finished = qe->quote(report, std::nullopt)->quote;
};

Setup& setup() {
  static Setup all;
  return all;
}

void quote(benchmark::State& state) {
  for (auto _ : state) {
    auto reply = setup().qe->quote(setup().report, std::nullopt);
    if (!reply) std::abort();
    benchmark::DoNotOptimize(reply->quote.data());
  }
  state.SetItemsProcessed(state.iterations());
}

void quote_with_qe_report(benchmark::State& state) {
  quoting::QeReportRequest wish;
  wish.target = sim::enclave_target();
  for (auto _ : state) {
    auto reply = setup().qe->quote(setup().report, wish);
    if (!reply) std::abort();
    benchmark::DoNotOptimize(reply->quote.data());
  }
  state.SetItemsProcessed(state.iterations());
}

void check(bool ok) {
  if (!ok) std::abort();
}

void ceiling(benchmark::State& state) {
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "CMAC", nullptr);
  EVP_MAC_CTX* cmac = EVP_MAC_CTX_new(mac);
  char cipher[] = "AES-128-CBC";
  OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
                         OSSL_PARAM_construct_end()};
  EVP_PKEY_CTX* signer = EVP_PKEY_CTX_new(static_cast<EVP_PKEY*>(setup().key.evp_pkey()), nullptr);
  check(EVP_PKEY_sign_init(signer) == 1);
  const sgx::Report& report = setup().report;
  const Bytes& finished = setup().finished;
  Bytes out(finished.size());
  unsigned char key[16] = {1}, tag[16], key_input[192] = {}, digest[32], signature[80];

  for (auto _ : state) {
    std::size_t size = 0;
    check(EVP_MAC_init(cmac, key, sizeof key, params) == 1 && EVP_MAC_update(cmac, key_input, sizeof key_input) == 1 &&
          EVP_MAC_final(cmac, tag, &size, sizeof tag) == 1);
    check(EVP_MAC_init(cmac, tag, sizeof tag, params) == 1 && EVP_MAC_update(cmac, report.raw.data(), 384) == 1 &&
          EVP_MAC_final(cmac, tag, &size, sizeof tag) == 1);
    ::SHA256(finished.data(), 432, digest);
    std::size_t signature_size = sizeof signature;
    check(EVP_PKEY_sign(signer, signature, &signature_size, digest, sizeof digest) == 1);
    std::memcpy(out.data(), finished.data(), finished.size());
    std::memcpy(out.data() + 436, signature, 64);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations());
  EVP_PKEY_CTX_free(signer);
  EVP_MAC_CTX_free(cmac);
  EVP_MAC_free(mac);
}

BENCHMARK(ceiling)->Threads(1)->Threads(2)->UseRealTime();
BENCHMARK(quote)->Threads(1)->Threads(2)->UseRealTime();
BENCHMARK(quote_with_qe_report)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
