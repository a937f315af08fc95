#include "addon/settings.h"

#include <array>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "base/printable.h"
#include "base/quantity.h"
#include "base/version.h"

namespace enclayer::addon {
namespace {

using Json = nlohmann::ordered_json;
using Kind = SettingRule::Kind;

constexpr std::uint64_t kMib = 1 << 20;
// What one node's list carries (docs/limits.md).
constexpr std::uint64_t kMostSimEpc = 256 * kMib * 1024;

// Patterns are for std::regex and for JSON Schema validators alike: no look-around, no named classes.
constexpr std::array kRules = {
    SettingRule{"namespace", "--namespace", Kind::kText, "The namespace that the add-on's objects live in", "",
                "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", 63, false},
    SettingRule{"image", "--image", Kind::kText,
                "The image of device plugin, detector and simulated quote helper, with a tag or a digest", "",
                "^[a-zA-Z0-9][a-zA-Z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*"
                "(:[a-zA-Z0-9_][a-zA-Z0-9._-]*(@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})$",
                512, false},
    SettingRule{"dcapImage", "--dcap-image", Kind::kText,
                "The quote helper's image on hardware; empty: REPO/enclayer-dcap:TAG for an image REPO/enclayer:TAG",
                "",
                "^[a-zA-Z0-9][a-zA-Z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*"
                "(:[a-zA-Z0-9_][a-zA-Z0-9._-]*(@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})$",
                512, true},
    SettingRule{"imagePullPolicy", "--image-pull-policy", Kind::kWord, "When nodes pull the images",
                "Always IfNotPresent Never", "", 0, false},
    SettingRule{"platform", "--platform", Kind::kWord,
                "SGX hardware, or a simulation on the nodes that are labelled enclayer.io/sim=true: it protects "
                "nothing",
                "hardware sim", "", 0, false},
    SettingRule{"quoteHelper", "--enable-sgxquotehelper", Kind::kSwitch,
                "Out-of-process attestation: a quote helper on every SGX node", "", "", 0, false},
    SettingRule{"standby", "--standby", Kind::kSwitch,
                "Beside each quote helper a second one waits, and takes its sockets within 200 ms when it crashes or "
                "hangs; it asks for as much EPC again. On by default",
                "", "", 0, false},
    SettingRule{"inProcAttestation", "--in-proc-attestation", Kind::kSwitch,
                "In-process attestation: pods may ask for sgx.intel.com/provision where their namespace is labelled "
                "enclayer.io/allow-provisioning=true",
                "", "", 0, false},
    SettingRule{
        "externalAesmd", "--external-aesmd", Kind::kSwitch,
        "Pods with enclayer.io/quote are given /var/run/aesmd, where somebody else's aesmd answers; not with a quote "
        "helper",
        "", "", 0, false},
    SettingRule{"pccsUrl", "--pccs-url", Kind::kText,
                "The certificate service of the quote helper, as https://pccs.example:8081/sgx/certification/v4/", "",
                "^https?://([a-zA-Z0-9.-]+|\\[[0-9a-fA-F:.]+\\])(:[0-9]{1,5})?(/[a-zA-Z0-9._~%/-]*)?$", 512, true},
    SettingRule{"qcnlConf", "--qcnl-conf", Kind::kText,
                "A whole sgx_default_qcnl.conf for the quote helper instead of pccsUrl", "", "", kMostQcnlConf, true},
    SettingRule{"workers", "--workers", Kind::kNumber,
                "Quote workers of a quote helper on hardware; the helper asks for 5 MiB of EPC for each", "", "", 16,
                false},
    SettingRule{"quotesPerMinute", "--quotes-per-minute", Kind::kNumber,
                "Quotes a minute that each container may have; 0: no limit", "", "", 100'000, true},
    SettingRule{"quoteSlots", "--quote-slots", Kind::kNumber,
                "Containers of a node that may have quotes (enclayer.io/quote) at a time", "", "", 1000, false},
    SettingRule{"simEpc", "--sim-epc", Kind::kText, "The EPC that a simulated node pretends to have, 1Mi to 256Gi", "",
                "^[0-9]+(Ki|Mi|Gi|Ti)?$", 20, false},
};

// ---- One setting of a struct, whatever its kind. ----

// The text of a setting that is one; nullptr for others. `Any` is Settings or const Settings.
template <class Any>
auto* text_of(Any& settings, std::string_view name) {
  auto* none = static_cast<decltype(&settings.image)>(nullptr);
  if (name == "namespace") return &settings.name_space;
  if (name == "image") return &settings.image;
  if (name == "dcapImage") return &settings.dcap_image;
  if (name == "imagePullPolicy") return &settings.image_pull_policy;
  if (name == "pccsUrl") return &settings.pccs_url;
  if (name == "qcnlConf") return &settings.qcnl_conf;
  if (name == "simEpc") return &settings.sim_epc;
  return none;
}

template <class Any>
auto* switch_of(Any& settings, std::string_view name) {
  auto* none = static_cast<decltype(&settings.quote_helper)>(nullptr);
  if (name == "quoteHelper") return &settings.quote_helper;
  if (name == "standby") return &settings.standby;
  if (name == "inProcAttestation") return &settings.in_proc_attestation;
  if (name == "externalAesmd") return &settings.external_aesmd;
  return none;
}

template <class Any>
auto* number_of(Any& settings, std::string_view name) {
  auto* none = static_cast<decltype(&settings.workers)>(nullptr);
  if (name == "workers") return &settings.workers;
  if (name == "quotesPerMinute") return &settings.quotes_per_minute;
  if (name == "quoteSlots") return &settings.quote_slots;
  return none;
}

std::string range_of(const SettingRule& rule) {
  return (rule.may_be_empty ? "0 to " : "1 to ") + std::to_string(rule.most);
}

bool is_one_of(std::string_view words, std::string_view word) {
  return !word.empty() && word.find(' ') == word.npos &&
         (" " + std::string(words) + " ").find(" " + std::string(word) + " ") != std::string::npos;
}

Error refused(const SettingRule& rule, const std::string& value, const std::string& what_and_remedy) {
  return {ErrorKind::kInvalidArgument,
          std::string(rule.flag) + " " + (value.empty() ? "''" : base::printable(value, 200)) + what_and_remedy};
}

std::string remedy_of(std::string_view name) {
  if (name == "namespace")
    return " is no namespace: write 1 to 63 lower-case letters, digits and '-', as in enclayer-system";
  if (name == "image" || name == "dcapImage")
    return " is no image reference: write REPOSITORY/NAME:TAG or REPOSITORY/NAME@sha256:DIGEST, as in "
           "registry.example/enclayer:" +
           std::string(base::kVersion);
  if (name == "pccsUrl")
    return " is no address of a certificate service: write http:// or https://, a host, a port and a path, as in "
           "https://pccs.example:8081/sgx/certification/v4/";
  return " is no amount of memory: write digits and Ki, Mi, Gi, Ti, as in 8Gi";
}

Result<> check_text(const SettingRule& rule, const std::string& value) {
  if (value.empty() && rule.may_be_empty) return {};
  if (rule.kind == Kind::kWord) {
    if (is_one_of(rule.words, value)) return {};
    return refused(rule, value, " is none of: " + std::string(rule.words));
  }
  if (value.size() > rule.most)
    return refused(
        rule, value.substr(0, 40) + "...",
        " has " + std::to_string(value.size()) + " characters, at most " + std::to_string(rule.most) + " are possible");
  // The length is bounded above: std::regex recurses.
  if (!rule.pattern.empty() && !std::regex_match(value, std::regex(rule.pattern.begin(), rule.pattern.end())))
    return refused(rule, value, remedy_of(rule.name));
  return {};
}

Result<> check_number(const SettingRule& rule, unsigned value) {
  if (value <= rule.most && (value > 0 || rule.may_be_empty)) return {};
  return refused(rule, std::to_string(value), " is no number from " + range_of(rule));
}

const SettingRule& rule_of(std::string_view name) {
  for (const SettingRule& rule : kRules)
    if (rule.name == name) return rule;
  return kRules.front();
}

// Where the last part of an image reference has its tag: "registry:5000/enclayer:1" -> {"registry:5000/enclayer",
// ":1"}. The tag is empty where there is none, or a digest.
std::pair<std::string, std::string> name_and_tag(const std::string& image) {
  auto slash = image.rfind('/');
  auto colon = image.rfind(':');
  if (image.find('@') != image.npos || colon == image.npos || (slash != image.npos && colon < slash))
    return {image, ""};
  return {image.substr(0, colon), image.substr(colon)};
}

// Empty where the name of the neighbour cannot be known.
std::string dcap_neighbour(const std::string& image) {
  auto [name, tag] = name_and_tag(image);
  if (tag.empty() || !(name == "enclayer" || name.ends_with("/enclayer"))) return "";
  return name + "-dcap" + tag;
}

Result<> check_qcnl_conf(const Settings& settings) {
  if (settings.qcnl_conf.empty()) return {};
  auto no = [](const char* why) {
    return Error(ErrorKind::kInvalidArgument, std::string("--qcnl-conf: the file is no ") + why);
  };
  if (settings.qcnl_conf.find('\0') != std::string::npos ||
      settings.qcnl_conf.find_first_not_of(" \t\r\n") == std::string::npos)
    return no("configuration: it is blank or has a byte 0 in it");
  // A ConfigMap's data, and our own JSON, are UTF-8.
  try {
    static_cast<void>(Json(settings.qcnl_conf).dump());
  } catch (const Json::exception&) {
    return no("text in UTF-8");
  }
  return {};
}

Result<> check_namespace(const Settings& settings) {
  const std::string& name = settings.name_space;
  if (name == "default" || name.starts_with("kube-"))
    return refused(
        rule_of("namespace"), name,
        " is Kubernetes' own. The add-on labels its namespace, and removes it when it is disabled: give it one "
        "of its own, as enclayer-system");
  return {};
}

Result<> check_sim_epc(const Settings& settings) {
  const SettingRule& rule = rule_of("simEpc");
  auto bytes = base::parse_quantity(settings.sim_epc);
  if (!bytes) return refused(rule, settings.sim_epc, remedy_of("simEpc"));
  if (*bytes < kMib || *bytes > kMostSimEpc)
    return refused(rule, settings.sim_epc, ": a simulated node has 1Mi to 256Gi");
  return {};
}

// What a single setting cannot know.
Result<> check_together(const Settings& settings) {
  if (!settings.pccs_url.empty() && !settings.qcnl_conf.empty())
    return Error(ErrorKind::kInvalidArgument,
                 "--pccs-url " + settings.pccs_url +
                     " and --qcnl-conf are two answers to one question: give one, and \"\" for the other");
  if (settings.platform == Platform::kSim && !(settings.pccs_url.empty() && settings.qcnl_conf.empty()))
    return Error(ErrorKind::kInvalidArgument,
                 std::string(settings.pccs_url.empty() ? "--qcnl-conf" : "--pccs-url") +
                     " is for --platform hardware: simulated quotes have certificates of their own. Leave it out, or "
                     "give \"\" where it was set before");
  if (settings.external_aesmd && settings.quote_helper)
    return Error(
        ErrorKind::kInvalidArgument,
        "--external-aesmd and --enable-sgxquotehelper are two answers to one question: a node's quotes come from "
        "somebody else's aesmd or from the quote helper; switch one of them off");
  if (settings.platform == Platform::kHardware && settings.quote_helper && helper_image(settings).empty())
    return Error(ErrorKind::kInvalidArgument,
                 "--image " + settings.image +
                     " is not named REPOSITORY/enclayer:TAG, so the name of the quote helper's image cannot be derived "
                     "from it: say --dcap-image");
  return {};
}

}  // namespace

std::string_view to_string(Platform platform) { return platform == Platform::kSim ? "sim" : "hardware"; }

Settings::Settings()
    : name_space("enclayer-system"),
      image("localhost/enclayer:" + std::string(base::kVersion)),
      image_pull_policy("IfNotPresent"),
      sim_epc("8Gi") {}

std::span<const SettingRule> setting_rules() { return kRules; }

Result<> check(const Settings& settings) {
  for (const SettingRule& rule : kRules) {
    if (const std::string* text = text_of(settings, rule.name)) ENCLAYER_CHECK(check_text(rule, *text));
    if (const unsigned* number = number_of(settings, rule.name)) ENCLAYER_CHECK(check_number(rule, *number));
  }
  ENCLAYER_CHECK(check_namespace(settings));
  ENCLAYER_CHECK(check_qcnl_conf(settings));
  ENCLAYER_CHECK(check_sim_epc(settings));
  return check_together(settings);
}

std::string to_json(const Settings& settings, Told told) {
  const Settings defaults;
  Json out = Json::object();
  auto add = [&](const SettingRule& rule, const auto& value, const auto& by_default) {
    if (told == Told::kAll || value != by_default) out[std::string(rule.name)] = value;
  };
  for (const SettingRule& rule : kRules) {
    if (const std::string* text = text_of(settings, rule.name)) add(rule, *text, *text_of(defaults, rule.name));
    if (const bool* on = switch_of(settings, rule.name)) add(rule, *on, *switch_of(defaults, rule.name));
    if (const unsigned* number = number_of(settings, rule.name)) add(rule, *number, *number_of(defaults, rule.name));
    if (rule.name == "platform") add(rule, to_string(settings.platform), to_string(defaults.platform));
  }
  // check() refuses what is not UTF-8; for settings that were never checked, anything is better than an exception.
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string value_of(const Settings& settings, std::string_view name) {
  if (const std::string* text = text_of(settings, name)) return *text;
  if (const bool* on = switch_of(settings, name)) return *on ? "true" : "";
  if (const unsigned* number = number_of(settings, name)) return *number > 0 ? std::to_string(*number) : "";
  return name == "platform" ? std::string(to_string(settings.platform)) : "";
}

Result<Settings> parse_settings_json(std::string_view json) {
  auto malformed = [](const std::string& why) { return Error(ErrorKind::kMalformed, "the add-on's settings " + why); };
  if (json.size() > kMostSettingsJson)
    return malformed("have " + std::to_string(json.size()) + " bytes, at most " + std::to_string(kMostSettingsJson) +
                     " are possible");
  std::set<std::string> keys;
  std::string twice;
  Json object = Json::parse(
      json,
      [&](int depth, Json::parse_event_t event, Json& parsed) {
        if (event == Json::parse_event_t::key && depth == 1 && !keys.insert(parsed.get<std::string>()).second)
          twice = parsed.get<std::string>();
        return depth <= 1;  // nothing of ours is nested: what is deeper is not kept
      },
      false);
  if (!object.is_object()) return malformed("are no JSON object");
  if (!twice.empty()) return malformed("have the key \"" + base::printable(twice, 100) + "\" twice");

  Settings settings;
  for (const auto& [key, value] : object.items()) {
    std::string name = base::printable(key, 100);
    auto wrong_type = [&](const std::string& wanted) {
      return malformed("have a \"" + name + "\" that is no " + wanted);
    };
    if (std::string* text = text_of(settings, key)) {
      if (!value.is_string()) return wrong_type("text");
      *text = value.get<std::string>();
    } else if (key == "platform") {
      if (value != "hardware" && value != "sim") return wrong_type("\"hardware\" or \"sim\"");
      settings.platform = value == "sim" ? Platform::kSim : Platform::kHardware;
    } else if (bool* on = switch_of(settings, key)) {
      if (!value.is_boolean()) return wrong_type("true or false");
      *on = value.get<bool>();
    } else if (unsigned* number = number_of(settings, key)) {
      const SettingRule& rule = rule_of(key);
      if (!value.is_number_unsigned() || value.get<std::uint64_t>() > rule.most)
        return wrong_type("number from " + range_of(rule));
      *number = value.get<unsigned>();
    } else {
      return malformed("have a key \"" + name + "\" that enclayer " + base::kVersion +
                       " does not know: a newer one wrote them. Use that one");
    }
  }
  ENCLAYER_CHECK(check(settings));
  return settings;
}

unsigned helper_epc_mib(const Settings& settings) { return settings.workers * kWorkerEpcMib; }

unsigned helper_pod_epc_mib(const Settings& settings) { return helper_epc_mib(settings) * (settings.standby ? 2 : 1); }

std::string helper_image(const Settings& settings) {
  if (settings.platform == Platform::kSim) return settings.image;
  return settings.dcap_image.empty() ? dcap_neighbour(settings.image) : settings.dcap_image;
}

}  // namespace enclayer::addon
