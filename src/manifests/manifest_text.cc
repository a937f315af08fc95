// SPDX-License-Identifier: Apache-2.0
#include "manifests/manifest_text.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/digest.h"

namespace enclayer::manifests {
namespace {

constexpr std::string_view kSet = "  # set: ", kWhen = "# when: ", kOnly = "# only when: ", kEnd = "# end",
                           kKubernetes = "kubernetes>=1.";

using Json = nlohmann::ordered_json;

// Intel's, which gives collateral to anybody.
constexpr std::string_view kIntelPcs = "https://api.trustedservices.intel.com/sgx/certification/v4/";

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split(std::string_view text, std::string_view by) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0;;) {
    std::size_t end = text.find(by, at);
    out.push_back(trimmed(text.substr(at, end == text.npos ? text.npos : end - at)));
    if (end == text.npos) return out;
    at = end + by.size();
  }
}

const Value* value_named(std::string_view name) {
  for (const Value& value : values())
    if (value.name == name) return &value;
  return nullptr;
}

bool is_sim(const Settings& settings) { return settings.platform == Platform::kSim; }

// "resources.detect.limits.cpu": what `resources` says of the container, or else `measured` in `settings` and chart.
Value amount(std::string_view name, std::function<std::string(const Settings&)> measured, const std::string& in_chart) {
  const auto path = split(name, ".");
  const std::string container(path[1]), kind(path[2]), what(path[3]);
  auto of = [=](const Settings& settings) {
    Resources given = settings.resources;
    const std::string& amount = given[container][kind][what];
    return amount.empty() ? measured(settings) : amount;
  };
  const std::string keys = Json(container).dump() + " " + Json(kind).dump() + " " + Json(what).dump();
  return {name, "", of, "dig " + keys + " " + in_chart + " .Values.resources"};
}

Value amount(std::string_view name, const std::string& measured) {
  Value out = amount(
      name, [=](const Settings&) { return measured; }, Json(measured).dump());
  if (measured.empty()) out.in_manifest = "500m";  // of CPU
  return out;
}

// One line for each entry of a map or list.
std::string lines_of(const Settings& settings, const Setting& setting) {
  const std::string value = value_of(settings, setting);
  const Json entries = value.empty() ? Json::array() : Json::parse(value);
  std::string out;
  for (const auto& [key, entry] : entries.items()) {
    if (!entries.is_array()) {
      out += in_quotes(key) + ": " + in_quotes(entry.get<std::string>()) + "\n";
      continue;
    }
    std::string fields;
    for (const auto& [name, text] : entry.items())
      fields += (fields.empty() ? "" : ", ") + name + ": " + in_quotes(text.get<std::string>());
    out += "- {" + fields + "}\n";
  }
  return out;
}

