// SPDX-License-Identifier: Apache-2.0
// The flags that say what the add-on shall be, the same for every command that takes some.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "enclayer/error.h"
#include "manifests/settings.h"

namespace CLI {
class App;
}

namespace enclayer::apps {

// What was given on the command line. What was not stays as it is: by default in `enable` and `render`, as the cluster
// has it in `update`.
using SettingsFlags = std::map<const manifests::Setting*, std::vector<std::string>>;

// `may_disable`: there is something that could be switched off, so there are --disable-sgxquotehelper and
// --disable-in-proc-attestation too. What is on by default can always be switched off: --disable-standby.
void add_settings_flags(CLI::App& command, SettingsFlags& flags, bool may_disable = false);

// `settings` as changed by the flags. Reads the file of --qcnl-conf; kInvalidArgument where manifests::check() refuses.
Result<manifests::Settings> changed(manifests::Settings settings, const SettingsFlags& flags);

}  // namespace enclayer::apps
