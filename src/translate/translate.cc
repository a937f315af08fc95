// SPDX-License-Identifier: Apache-2.0
#include "translate/translate.h"

#include <algorithm>

#include "translate/claims.h"
#include "translate/pod_rules.h"
#include "translate/yaml_text.h"

namespace enclayer::translate {
namespace {

// Where the policies do not look: the cluster's own pods, and the add-on's.
bool is_exempt(const std::string& name_space) { return name_space == "kube-system" || name_space == "enclayer-system"; }

const Node* alias_in(const Node& node) {
  if (node.kind == Node::Kind::kAlias || node.anchored) return &node;
  for (const Node& child : node.children)
    if (const Node* found = alias_in(child)) return found;
  return nullptr;
}

// Something with metadata and a spec with containers.
bool is_pod(const Node* node) {
  if (node == nullptr) return false;
  const Node* spec = node->find("spec");
  const Node* metadata = node->find("metadata");
  return spec != nullptr && !spec->items_of("containers").empty() &&
         (metadata == nullptr || metadata->kind == Node::Kind::kMap);
}

// The pod, or the template of pods, of an object; nullptr: it has none.
const Node* pod_of(const Node& object) {
  if (object.text_of("kind") == "Pod") return is_pod(&object) ? &object : nullptr;
  if (const Node* own = object.find("template"); is_pod(own)) return own;  // PodTemplate
  const Node* spec = object.find("spec");
  if (spec == nullptr) return nullptr;
  if (const Node* jobs = spec->find("jobTemplate")) spec = jobs->find("spec");  // CronJob
  const Node* pods = spec == nullptr ? nullptr : spec->find("template");
  return is_pod(pods) ? pods : nullptr;
}

class Reader {
 public:
  // `templates`: where EPC becomes claims; nullptr: pods are judged.
  Reader(const Cluster& cluster, Changes& changes, std::vector<Finding>& findings, Templates* templates)
      : cluster_(cluster), changes_(changes), findings_(findings), templates_(templates) {}

  Result<> read(const Node& object) {
    // List, PodList, ... and kustomize's ResourceList
    for (const Node& item : object.items_of("items")) ENCLAYER_CHECK(read(item));
    const Node* pod = pod_of(object);
    const Node* metadata = object.find("metadata");
    if (pod == nullptr || (metadata != nullptr && is_exempt(metadata->text_of("namespace")))) return {};
    std::string called = object.text_of("kind");
    if (metadata != nullptr) called += " " + metadata->text_of("name");
    called += ": ";
    if (const Node* alias = names_sgx(*pod) ? alias_in(*pod) : nullptr)
      return Error(
          ErrorKind::kUnsupported,
          "line " + std::to_string(alias->line) + ": " + called +
              "an anchor or alias in a pod that names SGX: a change there would be one in two places. Write it out");
    if (templates_ == nullptr)
      judge_pod(*pod, called, cluster_, changes_, findings_);
    else
      claim_epc(*pod, called, metadata == nullptr ? "" : metadata->text_of("namespace"), changes_, *templates_,
                findings_);
    return {};
  }

 private:
  const Cluster& cluster_;
  Changes& changes_;
  std::vector<Finding>& findings_;
  Templates* templates_;
};

enum class To { kResources, kClaims };

Result<Translated> translate_once(std::string_view text, const Cluster& cluster, To to) {
  if (text.size() > kMaxText)
    return Error(ErrorKind::kMalformed, "there are " + std::to_string(text.size()) +
                                            " bytes of manifests, and at most " + std::to_string(kMaxText) +
                                            " are read");
  static constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  const std::size_t skipped = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  const std::string_view yaml = text.substr(skipped);
  ENCLAYER_TRY(const auto documents, parse_yaml(yaml));
  Translated out;
  Changes changes(yaml);
  Templates templates;
  Reader reader(cluster, changes, out.findings, to == To::kClaims ? &templates : nullptr);
  for (const Node& document : documents) ENCLAYER_CHECK(reader.read(document));
  std::stable_sort(out.findings.begin(), out.findings.end(),
                   [](const Finding& a, const Finding& b) { return a.line < b.line; });
  out.text = changes.empty() ? std::string(text) : std::string(text.substr(0, skipped)) + changes.applied();
  for (const auto& [name_space, mib] : templates)
    out.text += (out.text.ends_with('\n') ? "---\n" : "\n---\n") + template_document(name_space, mib);
  return out;
}

Result<Translated> translate_checked(std::string_view text, const Cluster& cluster, To to) {
  ENCLAYER_TRY(auto out, translate_once(text, cluster, to));
  if (out.text == text) return out;
  // YAML can be laid out in ways that nobody thought of: what is handed out was read again, and had all its changes.
  const auto again = translate_once(out.text, cluster, to);
  if (!again || again->text != out.text)
    return Error(ErrorKind::kUnsupported,
                 "the manifests are laid out so that the changes cannot be written into them; lay them out as kubectl "
                 "does" +
                     (again ? std::string() : " (once changed: " + again.error().message() + ")"));
  return out;
}

}  // namespace

Result<Translated> translate(std::string_view text, const Cluster& cluster) {
  return translate_checked(text, cluster, To::kResources);
}

Result<Translated> translate_to_claims(std::string_view text, const Cluster& with) {
  Cluster cluster = with;
  cluster.claims = true;
  ENCLAYER_TRY(auto out, translate(text, cluster));
  ENCLAYER_TRY(auto claims, translate_checked(out.text, cluster, To::kClaims));
  out.findings.insert(out.findings.end(), claims.findings.begin(), claims.findings.end());
  out.text = std::move(claims.text);
  return out;
}

}  // namespace enclayer::translate