// 0: it is none.
unsigned minor_version(std::string_view text) {
  unsigned out = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
  return failed == std::errc() && end == text.data() + text.size() ? out : 0;
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-'; }

// Whether what stands at [at, end) is not the middle of something longer: "enclayer-system" is not meant in
// "enclayer-system-2", and in "see enclayer-system." it is.
bool stands_alone(std::string_view text, std::size_t at, std::size_t end) {
  if (at > 0 && (is_word(text[at - 1]) || text[at - 1] == '.')) return false;
  if (end == text.size()) return true;
  if (text[end] == '.') return end + 1 == text.size() || !is_word(text[end + 1]);
  return !is_word(text[end]);
}

// Whether nothing else is in the YAML scalar at [at, end): "key: HERE", "- HERE", "key: [other, HERE]".
bool is_whole_scalar(std::string_view text, std::size_t at, std::size_t end) {
  std::string_view before = trimmed(text.substr(0, at)), after = trimmed(text.substr(end));
  if (before.find_first_of("\"'") != before.npos) return false;
  if ((before.ends_with('[') || before.ends_with(',')) && (after.starts_with(']') || after.starts_with(',')))
    return true;
  if (before.starts_with("- ")) before.remove_prefix(2);
  bool key_or_item = before == "-" || (before.ends_with(':') && before.find(' ') == before.npos);
  return key_or_item && after.empty();
}

// What goes wrong in one file, told with its line.
struct Reader {
  const ManifestFile& file;
  std::size_t number = 0;  // of the line, from 1

  Error wrong(const std::string& why) const {
    return {ErrorKind::kMalformed,
            "deploy/manifests/" + std::string(file.path) + ":" + std::to_string(number) + ": " + why};
  }

  Result<Conditions> conditions(std::string_view text) const {
    Conditions out;
    for (std::string_view part : split(text, ",")) {
      if (part.starts_with(kKubernetes)) {
        out.push_back({"kubernetes", nullptr, nullptr, "", false, minor_version(part.substr(kKubernetes.size()))});
        if (out.back().since == 0) return wrong("'" + std::string(part) + "' names no version");
        continue;
      }
      const bool negated = part.starts_with('!');
      if (negated) part.remove_prefix(1);
      auto equals = part.find('=');
      const std::string_view name = part.substr(0, equals);
      Condition one{{}, setting_named(name), value_named(name), "", negated};
      if (one.setting == nullptr && (one.value == nullptr || !one.value->of({}).empty()))
        return wrong("there is no setting '" + std::string(name) + "'");
      one.name = one.setting != nullptr ? one.setting->name : one.value->name;
      if (equals != part.npos) one.equals = part.substr(equals + 1);
      bool is_word = one.setting != nullptr && !one.setting->words.empty();
      bool may_be_off = one.setting == nullptr || one.setting->is<bool>() || one.setting->least == 0;
      if (is_word == one.equals.empty() || !(is_word || may_be_off))
        return wrong("a condition is a switch, a text that may be empty, a number that may be 0, or name=word, not '" +
                     std::string(part) + "'");
      const std::string_view words = is_word ? one.setting->words : "";
      const auto known = split(words, " ");
      if (is_word && std::find(known.begin(), known.end(), one.equals) == known.end())
        return wrong("'" + one.equals + "' is none of: " + std::string(words));
      out.push_back(std::move(one));
    }
    return out;
  }

  // Finds each occurrence of the value's default left of the comment.
  Result<> add_places(Line& line, const Value& value) const {
    const std::string& sought = value.in_manifest;
    std::size_t found = 0;
    for (std::size_t at = line.text.find(sought); at != line.text.npos; at = line.text.find(sought, at + 1)) {
      std::size_t end = at + sought.size();
      if (!stands_alone(line.text, at, end)) continue;
      bool whole = is_whole_scalar(line.text, at, end);
      line.places.push_back({at, sought.size(), &value, whole});
      ++found;
    }
    if (found == 0)
      return wrong("'" + sought + "', which stands for " + std::string(value.name) + ", is not in the line");
    return {};
  }

  Result<Line> text_line(std::string_view raw) const {
    Line line;
    if (std::string_view bare = trimmed(raw); bare.starts_with(kSet.substr(2))) {
      const Value* value = value_named(bare.substr(kSet.size() - 2));
      if (value == nullptr || value->kind != Value::Kind::kBlock)
        return wrong("'" + std::string(bare) + "' on a line of its own is for a map or a list");
      line.kind = Line::Kind::kBlock;
      line.text = raw.substr(0, raw.find('#'));
      line.places.push_back({line.text.size(), 0, value, true});
      return line;
    }
    auto comment = raw.rfind(kSet);
    line.text = raw.substr(0, comment);
    if (comment == raw.npos) return line;
    while (line.text.ends_with(' ')) line.text.pop_back();
    for (std::string_view name : split(raw.substr(comment + kSet.size()), ",")) {
      const Value* value = value_named(name);
      if (value == nullptr || value->kind == Value::Kind::kBlock)
        return wrong("there is nothing to set that is called '" + std::string(name) + "'");
      ENCLAYER_CHECK(add_places(line, *value));
    }
    std::sort(line.places.begin(), line.places.end(), [](const Place& a, const Place& b) { return a.at < b.at; });
    for (std::size_t i = 1; i < line.places.size(); ++i)
      if (line.places[i - 1].at + line.places[i - 1].length > line.places[i].at)
        return wrong("two values claim the same place");
    return line;
  }
};

// Within a file that is not there by default, the file's own conditions count as true.
bool holds_by_default(const Condition& condition, const Conditions& only) {
  for (const Condition& one : only)
    if (one.name == condition.name && one.equals == condition.equals) return one.negated == condition.negated;
  return condition.holds({});
}

}  // namespace

