// SPDX-License-Identifier: Apache-2.0
// Collateral that holds today: of a simulated platform, from an authority made for the test.
#pragma once

#include <stdexcept>
#include <string>

#include "enclayer/collateral.h"
#include "enclayer/time.h"
#include "sim/ca.h"

namespace enclayer::fake {

inline constexpr char kSimFmspc[] = "53494d554c41";  // of sim::kFmspc; its CA is the Platform CA

struct SimCollateral {
  Collateral collateral;
  std::string root;  // PEM
};

// `change` may change what is ordered of the authority.
template <class Change>
SimCollateral sim_collateral(Time now, const std::string& root_crl_url, Change&& change) {
  auto or_throw = [](auto result) {
    if (!result) throw std::runtime_error(result.error().message());
    return std::move(*result);
  };
  sim::CaOrder order = sim::ca_order(now);
  if (!root_crl_url.empty()) order.root.crl_url = root_crl_url;
  sim::Ca ca = or_throw(sim::make_ca(order));
  sim::CollateralOrder collateral_order = sim::collateral_order(now);
  change(collateral_order);
  return {or_throw(sim::issue_collateral(ca, collateral_order)), ca.root.certificate};
}
inline SimCollateral sim_collateral(Time now, const std::string& root_crl_url = "") {
  return sim_collateral(now, root_crl_url, [](sim::CollateralOrder&) {});
}

}  // namespace enclayer::fake
