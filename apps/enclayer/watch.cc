// SPDX-License-Identifier: Apache-2.0
#include "watch.h"

#include "base/version.h"
#include "look.h"

namespace enclayer::apps {

using namespace addon;

Result<Watchable> look_before_watching(const ClusterFlags& flags, const Surroundings& around) {
  ENCLAYER_TRY(Looked looked, look_at_cluster(flags, around));
  Watchable out;
  const std::string place = looked.cluster.name_space();
  out.may_ask = !place.empty();
  if (!out.may_ask) out.notes.push_back("enclayer is not switched on here; `" + around.program + " enable` does that");
  if (!looked.no_settings.empty()) out.notes.push_back(looked.no_settings);
  if (looked.before)
    if (auto apart = versions_apart(looked.before->version, base::kVersion); !apart.empty()) out.notes.push_back(apart);
  if (out.may_ask) {
    ENCLAYER_TRY(auto lacked, lacking(*looked.api, {{"create", "", "pods/exec", place}}));
    out.may_ask = lacked.empty();
    if (!out.may_ask)
      out.notes.push_back(
          "what is mapped, quotes and waits are not shown: that takes the right to create pods/exec in namespace " +
          place);
  }
  if (looked.before) out.settings = looked.before->settings;
  out.api = std::move(looked.api);
  out.cluster = std::move(looked.cluster);
  return out;
}

Usage with(const std::vector<std::string>& notes, Usage usage) {
  usage.notes.insert(usage.notes.begin() + (usage.age ? 1 : 0), notes.begin(), notes.end());
  return usage;
}

}  // namespace enclayer::apps
