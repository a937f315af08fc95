// SPDX-License-Identifier: Apache-2.0
#include "sim/case_verbs.h"

#include <nlohmann/json.hpp>

namespace enclayer::sim::verbs {

Result<> edit(const Ca& ca, Collateral& collateral, std::string Collateral::*text,
              const std::function<void(Json&)>& change) {
  Json json = Json::parse(collateral.*text);
  change(json);
  collateral.*text = json.dump();
  return sign_collateral(ca, collateral);
}

}  // namespace enclayer::sim::verbs
