// SPDX-License-Identifier: Apache-2.0
// 64 KiB of anything, looked at for evidence: what is wrong with it has to be said within a millisecond.
//   build/bench/bin/evidence_bench          goal: every line below 1 ms of CPU time
#include <benchmark/benchmark.h>

#include <string>

#include "enclayer/evidence.h"

namespace {

using enclayer::Bytes;

constexpr std::size_t kSize = 64 << 10;

Bytes repeated(const std::string& begin, const std::string& unit, const std::string& end = "") {
  std::string out = begin;
  while (out.size() + unit.size() + end.size() <= kSize) out += unit;
  out += end;
  return Bytes(out.begin(), out.end());
}

// SEQUENCE { SEQUENCE { `content` }, SEQUENCE {}, BIT STRING {} }, which looks like a certificate.
Bytes certificate_of(const Bytes& content) {
  auto element = [](std::uint8_t tag, const Bytes& inside) {
    Bytes out{tag, 0x83, static_cast<std::uint8_t>(inside.size() >> 16), static_cast<std::uint8_t>(inside.size() >> 8),
              static_cast<std::uint8_t>(inside.size())};
    if (inside.size() < 0x10000) {
      out[1] = 0x82;
      out.erase(out.begin() + 2);
    }
    out.insert(out.end(), inside.begin(), inside.end());
    return out;
  };
  Bytes parts = element(0x30, content);
  parts.insert(parts.end(), {0x30, 0x00, 0x03, 0x02, 0x00, 0x00});
  return element(0x30, parts);
}

void look(benchmark::State& state, const Bytes& bytes) {
  for (auto _ : state) benchmark::DoNotOptimize(enclayer::evidence_from(bytes).has_value());
}

BENCHMARK_CAPTURE(look, zeros, Bytes(kSize, 0))->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(look, hexadecimal, repeated("", "0f"))->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(look, hexadecimal_in_lines, repeated("0x", "0f\n"))->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(look, base64, repeated("", "AAz/"))->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(look, pem, repeated("-----BEGIN A-----", "AAz/", "-----END A-----"))->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(look, prose, repeated("", "lorem ipsum, "))->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(look, json_text, repeated("{\"quote\":\"", "0f", "\"}"))->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(look, json_escapes, repeated("{\"quote\":\"", "\\u0041", "\"}"))->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(look, json_numbers, repeated("{\"a\":[0", ",0", "]}"))->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(look, json_depth, repeated("{\"a\":", "["))->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(look, der, certificate_of(Bytes(kSize - 32, 0x30)))->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
