// SPDX-License-Identifier: Apache-2.0
// What is known of where quotes come from: which libraries and enclaves make them, and how far the platform is up to
// date. For who looks after many nodes: `enclayer-quote-helper --facts`, and a metric. What is not known is said to be
// unknown, never guessed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attestation/pck_extension.h"
#include "enclayer/bytes.h"
#include "enclayer/verify.h"
#include "quoting/dcap_protocol.h"

namespace enclayer::base {
class Metrics;
}

namespace enclayer::quoting {

struct SourceFacts {
  struct File {
    std::string path, version;  // "" where the file's name does not tell
    bool operator==(const File&) const = default;
  };
  // An enclave's ISVSVN: out of its signed file, or out of a quote, which is better.
  struct Svn {
    std::uint16_t value = 0;
    bool from_quote = false;
    bool operator==(const Svn&) const = default;
  };
  struct Tcb {
    TcbStatus status = TcbStatus::kRevoked;
    std::optional<Time> date;
    std::optional<std::uint32_t> evaluation_number;
    std::vector<std::string> advisory_ids;
    bool operator==(const Tcb&) const = default;
  };

  std::vector<File> files;  // libraries and enclaves; none in the simulation
  std::optional<ByteArray<32>> qe_mr_enclave;
  std::optional<Svn> qe_svn, pce_svn;
  // Of the PCK certificate: which kind of platform, at which patch level, certified by which of Intel's authorities.
  struct Pck {
    ByteArray<6> fmspc{};
    attestation::PlatformTcb tcb;
    bool platform_ca = false;  // else the Processor CA
    bool operator==(const Pck&) const = default;
  };
  std::optional<Pck> pck;
  std::optional<Tcb> tcb;   // by the collateral that was at hand
  std::string tcb_unknown;  // why there is no tcb

  bool operator==(const SourceFacts&) const = default;

  // That of libsgx_dcap_ql.so.1; "" where it is not known.
  std::string library_version() const;
};

// What is loaded. `qe_mr_enclave` is the QE that answered; of the SIGSTRUCTs in the QE's file only its own counts.
SourceFacts facts_of_files(const std::vector<DcapFile>& files, const std::optional<ByteArray<32>>& qe_mr_enclave);

// ISVSVNs and what the PCK certificate says from a quote of this platform; nothing changes where it cannot be read.
void learn_from_quote(SourceFacts& facts, ByteView quote);

// The level that a quote reaches; of one that does not verify, why.
void learn_from_verification(SourceFacts& facts, const Verification& verification);

// Whose facts they are.
struct FactsAbout {
  std::string version;           // of enclayer
  std::string platform;          // "sim", "hardware"
  std::string instance;          // "" where it has no name
  std::uint64_t generation = 0;  // 0: it has served nobody
};

// One JSON object, for the file and for --facts; docs/quote-helper.md lists its fields.
std::string to_json(const SourceFacts& facts, const FactsAbout& about);

// enclayer_quote_source_info.
void show_source_info(const SourceFacts& facts, base::Metrics& metrics);

}  // namespace enclayer::quoting
