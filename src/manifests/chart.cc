// SPDX-License-Identifier: Apache-2.0
#include "manifests/chart.h"

#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>
#include <utility>

#include "base/version.h"
#include "manifests/entries.h"
#include "manifests/manifest_text.h"
#include "manifests/manifests.h"
#include "manifests/settings.h"

namespace enclayer::manifests {

// Files of deploy/chart that no manifest says anything about: compiled in, so that the program can write the whole
// chart.
std::span<const ManifestFile> chart_texts();

namespace {

using Json = nlohmann::ordered_json;

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
  if (line.kind == Line::Kind::kBlock)
    return "{{- with " + line.places.front().value->in_chart + " }}{{ toYaml . | nindent " +
           std::to_string(line.text.size()) + " }}{{ end }}\n";
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

std::vector<std::string> words_of(const Setting& one) {
  std::istringstream in{std::string(one.words)};
  return {std::istream_iterator<std::string>(in), {}};
}

// In the order of the table, each with what is to know about it.
std::string values_yaml() {
  const Json defaults = Json::parse(to_json(Settings(), Scope::kAll));
  std::string out(kGenerated);
  for (const Setting& one : setting_table()) {
    if (one.name == "namespace") continue;  // the release's
    out += "\n# " + std::string(one.help) + ".";
    if (!one.words.empty()) out += " One of: " + std::string(one.words) + ".";
    if (one.is<unsigned>()) out += " " + std::to_string(one.least) + " to " + std::to_string(one.most) + ".";
    if (one.has_entries()) out += " As " + std::string(one.example) + ".";
    out += "\n" + std::string(one.name) + ": " + defaults[std::string(one.name)].dump() + "\n";
  }
  return out;
}

Json schema_of(const Setting& one) {
  Json out = {{"description", one.help}};
  if (!one.words.empty()) {
    out["enum"] = words_of(one);
  } else if (one.has_entries()) {
    out["allOf"] = {{{"$ref", "#/definitions/" + std::string(one.name)}}};  // beside "$ref", "description" is lost
  } else if (one.is<bool>()) {
    out["type"] = "boolean";
  } else if (one.is<unsigned>()) {
    out["type"] = "integer";
    out["minimum"] = one.least;
    out["maximum"] = one.most;
  } else {
    out["type"] = "string";
    out["maxLength"] = one.most;
    if (!one.pattern.empty()) out["pattern"] = (one.least == 0 ? "^$|" : "") + std::string(one.pattern);
  }
  return out;
}

std::string values_schema() {
  Json properties = Json::object();
  for (const Setting& one : setting_table())
    if (one.name != "namespace") properties[std::string(one.name)] = schema_of(one);
  properties["global"] = {{"type", "object"}, {"description", "Helm's own, for parent charts; nothing here reads it"}};
  return Json{{"$schema", "http://json-schema.org/draft-07/schema#"},
              {"title", "enclayer"},
              {"type", "object"},
              {"additionalProperties", false},
              {"properties", std::move(properties)},
              {"definitions", Json::parse(entries_schema())}}
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
         "kubeVersion: \">=1.30.0-0\"\n"
         "annotations:  # for Artifact Hub; tools/release adds the changes\n"
         "  artifacthub.io/category: security\n"
         "  artifacthub.io/license: Apache-2.0\n";
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

}  // namespace enclayer::manifests