std::span<const Value> values() {
  using Kind = Value::Kind;
  static const std::vector<Value> kValues = [] {
    const Settings defaults;
    std::vector<Value> out = {
        // What follows from the settings.
        {"helperImage", "", helper_image, "include \"enclayer.helperImage\" ."},
        {"helperEpc", "", [](const Settings& s) { return std::to_string(helper_epc_mib(s)); }, "mul 5 .Values.workers",
         Kind::kNumber},
        {"helperNodeEpc", "", [](const Settings& s) { return std::to_string(helper_node_epc_mib(s)); },
         "mul (ternary 20 10 .Values.standby) .Values.workers", Kind::kNumber},
        {"standbyMetricsPort", "", [](const Settings& s) { return std::to_string(s.metrics_port + 1); },
         "add 1 .Values.metricsPort", Kind::kNumber},
        {"qcnlHash", base::sha256_hex("{}"), [](const Settings& s) { return base::sha256_hex(s.qcnl_conf); },
         ".Values.qcnlConf | sha256sum"},
        {"attestationIssuerUrl", "", attestation_issuer, "include \"enclayer.attestationIssuer\" ."},
        {"attestationNames", "", attestation_names, "include \"enclayer.attestationNames\" ."},
        {"attestationPccsUrl", "",
         [](const Settings& s) { return s.pccs_url.empty() ? std::string(kIntelPcs) : s.pccs_url; },
         "default " + Json(kIntelPcs).dump() + " .Values.pccsUrl"},
        {"attestationHash", "",
         [](const Settings& s) {
           return base::sha256_hex(s.attestation_verify_policy + "|" + s.attestation_collateral + "|" +
                                   s.attestation_simulated_root);
         },
         "printf \"%s|%s|%s\" .Values.attestationVerifyPolicy .Values.attestationCollateral "
         ".Values.attestationSimulatedRoot | sha256sum"},
        // Of containers: what was measured (docs/decisions/manifests.md), unless `resources` says otherwise. What
        // Intel's libraries take in a worker is not measured: room for them.
        amount("resources.device-plugin.requests.cpu", "10m"),
        amount("resources.device-plugin.requests.memory", "16Mi"),
        amount("resources.device-plugin.limits.cpu", ""),
        amount("resources.device-plugin.limits.memory", "64Mi"),
        amount("resources.detect.requests.cpu", "1m"),
        amount("resources.detect.requests.memory", "4Mi"),
        amount("resources.detect.limits.cpu", ""),
        amount("resources.detect.limits.memory", "32Mi"),
        amount("resources.dra-driver.requests.cpu", "10m"),
        amount("resources.dra-driver.requests.memory", "16Mi"),
        amount("resources.dra-driver.limits.cpu", ""),
        amount("resources.dra-driver.limits.memory", "64Mi"),
        amount("resources.attest.requests.cpu", "50m"),
        amount("resources.attest.requests.memory", "32Mi"),
        amount("resources.attest.limits.cpu", ""),
        amount("resources.attest.limits.memory", "256Mi"),
        amount("resources.claim-templates.requests.cpu", "1m"),
        amount("resources.claim-templates.requests.memory", "8Mi"),
        amount("resources.claim-templates.limits.cpu", ""),
        amount("resources.claim-templates.limits.memory", "128Mi"),
        amount("resources.quote-helper.requests.cpu", "100m"),
        amount(
            "resources.quote-helper.requests.memory", [](const Settings& s) { return is_sim(s) ? "32Mi" : "96Mi"; },
            R"((ternary "32Mi" "96Mi" (eq .Values.platform "sim")))"),
        amount("resources.quote-helper.limits.cpu", ""),
        amount(
            "resources.quote-helper.limits.memory",
            [](const Settings& s) { return is_sim(s) ? "128Mi" : std::to_string(384 + 128 * s.workers) + "Mi"; },
            R"((ternary "128Mi" (printf "%dMi" (add 384 (mul 128 .Values.workers))) (eq .Values.platform "sim")))"),
    };
    for (const Setting& one : setting_table()) {
      Value value{one.name, std::string(one.example), [&one](const Settings& s) { return value_of(s, one); },
                  one.name == "namespace" ? ".Release.Namespace" : ".Values." + std::string(one.name)};
      if (one.is<unsigned>()) value.kind = Kind::kNumber;
      // Helm's numbers are floating ones, and from here on they would be written as 1e+06.
      if (one.is<unsigned>() && one.most >= 1'000'000) value.in_chart = "int64 " + value.in_chart;
      if (one.is<std::string>() && one.pattern.empty() && one.words.empty()) {  // any text at all
        value.kind = Kind::kJson;
        value.in_manifest = in_quotes(one.example.empty() ? value_of(defaults, one) : value.in_manifest);
        value.of = [&one](const Settings& s) { return in_quotes(value_of(s, one)); };
        value.in_chart += " | toJson";
      }
      if (one.has_entries()) {
        value.kind = Value::Kind::kBlock;
        value.of = [&one](const Settings& s) { return lines_of(s, one); };
      }
      if (!one.is<bool>() && !one.is<Resources>() && !(one.example.empty() && value.of(defaults).empty()))
        out.push_back(std::move(value));
    }
    for (Value& value : out)
      if (value.in_manifest.empty()) value.in_manifest = value.of(defaults);
    return out;
  }();
  return kValues;
}

