// SPDX-License-Identifier: Apache-2.0
// What quote helpers say of themselves: with which of Intel's libraries and enclaves they quote, for which platform, and how
// far that reaches. What they have to say is in docs/quote-helper.md, "Facts".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "addon/cluster.h"
#include "addon/kubectl.h"

namespace enclayer::addon {

struct HelperFacts {
  std::string node, image;
  bool first_of_image = true;           // what it quotes with is what all helpers of its image quote with
  std::string trouble;                  // why it could not be asked; everything below is empty then
  std::string version;                  // of enclayer
  bool simulated = false;               // no service has collateral for its platform
  std::string libraries;                // version of libsgx_dcap_ql; empty in the simulation
  std::optional<int> qe_svn, pce_svn;   // ISVSVN
  std::string fmspc;                    // 12 hexadecimal digits; this and the next two: empty before the first quote
  std::string pck_tcb;                  // 36 hexadecimal digits (attestation::PlatformTcb)
  std::string pck_ca;                   // "processor", "platform"
  std::string tcb_status, tcb_unknown;  // of the platform, or why it is not known
  std::vector<std::string> advisories;
};

// One JSON object. kMalformed: it is none, or longer than kMostHelperFacts bytes.
inline constexpr std::size_t kMostHelperFacts = std::size_t{64} * 1024;
Result<HelperFacts> parse_helper_facts(std::string_view json);

// By `kubectl exec`, `most` of the ready helpers, all at once, each for a few seconds: one of each image, in the order of the
// images, and then those on whose nodes most pods hold SGX.
inline constexpr std::size_t kMostAsked = 8;
std::vector<HelperFacts> ask_helpers(const Kubectl& kubectl, const Cluster& cluster, std::size_t most = kMostAsked);

// The ISVSVNs of an up-to-date platform, out of collateral for its FMSPC (TCB Info: pcesvn; QE Identity: isvsvn).
// What is missing or cannot be read is not there. Nothing is verified: it is for a warning.
struct NeededSvns {
  std::optional<int> qe, pce;
};
NeededSvns needed_svns(std::string_view tcb_info_json, std::string_view qe_identity_json);

// What somebody should do something about; `needed` is for that helper's FMSPC.
std::vector<std::string> warnings_of(const HelperFacts& facts, const NeededSvns& needed);

}  // namespace enclayer::addon
