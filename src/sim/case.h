// SPDX-License-Identifier: Apache-2.0
// Evidence for the tests of a verifier: a quote, its collateral and the root to trust, made by a simulated platform of
// its own that departs from a good one in exactly one thing, with the verdict that a careful verifier has to give.
// docs/sim-cases.md has the list for people, `enclayer sim case` writes the files. All of it says SIMULATED.
//
//   for (const Case& which : cases()) {
//     Evidence e = make_evidence(which, at).value();
//     Verdict verdict = judge(verify(e.quote, e.collateral, TrustedRoot::from_pem(e.root).value(), at), Policy{});
//     // verdict.reason == which.reason
//   }
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/tcb_status.h"
#include "enclayer/verify.h"
#include "sim/quote.h"
#include "sim/td.h"

namespace enclayer::sim {

// All that evidence is made from.
struct Order {
  Time at;  // when it is to be judged
  CaOrder ca;
  CollateralOrder collateral;
  QuoteOrder quote;
};

// The good platform: seven items in its PCK certificate (Platform CA), up to date, nothing revoked.
Order good_order(Time at);
// The same platform with a trust domain in the place of the enclave: a quote of version 4, TDX module 1.5.
Order good_td_order(Time at);

struct Evidence {
  Bytes quote;
  Collateral collateral;
  std::string root;  // PEM; the only root to trust
};

// How a case departs from the good platform. Each function is called, where there is one, at its moment.
struct Departure {
  // Before anything is made.
  std::function<void(Order&)> order = nullptr;
  // When certificates, collateral and root are made, and the quote is not: puts other ones in their place.
  std::function<Result<>(Order&, const Ca&, Evidence&)> issued = nullptr;
  // When the quote is made: what befalls it on its way.
  std::function<Result<>(Bytes&)> on_its_way = nullptr;
};

struct Case {
  // tcbEvaluationDataNumber of TCB Info and of QE Identity.
  static constexpr std::uint32_t kEvaluationNumber = 17;

  std::string name;  // [a-z0-9-], "pck-revoked"
  std::string what;  // how it departs from the good platform, in one phrase

  // What verify() and judge() with the default policy (UpToDate, no debug enclaves) say.
  Reason reason = Reason::kOk;
  std::optional<TcbStatus> tcb_status;  // nullopt: some check fails
  std::vector<std::string> advisory_ids;
  std::uint32_t tcb_evaluation_number = kEvaluationNumber;  // the lower one of both

  Departure departure;

  bool trusted() const { return reason == Reason::kOk; }
  // Every check passes and no policy has to refuse it: not revoked, not a debug enclave or TD, nor a TD with attributes
  // or service TDs that have to be allowed by name. What remains is a matter of which TCB statuses the relying party
  // accepts. `accept` of test/data/quotes means the same.
  bool acceptable() const {
    return tcb_status && *tcb_status != TcbStatus::kRevoked && reason == attestation::reason_of(*tcb_status);
  }
};

// Every case, the good ones first; names are unique and never change their meaning.
const std::vector<Case>& cases();
const Case* find_case(std::string_view name);  // nullptr: there is none

// Every call makes another platform with keys of its own. What is signed is the same each time but for keys, serial
// numbers and what is derived from them; signatures never are.
Result<Evidence> make_evidence(const Case& which, Time at);

}  // namespace enclayer::sim
