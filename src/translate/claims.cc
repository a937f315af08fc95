// SPDX-License-Identifier: Apache-2.0
#include "translate/claims.h"

#include <algorithm>

#include "base/resource_names.h"
#include "translate/amount.h"

namespace enclayer::translate {
namespace {

constexpr std::size_t kLongestClaim = 63;  // of a pod's name for a claim: a DNS label

std::size_t entries_of(const Node* map) {
  return map == nullptr || map->kind != Node::Kind::kMap ? 0 : map->children.size() / 2;
}

// Takes EPC out of limits and requests, and puts the claim beside what is left of them.
void give_claim(const Node& resources, const std::string& claim, Changes& changes) {
  const Value value{"\n- name: " + claim, R"([{"name": )" + as_json(claim) + "}]"};
  std::size_t emptied = 0;
  std::vector<const char*> lists;
  for (const char* list : {"limits", "requests"})
    if (const Node* amounts = resources.find(list);
        amounts != nullptr && amounts->find(base::kEpcResource) != nullptr) {
      lists.push_back(list);
      emptied += entries_of(amounts) == 1 ? 1 : 0;
    }
  if (resources.flow && emptied == entries_of(&resources)) {
    changes.replace(resources, R"({"claims": )" + value.json + "}");
    return;
  }
  for (const char* list : lists) {
    const Node& amounts = *resources.find(list);
    entries_of(&amounts) == 1 ? changes.remove_entry(resources, list)
                              : changes.remove_entry(amounts, base::kEpcResource);
  }
  if (const Node* claims = resources.find("claims"); claims != nullptr && !claims->children.empty())
    changes.add_item(*claims, {"name: " + claim, R"({"name": )" + as_json(claim) + "}"});
  else
    changes.add_entry(resources, "claims", value);
}

}  // namespace

std::string template_name(std::int64_t mib) { return std::string(base::kEpcTemplates) + std::to_string(mib); }

std::string template_document(const std::string& name_space, std::int64_t mib) {
  return "apiVersion: resource.k8s.io/v1\n"
         "kind: ResourceClaimTemplate\n"
         "metadata:\n"
         "  name: " +
         template_name(mib) + "\n" + (name_space.empty() ? "" : "  namespace: " + as_json(name_space) + "\n") +
         "spec:\n"
         "  spec:\n"
         "    devices:\n"
         "      requests:\n"
         "        - name: epc\n"
         "          exactly:\n"
         "            deviceClassName: sgx-epc.enclayer.io\n"
         "            capacity: {requests: {epc: " +
         std::to_string(mib) + "Mi}}\n";
}

void claim_epc(const Node& pod, const std::string& called, const std::string& name_space, Changes& changes,
               Templates& templates, std::vector<Finding>& findings) {
  const Node& spec = *pod.find("spec");
  std::vector<Value> claims;
  std::vector<std::string> taken;
  for (const Node& claim : spec.items_of("resourceClaims")) taken.push_back(claim.text_of("name"));
  for (const char* list : {"containers", "initContainers"})
    for (const Node& container : spec.items_of(list)) {
      const Node* resources = container.find("resources");
      const Node* limits = resources == nullptr ? nullptr : resources->find("limits");
      if (limits == nullptr || limits->find(base::kEpcResource) == nullptr) continue;
      const std::string name = container.text_of("name");
      auto say = [&](Finding::Kind kind, const std::string& what) {
        findings.push_back({kind, limits->line, called + "container " + name + what});
      };
      const auto mib = parse_amount(limits->text_of(base::kEpcResource));
      if (!mib || mib->value <= 0) {
        say(Finding::Kind::kRefused, " asks for " + limits->text_of(base::kEpcResource) + " of " +
                                         std::string(base::kEpcResource) + ", which is no number of MiB above 0");
        continue;
      }
      const std::string claim = ("epc-" + name).substr(0, kLongestClaim), from = template_name(mib->value);
      if (std::find(taken.begin(), taken.end(), claim) != taken.end()) {
        say(Finding::Kind::kRefused, ": the pod has a claim called " + claim +
                                         " already, as the one of its EPC would be; call that one otherwise");
        continue;
      }
      taken.push_back(claim);
      give_claim(*resources, claim, changes);
      claims.push_back({"{name: " + claim + ", resourceClaimTemplateName: " + from + "}",
                        R"({"name": )" + as_json(claim) + R"(, "resourceClaimTemplateName": )" + as_json(from) + "}"});
      templates.emplace(name_space, mib->value);
      say(Finding::Kind::kChanged, ": " + mib->text + " MiB of EPC are a claim of template " + from);
      if (list[0] == 'i')
        say(Finding::Kind::kWarned, " holds its claim as long as the pod lives, also when it has ended");
    }
  if (claims.empty()) return;
  if (!spec.items_of("resourceClaims").empty()) {
    for (const Value& claim : claims) changes.add_item(*spec.find("resourceClaims"), claim);
    return;
  }
  std::string block, json;
  for (const Value& claim : claims) {
    block += "\n- " + claim.block;
    json += (json.empty() ? "" : ", ") + claim.json;
  }
  changes.add_entry(spec, "resourceClaims", {block, "[" + json + "]"});
}

}  // namespace enclayer::translate
