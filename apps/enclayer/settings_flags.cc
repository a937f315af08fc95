// SPDX-License-Identifier: Apache-2.0
#include "settings_flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "attest/policy_text.h"
#include "cli_support.h"
#include "enclayer/collateral.h"
#include "enclayer/policy.h"
#include "enclayer/verify.h"

namespace enclayer::apps {
namespace {

using manifests::Setting;

// Of a flag that may be repeated; how many a setting has room for is said by check().
constexpr int kMostGiven = 1000;

void add_switch(CLI::App& command, const Setting& setting, std::vector<std::string>& given, bool may_disable) {
  const std::string on(setting.flag);
  command.add_flag_function(
      on, [&given](std::int64_t) { given = {"true"}; }, std::string(setting.help));
  if (!may_disable) return;
  const std::string what = on.starts_with("--enable-") ? on.substr(9) : on.substr(2);
  command
      .add_flag_function(
          "--disable-" + what, [&given](std::int64_t) { given = {"false"}; }, "The opposite of " + on)
      ->excludes(on);
}

// "hardware|sim [hardware]", "URL"
std::string shown(const Setting& setting) {
  std::string out(setting.words.empty() ? setting.shown : setting.words);
  if (!setting.words.empty()) std::replace(out.begin(), out.end(), ' ', '|');
  const std::string by_default = value_of(manifests::Settings(), setting);
  if (!by_default.empty() && setting.shown != "FILE") out += " [" + by_default + "]";
  return setting.has_entries() ? out + " ..." : out;
}

// What the service would refuse at its start, said before anything is touched.
Result<> check_attestation_files(const manifests::Settings& settings) {
  auto checked = [](const auto& parsed, const char* flag) {
    return parsed ? Result<>()
                  : Error(ErrorKind::kInvalidArgument, std::string(flag) + ": " + parsed.error().message());
  };
  ENCLAYER_CHECK(checked(attest::PolicyText::parse(settings.attestation_policy), "--attestation-policy"));
  if (const std::string& text = settings.attestation_verify_policy; !text.empty())
    ENCLAYER_CHECK(checked(parse_policy_json(text), "--attestation-verify-policy"));
  if (const std::string& text = settings.attestation_collateral; !text.empty())
    ENCLAYER_CHECK(checked(parse_collateral_json(text), "--attestation-collateral"));
  if (const std::string& text = settings.attestation_simulated_root; !text.empty())
    ENCLAYER_CHECK(checked(TrustedRoot::from_pem(text), "--attestation-simulated-root"));
  return {};
}

}  // namespace

void add_settings_flags(CLI::App& command, SettingsFlags& flags, bool may_disable) {
  const manifests::Settings defaults;
  for (const Setting& setting : manifests::setting_table()) {
    std::vector<std::string>& given = flags[&setting];
    if (setting.is<bool>()) {
      add_switch(command, setting, given, may_disable || !value_of(defaults, setting).empty());
      continue;
    }
    const CLI::callback_t take = [&given](const CLI::results_t& values) {
      given = values;
      return true;
    };
    CLI::Option* option = command.add_option(std::string(setting.flag), take, std::string(setting.help));
    option->option_text(shown(setting));
    if (setting.has_entries()) option->expected(1, kMostGiven)->allow_extra_args(false)->take_all();
  }
  command.get_option("--qcnl-conf")->excludes(command.get_option("--pccs-url"));
  command.get_option("--attestation-fmspc")->excludes(command.get_option("--attestation-collateral"));
}

Result<manifests::Settings> changed(manifests::Settings settings, const SettingsFlags& flags) {
  const manifests::Settings before = settings;
  for (auto [setting, given] : flags) {
    if (given.empty()) continue;
    if (std::string& text = given.back(); setting->shown == "FILE" && !text.empty()) {
      auto read = read_input_text(text, setting->most);
      if (!read) return read.error().with_context(std::string(setting->flag));
      text = *read;
    }
    ENCLAYER_CHECK(set(settings, *setting, given));
  }
  // The two answer one question: the one that is given now takes the other's place.
  auto give_way = [&](std::string manifests::Settings::*one, std::string manifests::Settings::*other) {
    if (!(settings.*one).empty() && settings.*other == before.*other) (settings.*other).clear();
    if (!(settings.*other).empty()) (settings.*one).clear();
  };
  give_way(&manifests::Settings::pccs_url, &manifests::Settings::qcnl_conf);
  give_way(&manifests::Settings::attestation_fmspc, &manifests::Settings::attestation_collateral);
  ENCLAYER_CHECK(manifests::check(settings));
  ENCLAYER_CHECK(check_attestation_files(settings));
  return settings;
}

}  // namespace enclayer::apps
