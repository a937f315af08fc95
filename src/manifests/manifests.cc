// SPDX-License-Identifier: Apache-2.0
#include "manifests/manifests.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "manifests/manifest_text.h"

namespace enclayer::manifests {
namespace {

// In the order of application. Policies come before what they watch, and what needs rights comes after them.
constexpr std::string_view kKinds[] = {"Namespace",
                                       "PriorityClass",
                                       "ServiceAccount",
                                       "ClusterRole",
                                       "ClusterRoleBinding",
                                       "Role",
                                       "RoleBinding",
                                       "ValidatingAdmissionPolicy",
                                       "ValidatingAdmissionPolicyBinding",
                                       "MutatingAdmissionPolicy",
                                       "MutatingAdmissionPolicyBinding",
                                       "DeviceClass",
                                       "Secret",
                                       "ConfigMap",
                                       "NetworkPolicy",
                                       "PrometheusRule",
                                       "PodMonitor",
                                       "Service",
                                       "PodDisruptionBudget",
                                       "Deployment",
                                       "DaemonSet"};

std::size_t rank(std::string_view kind) {
  return static_cast<std::size_t>(std::find(std::begin(kKinds), std::end(kKinds), kind) - std::begin(kKinds));
}

// The N of the first Kubernetes 1.N that has the kind as v1.
unsigned first_with(std::string_view kind) {
  if (kind.starts_with("MutatingAdmissionPolicy")) return kMutatingSince;
  return kind.starts_with("ValidatingAdmissionPolicy") ? kValidatingSince : 0;
}

std::string written(const Place& place, const Settings& settings) {
  std::string value = place.value->of(settings);
  bool needs_quotes = place.value->kind == Value::Kind::kText && place.whole && !is_plain_yaml(value);
  return needs_quotes ? in_quotes(value) : value;
}

std::string indented(const std::string& lines, const std::string& by) {
  std::string out;
  for (std::size_t begin = 0, end; begin < lines.size(); begin = end) {
    end = lines.find('\n', begin) + 1;
    out += by + lines.substr(begin, end - begin);
  }
  return out;
}

std::string text_for(const Template& manifest, const Settings& settings, unsigned kubernetes) {
  std::string out;
  bool kept = true;
  for (const Line& line : manifest.lines) switch (line.kind) {
      case Line::Kind::kWhen: kept = hold(line.when, settings, kubernetes); break;
      case Line::Kind::kEnd: kept = true; break;
      case Line::Kind::kBlock:
        if (kept) out += indented(line.places.front().value->of(settings), line.text);
        break;
      case Line::Kind::kText:
        if (kept) out += filled(line, [&](const Place& place) { return written(place, settings); }) + "\n";
    }
  return out;
}

// The value of "key: value" at just this indentation; empty when the line is another one. Quotes are taken off.
std::string value_at(std::string_view line, std::string_view indented_key) {
  if (!line.starts_with(indented_key)) return "";
  std::string_view value = line.substr(indented_key.size());
  if (!value.starts_with(": ")) return "";
  value.remove_prefix(2);
  value = value.substr(0, value.find(" #"));
  while (!value.empty() && value.back() == ' ') value.remove_suffix(1);
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
  return std::string(value);
}

void set_once(std::string& field, std::string value) {
  if (field.empty()) field = std::move(value);
}

// Our files are written so that who an object is can be read line by line (manifests.h); that it agrees with what a
// YAML parser sees is tested.
Result<Document> document_of(std::string_view file, std::string text) {
  Document out{std::string(file), "", "", "", "", "", std::move(text)};
  bool in_metadata = false;
  for (std::string_view rest = out.text; !rest.empty();) {
    auto end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    if (!line.empty() && line.front() != ' ' && line.front() != '#') in_metadata = line == "metadata:";
    set_once(out.api_version, value_at(line, "apiVersion"));
    set_once(out.kind, value_at(line, "kind"));
    if (!in_metadata) continue;
    set_once(out.name, value_at(line, "  name"));
    set_once(out.name_space, value_at(line, "  namespace"));
    set_once(out.component, value_at(line, "    app.kubernetes.io/component"));
  }
  for (auto [what, value] : {std::pair{"apiVersion", &out.api_version},
                             {"kind", &out.kind},
                             {"metadata.name", &out.name},
                             {"the label app.kubernetes.io/component", &out.component}})
    if (value->empty())
      return Error(ErrorKind::kInternal,
                   "deploy/manifests/" + out.file + ": a document has no " + what + " on a line of its own");
  if (rank(out.kind) == std::size(kKinds))
    return Error(ErrorKind::kInternal, "deploy/manifests/" + out.file + ": " + out.kind +
                                           " has no place in the order of application (kKinds in manifests.cc)");
  return out;
}

bool says_anything(std::string_view text) {
  for (std::string_view rest = text; !rest.empty();) {
    auto end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    auto first = line.find_first_not_of(' ');
    if (first != line.npos && line[first] != '#') return true;
  }
  return false;
}

// Splits at the lines "---". What has nothing but comments in it belongs to the document that follows.
std::vector<std::string> documents_in(std::string_view text) {
  std::vector<std::string> out;
  std::string current;
  for (std::string_view rest = text; !rest.empty();) {
    auto end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    if (line != "---") {
      current += std::string(line) + "\n";
    } else if (says_anything(current)) {
      out.push_back(std::exchange(current, ""));
    }
  }
  if (says_anything(current)) out.push_back(std::move(current));
  return out;
}

}  // namespace

Result<std::vector<Document>> render(const Settings& settings, unsigned kubernetes) {
  return render(settings, manifest_files(), kubernetes);
}

Result<std::vector<Document>> render(const Settings& settings, std::span<const ManifestFile> files,
                                     unsigned kubernetes) {
  ENCLAYER_CHECK(check(settings));
  std::vector<Document> out;
  for (const ManifestFile& file : files) {
    auto manifest = parse_manifest(file);
    if (!manifest) return Error(ErrorKind::kInternal, manifest.error().message());
    if (!hold(manifest->only, settings, kubernetes)) continue;
    for (std::string& text : documents_in(text_for(*manifest, settings, kubernetes))) {
      ENCLAYER_TRY(Document document, document_of(file.path, std::move(text)));
      if (kubernetes >= first_with(document.kind)) out.push_back(std::move(document));
    }
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Document& a, const Document& b) { return rank(a.kind) < rank(b.kind); });
  return out;
}

std::string to_yaml(std::span<const Document> documents) {
  std::string out;
  for (const Document& document : documents) out += "---\n" + document.text;
  return out;
}

}  // namespace enclayer::manifests
