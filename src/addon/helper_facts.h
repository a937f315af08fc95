// SPDX-License-Identifier: Apache-2.0
// What quote helpers say of themselves: with which of Intel's libraries and enclaves they quote, and how far that
// reaches. `enclayer show` asks one helper of each image; what they have to say is in docs/quote-helper.md, "Facts".
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
  std::string trouble;                  // why it could not be asked; everything below is empty then
  std::string version;                  // of enclayer
  std::string libraries;                // version of libsgx_dcap_ql; empty in the simulation
  std::optional<int> qe_svn, pce_svn;   // ISVSVN
  std::string fmspc;                    // 12 hexadecimal digits
  std::string tcb_status, tcb_unknown;  // of the platform, or why it is not known
  std::vector<std::string> advisories;
};

// One JSON object. kMalformed: it is none, or longer than kMostHelperFacts bytes.
inline constexpr std::size_t kMostHelperFacts = std::size_t{64} * 1024;
Result<HelperFacts> parse_helper_facts(std::string_view json);

// At most this many helpers are asked, all at once, each for a few seconds.
inline constexpr std::size_t kMostAsked = 8;
// By `kubectl exec`, one ready helper for each image, in the order of the images.
std::vector<HelperFacts> ask_helpers(const Kubectl& kubectl, const Cluster& cluster);

// The ISVSVNs of an up-to-date platform, out of collateral for its FMSPC (TCB Info: pcesvn; QE Identity: isvsvn).
// What is missing or cannot be read is not there. Nothing is verified: it is for a warning.
struct NeededSvns {
  std::optional<int> qe, pce;
};
NeededSvns needed_svns(std::string_view tcb_info_json, std::string_view qe_identity_json);

// What somebody should do something about; `needed` is for that helper's FMSPC.
std::vector<std::string> warnings_of(const HelperFacts& facts, const NeededSvns& needed);

}  // namespace enclayer::addon
