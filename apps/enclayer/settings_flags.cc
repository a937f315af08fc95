#include "settings_flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>
#include <vector>

#include "base/file.h"

namespace enclayer::apps {
namespace {

using addon::SettingRule;

// The help names the rule's meaning, so that a flag and a chart's value are explained alike.
const SettingRule& rule(std::string_view name) {
  const auto rules = addon::setting_rules();
  return *std::find_if(rules.begin(), rules.end(), [&](const SettingRule& one) { return one.name == name; });
}

template <class Kind>
CLI::Option* add_option(CLI::App& command, std::string_view name, std::optional<Kind>& value,
                        const std::string& shown) {
  const SettingRule& of = rule(name);
  return command.add_option(std::string(of.flag), value, std::string(of.meaning))->option_text(shown);
}

void add_switch(CLI::App& command, std::string_view name, std::optional<bool>& value, bool may_disable) {
  const SettingRule& of = rule(name);
  std::string on(of.flag);
  command.add_flag_function(
      on, [&value](std::int64_t) { value = true; }, std::string(of.meaning));
  if (!may_disable) return;
  const std::string what = on.starts_with("--enable-") ? on.substr(9) : on.substr(2);
  command
      .add_flag_function(
          "--disable-" + what, [&value](std::int64_t) { value = false; }, "The opposite of " + on)
      ->excludes(on);
}

std::string alternatives(std::string words) {
  std::replace(words.begin(), words.end(), ' ', '|');
  return words;
}

}  // namespace

void add_settings_flags(CLI::App& command, SettingsFlags& flags, bool may_disable) {
  const addon::Settings defaults;
  add_switch(command, "quoteHelper", flags.quote_helper, may_disable);
  add_switch(command, "standby", flags.standby, true);
  add_switch(command, "inProcAttestation", flags.in_proc_attestation, may_disable);
  add_switch(command, "externalAesmd", flags.external_aesmd, may_disable);
  add_option(command, "platform", flags.platform, alternatives(std::string(rule("platform").words)) + " [hardware]");
  add_option(command, "simEpc", flags.sim_epc, "AMOUNT [" + defaults.sim_epc + "]");
  add_option(command, "namespace", flags.name_space, "NAME [" + defaults.name_space + "]");
  add_option(command, "image", flags.image, "REPO/enclayer:TAG [" + defaults.image + "]");
  add_option(command, "dcapImage", flags.dcap_image, "REPO/NAME:TAG");
  add_option(command, "imagePullPolicy", flags.image_pull_policy,
             alternatives(std::string(rule("imagePullPolicy").words)) + " [" + defaults.image_pull_policy + "]");
  CLI::Option* pccs = add_option(command, "pccsUrl", flags.pccs_url, "URL");
  add_option(command, "qcnlConf", flags.qcnl_conf, "FILE")->excludes(pccs);
  add_option(command, "workers", flags.workers, "N [" + std::to_string(defaults.workers) + "]");
  add_option(command, "quotesPerMinute", flags.quotes_per_minute, "N [no limit]");
  add_option(command, "quoteSlots", flags.quote_slots, "N [" + std::to_string(defaults.quote_slots) + "]");
}

Result<addon::Settings> changed(addon::Settings settings, const SettingsFlags& flags) {
  auto take = [](const auto& given, auto& setting) {
    if (given) setting = *given;
  };
  take(flags.name_space, settings.name_space);
  take(flags.image, settings.image);
  take(flags.dcap_image, settings.dcap_image);
  take(flags.image_pull_policy, settings.image_pull_policy);
  take(flags.pccs_url, settings.pccs_url);
  take(flags.sim_epc, settings.sim_epc);
  take(flags.quote_helper, settings.quote_helper);
  take(flags.in_proc_attestation, settings.in_proc_attestation);
  take(flags.external_aesmd, settings.external_aesmd);
  take(flags.standby, settings.standby);
  take(flags.workers, settings.workers);
  take(flags.quotes_per_minute, settings.quotes_per_minute);
  take(flags.quote_slots, settings.quote_slots);
  if (flags.platform) {
    if (*flags.platform != "hardware" && *flags.platform != "sim")
      return Error(ErrorKind::kInvalidArgument, "--platform " + *flags.platform + " is none of: hardware sim");
    settings.platform = *flags.platform == "sim" ? addon::Platform::kSim : addon::Platform::kHardware;
  }
  if (flags.qcnl_conf) {
    settings.qcnl_conf.clear();
    if (!flags.qcnl_conf->empty()) {
      auto text = base::read_text(*flags.qcnl_conf, addon::kMostQcnlConf);
      if (!text) return text.error().with_context("--qcnl-conf");
      settings.qcnl_conf = *text;
    }
  }
  // The two answer one question: the one that is given now takes the other's place.
  if (flags.pccs_url && !flags.pccs_url->empty()) settings.qcnl_conf.clear();
  if (flags.qcnl_conf && !settings.qcnl_conf.empty()) settings.pccs_url.clear();
  ENCLAYER_CHECK(addon::check(settings));
  return settings;
}

}  // namespace enclayer::apps
