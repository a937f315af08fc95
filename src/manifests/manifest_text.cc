// SPDX-License-Identifier: Apache-2.0
#include "manifests/manifest_text.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/digest.h"

namespace enclayer::manifests {
namespace {

constexpr std::string_view kSet = "  # set: ", kWhen = "# when: ", kOnly = "# only when: ", kEnd = "# end";

std::string json_text(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

// What a quote helper with Intel's libraries may have. What they take in a worker is not measured: this is room.
std::string helper_memory(const Settings& settings) { return std::to_string(384 + 128 * settings.workers) + "Mi"; }

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
      Condition one;
      if (part.starts_with('!')) {
        one.negated = true;
        part.remove_prefix(1);
      }
      auto equals = part.find('=');
      one.setting = setting_named(part.substr(0, equals));
      if (one.setting == nullptr) return wrong("there is no setting '" + std::string(part.substr(0, equals)) + "'");
      if (equals != part.npos) one.equals = part.substr(equals + 1);
      const Setting& setting = *one.setting;
      bool is_word = !setting.words.empty();
      bool may_be_off = setting.is<bool>() || setting.least == 0;
      if (is_word == one.equals.empty() || !(is_word || may_be_off))
        return wrong("a condition is a switch, a text that may be empty, a number that may be 0, or name=word, not '" +
                     std::string(part) + "'");
      auto words = split(setting.words, " ");
      if (is_word && std::find(words.begin(), words.end(), one.equals) == words.end())
        return wrong("'" + one.equals + "' is none of: " + std::string(setting.words));
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
    auto comment = raw.rfind(kSet);
    line.text = raw.substr(0, comment);
    if (comment == raw.npos) return line;
    while (line.text.ends_with(' ')) line.text.pop_back();
    for (std::string_view name : split(raw.substr(comment + kSet.size()), ",")) {
      const Value* value = value_named(name);
      if (value == nullptr) return wrong("there is nothing to set that is called '" + std::string(name) + "'");
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
    if (one.setting == condition.setting && one.equals == condition.equals) return one.negated == condition.negated;
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
        {"standbyMetricsPort", "", [](const Settings& s) { return std::to_string(s.metrics_port + 1); },
         "add 1 .Values.metricsPort", Kind::kNumber},
        {"helperProvisionLimit", "", [](const Settings& s) { return std::to_string(helper_provision_limit(s)); },
         "ternary 4 3 .Values.standby", Kind::kNumber},
        {"helperMemory", "", helper_memory, "printf \"%dMi\" (add 384 (mul 128 .Values.workers))"},
        {"qcnlHash", base::sha256_hex("{}"), [](const Settings& s) { return base::sha256_hex(s.qcnl_conf); },
         ".Values.qcnlConf | sha256sum"},
    };
    for (const Setting& one : setting_table()) {
      Value value{one.name, std::string(one.example), [&one](const Settings& s) { return value_of(s, one); },
                  one.name == "namespace" ? ".Release.Namespace" : ".Values." + std::string(one.name)};
      if (one.is<unsigned>()) value.kind = Kind::kNumber;
      if (one.is<std::string>() && one.pattern.empty() && one.words.empty()) {  // any text at all
        value.kind = Kind::kJson;
        value.in_manifest = json_text(value.in_manifest);
        value.of = [&one](const Settings& s) { return json_text(value_of(s, one)); };
        value.in_chart += " | toJson";
      }
      if (!one.is<bool>() && !(one.example.empty() && value.of(defaults).empty())) out.push_back(std::move(value));
    }
    for (Value& value : out)
      if (value.in_manifest.empty()) value.in_manifest = value.of(defaults);
    return out;
  }();
  return kValues;
}

bool Condition::holds(const Settings& settings) const {
  const std::string value = value_of(settings, *setting);
  return (equals.empty() ? !value.empty() : value == equals) != negated;
}

std::string Condition::in_chart() const {
  std::string value = ".Values." + std::string(setting->name);
  if (!equals.empty()) value = (negated ? "ne " : "eq ") + value + " \"" + equals + "\"";
  return negated && equals.empty() ? "not " + value : value;
}

bool hold(const Conditions& conditions, const Settings& settings) {
  return std::all_of(conditions.begin(), conditions.end(), [&](const Condition& one) { return one.holds(settings); });
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
