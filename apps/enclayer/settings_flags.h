// The flags that say what the add-on shall be, the same for every command that takes some.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "addon/settings.h"
#include "enclayer/error.h"

namespace CLI {
class App;
}

namespace enclayer::apps {

// What was given on the command line. What was not stays as it is: by default in `enable` and `render`, as the cluster
// has it in `update`.
struct SettingsFlags {
  std::optional<std::string> name_space, image, dcap_image, image_pull_policy, platform, pccs_url, sim_epc;
  std::optional<std::filesystem::path> qcnl_conf;  // a file; empty: none any more
  std::optional<bool> quote_helper, standby, in_proc_attestation, external_aesmd;
  std::optional<unsigned> workers, quotes_per_minute, quote_slots;
};

// `may_disable`: there is something that could be switched off, so there are --disable-sgxquotehelper and
// --disable-in-proc-attestation too. What is on by default can always be switched off: --disable-standby.
void add_settings_flags(CLI::App& command, SettingsFlags& flags, bool may_disable = false);

// `settings` as changed by the flags. Reads the file of --qcnl-conf; kInvalidArgument where addon::check() refuses.
Result<addon::Settings> changed(addon::Settings settings, const SettingsFlags& flags);

}  // namespace enclayer::apps
