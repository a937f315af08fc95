#include "addon/chart.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "addon/manifest_text.h"
#include "addon/manifests.h"
#include "addon/settings.h"
#include "base/version.h"

namespace enclayer::addon {

// Files of deploy/chart that no manifest says anything about: compiled in, so that the program can write the whole
// chart.
std::span<const ManifestFile> chart_texts();

namespace {

using Json = nlohmann::ordered_json;
using Kind = SettingRule::Kind;

constexpr std::string_view kGenerated =
    "# Made from deploy/manifests by `enclayer render --chart deploy/chart`: change it there.\n";
// MutatingAdmissionPolicy is GA since Kubernetes 1.36; older clusters do without the conveniences.
constexpr std::string_view kMutating = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy";

// What a template engine would take for its own is written as a text that it prints.
std::string escaped(std::string text) {
  for (std::size_t at = text.find("{{"); at != text.npos; at = text.find("{{", at + 8))
    text.replace(at, 2, "{{ \"{{\" }}");
  return text;
}

std::string written(const Place& place) {
  std::string out = "{{ " + std::string(place.value->in_chart);
  if (place.whole && place.value->kind == Value::Kind::kText) out += " | quote";
  return out + " }}";
}

std::string line_in_chart(const Line& line) {
  std::string out;
  std::size_t done = 0;
  for (const Place& place : line.places) {
    out += escaped(line.text.substr(done, place.at - done)) + written(place);
    done = place.at + place.length;
  }
  return out + escaped(line.text.substr(done)) + "\n";
}

std::string condition(const Conditions& conditions) {
  if (conditions.size() == 1) return conditions.front().in_chart();
  std::string out = "and";
  for (const Condition& one : conditions) out += " (" + one.in_chart() + ")";
  return out;
}

std::string opened(const std::string& condition_text) { return "{{- if " + condition_text + " }}\n"; }
constexpr std::string_view kClosed = "{{- end }}\n";

// One document, with what its cluster has to have for it.
std::string document_in_chart(const std::string& text) {
  if (text.find("\nkind: Namespace\n") != text.npos || text.starts_with("kind: Namespace\n")) return "";
  if (text.find("kind: MutatingAdmissionPolicy") == text.npos) return text;
  return opened(".Capabilities.APIVersions.Has \"" + std::string(kMutating) + "\"") + text + std::string(kClosed);
}

// Empty: the chart has no use for the file.
std::string template_in_chart(const Template& manifest) {
  std::string out, document;
  auto end_document = [&] { out += document_in_chart(std::exchange(document, "")); };
  for (const Line& line : manifest.lines) {
    if (line.kind == Line::Kind::kWhen) {
      document += opened(condition(line.when));
    } else if (line.kind == Line::Kind::kEnd) {
      document += kClosed;
    } else if (line.text == "---") {
      end_document();
      document = "---\n";
    } else {
      document += line_in_chart(line);
    }
  }
  end_document();
  if (out.empty() || manifest.only.empty()) return out;
  return opened(condition(manifest.only)) + out + std::string(kClosed);
}

// In the order of the rules, each with what is to know about it.
std::string values_yaml() {
  const Json defaults = Json::parse(to_json(Settings(), Told::kAll));
  std::string out(kGenerated);
  for (const SettingRule& rule : setting_rules()) {
    if (rule.name == "namespace") continue;  // the release's
    out += "\n# " + std::string(rule.meaning) + ".";
    if (rule.kind == Kind::kWord) out += " One of: " + std::string(rule.words) + ".";
    if (rule.kind == Kind::kNumber) out += (rule.may_be_empty ? " 0 to " : " 1 to ") + std::to_string(rule.most) + ".";
    out += "\n" + std::string(rule.name) + ": " + defaults[std::string(rule.name)].dump() + "\n";
  }
  return out;
}

std::string values_schema() {
  Json properties = Json::object();
  for (const SettingRule& rule : setting_rules()) {
    if (rule.name == "namespace") continue;
    Json one = {{"description", rule.meaning}};
    switch (rule.kind) {
      case Kind::kSwitch: one["type"] = "boolean"; break;
      case Kind::kNumber:
        one["type"] = "integer";
        one["minimum"] = rule.may_be_empty ? 0 : 1;
        one["maximum"] = rule.most;
        break;
      case Kind::kWord: {
        Json words = Json::array();
        for (std::string_view rest = rule.words; !rest.empty();) {
          auto end = rest.find(' ');
          words.push_back(rest.substr(0, end));
          rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
        }
        one["enum"] = std::move(words);
        break;
      }
      case Kind::kText:
        one["type"] = "string";
        one["maxLength"] = rule.most;
        if (!rule.pattern.empty())
          one["pattern"] = rule.may_be_empty ? "^$|" + std::string(rule.pattern) : std::string(rule.pattern);
    }
    properties[std::string(rule.name)] = std::move(one);
  }
  properties["global"] = {{"type", "object"}, {"description", "Helm's own, for parent charts; nothing here reads it"}};
  return Json{{"$schema", "http://json-schema.org/draft-07/schema#"},
              {"title", "enclayer"},
              {"type", "object"},
              {"additionalProperties", false},
              {"properties", std::move(properties)}}
             .dump(2) +
         "\n";
}

std::string chart_yaml() {
  const std::string version = base::kVersion;
  return std::string(kGenerated) +
         "apiVersion: v2\n"
         "name: enclayer\n"
         "description: SGX on Kubernetes. EPC as a resource, SGX devices for containers, attestation quotes from a "
         "helper\n"
         "type: application\n"
         "version: " +
         version +
         "\n"
         "appVersion: \"" +
         version +
         "\"\n"
         "# ValidatingAdmissionPolicy\n"
         "kubeVersion: \">=1.30.0-0\"\n";
}

}  // namespace

Result<std::vector<ChartFile>> chart() {
  std::vector<ChartFile> out = {
      {"Chart.yaml", chart_yaml()}, {"values.yaml", values_yaml()}, {"values.schema.json", values_schema()}};
  for (const ManifestFile& text : chart_texts()) out.push_back({std::string(text.path), std::string(text.text)});
  for (const ManifestFile& file : manifest_files()) {
    auto manifest = parse_manifest(file);
    if (!manifest) return Error(ErrorKind::kInternal, manifest.error().message());
    std::string text = template_in_chart(*manifest);
    if (text.empty()) continue;
    const std::string name = std::filesystem::path(file.path).filename();
    out.push_back({"templates/" + name, std::string(kGenerated) + text});
  }
  return out;
}

}  // namespace enclayer::addon