bool Condition::holds(const Settings& settings, unsigned kubernetes) const {
  if (since > 0) return kubernetes >= since;
  const std::string is = setting != nullptr ? value_of(settings, *setting) : value->of(settings);
  return (equals.empty() ? !is.empty() : is == equals) != negated;
}

std::string Condition::in_chart() const {
  if (since > 0) return "semverCompare \">=1." + std::to_string(since) + "-0\" .Capabilities.KubeVersion.Version";
  std::string is = setting != nullptr ? ".Values." + std::string(name) : value->in_chart;
  if (!equals.empty()) is = (negated ? "ne " : "eq ") + is + " \"" + equals + "\"";
  return negated && equals.empty() ? "not " + is : is;
}

bool hold(const Conditions& conditions, const Settings& settings, unsigned kubernetes) {
  return std::all_of(conditions.begin(), conditions.end(),
                     [&](const Condition& one) { return one.holds(settings, kubernetes); });
}

Result<Template> parse_manifest(const ManifestFile& file) {
  Template out;
  Reader reader{file};
  enum class Block { kNone, kHolds, kFails } block = Block::kNone;  // where this line stands; holds by default?
  bool in_head = true;                                              // only comments so far
  for (std::string_view rest = file.text; !rest.empty();) {
    auto end = rest.find('\n');
    std::string_view raw = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    ++reader.number;
    std::string_view bare = trimmed(raw);

    if (bare.starts_with(kOnly)) {
      if (!in_head || raw != bare || !out.only.empty()) return reader.wrong("'# only when:' stands once, at the top");
      ENCLAYER_TRY(out.only, reader.conditions(bare.substr(kOnly.size())));
      continue;
    }
    if (!bare.empty() && !bare.starts_with('#')) in_head = false;
    if (bare.starts_with(kWhen)) {
      if (block != Block::kNone) return reader.wrong("blocks do not nest: '# end' is missing above");
      Line line{Line::Kind::kWhen, {}, {}, {}};
      ENCLAYER_TRY(line.when, reader.conditions(bare.substr(kWhen.size())));
      bool holds = std::all_of(line.when.begin(), line.when.end(),
                               [&](const Condition& one) { return holds_by_default(one, out.only); });
      block = holds ? Block::kHolds : Block::kFails;
      out.lines.push_back(std::move(line));
      continue;
    }
    if (bare == kEnd) {
      if (block == Block::kNone) return reader.wrong("'# end' without '# when:'");
      block = Block::kNone;
      out.lines.push_back({Line::Kind::kEnd, {}, {}, {}});
      continue;
    }
    bool commented_out = raw.starts_with("#+");
    if (commented_out != (block == Block::kFails) && !bare.empty())
      return reader.wrong(commented_out ? "'#+' is for blocks that do not hold by default"
                                        : "this block does not hold by default: its lines begin with '#+'");
    std::string uncommented = commented_out ? "  " + std::string(raw.substr(2)) : std::string(raw);
    ENCLAYER_TRY(Line line, reader.text_line(uncommented));
    out.lines.push_back(std::move(line));
  }
  if (block != Block::kNone) return reader.wrong("'# end' is missing");
  return out;
}

std::string in_quotes(const std::string& text) {
  // JSON in ASCII is YAML but for one thing: a character beyond U+FFFF is two surrogates in JSON, which YAML refuses.
  const std::string json = nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  std::string out;
  for (std::size_t i = 0; i < json.size(); ++i) {
    out += json[i];
    if (json[i] != '\\') continue;
    if (const std::string_view rest = std::string_view(json).substr(i + 1);
        rest.starts_with("ud8") || rest.starts_with("ud9") || rest.starts_with("uda") || rest.starts_with("udb")) {
      const unsigned long high = std::stoul(json.substr(i + 2, 4), nullptr, 16);
      const unsigned long low = std::stoul(json.substr(i + 8, 4), nullptr, 16);
      char code[16];
      std::snprintf(code, sizeof code, "U%08lx", 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
      out += code;
      i += 11;
    } else {
      out += json[++i];  // a backslash that is escaped begins nothing
    }
  }
  return out;
}

bool is_plain_yaml(std::string_view text) {
  static const std::vector<std::string_view> kWords = {"y",    "n",     "yes",  "no",  "on", "off",
                                                       "true", "false", "null", "nan", "inf"};
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text.front())) == 0 || text.back() == ':') return false;
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (std::find(kWords.begin(), kWords.end(), lower) != kWords.end()) return false;
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '/' || c == ':' || c == '@' || c == '_' || c == '-';
  });
}

}  // namespace enclayer::manifests
