// SPDX-License-Identifier: Apache-2.0
#include "translate/translate.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/file.h"
#include "translate/amount.h"
#include "translate/yaml_text.h"

namespace enclayer::translate {
namespace {

// `text` translated; the error's or the refusal's words where it is not.
std::string made_of(const std::string& text, const Cluster& cluster = {}) {
  const auto done = translate(text, cluster);
  if (!done) return done.error().message();
  for (const Finding& finding : done->findings)
    if (finding.kind == Finding::Kind::kRefused) return std::to_string(finding.line) + ": " + finding.text;
  return done->text;
}

std::string said_of(const std::string& text, const Cluster& cluster = {}) {
  const auto done = translate(text, cluster);
  if (!done) return done.error().message();
  std::string out;
  for (const Finding& finding : done->findings)
    if (finding.kind == Finding::Kind::kWarned) out += finding.text + "\n";
  return out;
}

const std::string kTolerated = R"(  tolerations:
  - {key: kubernetes.azure.com/sgx_epc_mem_in_MiB, operator: Exists, effect: NoSchedule}
  - {key: sgx.intel.com/epc, operator: Exists, effect: NoSchedule}
  - {key: alibabacloud.com/sgx_epc_MiB, operator: Exists, effect: NoSchedule}
  - {key: openenclave.io/sgx_epc_MiB, operator: Exists, effect: NoSchedule}
)";

std::string pod_with(const std::string& limits) {
  return "kind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: web\n    resources:\n      limits: " +
         limits + "\n";
}

TEST(Translate, keeps_comments_quotes_and_order) {
  EXPECT_EQ(made_of(R"(# mine
apiVersion: v1
kind: Pod
metadata:
  name: "p"  # quoted
spec:
  containers:
  - name: web
    resources:
      limits:
        cpu: '1'
        sgx.intel.com/epc: 10Mi  # ten
      requests:
        sgx.intel.com/epc: 10Mi
    # the end
)"),
            R"(# mine
apiVersion: v1
kind: Pod
metadata:
  name: "p"  # quoted
  annotations:
    enclayer.io/translated: "web: sgx.intel.com/epc=10Mi is 10 MiB"
spec:
  containers:
  - name: web
    resources:
      limits:
        cpu: '1'
        kubernetes.azure.com/sgx_epc_mem_in_MiB: 10  # ten
      requests:
        kubernetes.azure.com/sgx_epc_mem_in_MiB: 10
)" + kTolerated +
                "    # the end\n");
}

TEST(Translate, changes_nothing_twice) {
  const std::string once = made_of(pod_with("{sgx.intel.com/epc: 1Mi}"));
  EXPECT_EQ(made_of(once), once);
}

TEST(Translate, leaves_what_is_not_for_sgx_byte_for_byte) {
  for (const std::string text :
       {"", "# only a comment", "a: &x 1\nb: *x\n", "--- \nkind: Pod\n...\n---\n", "\xEF\xBB\xBFkind:   Service \n",
        "kind: Pod\r\nspec: {containers: [{name: a,}]}", "- 1\n-   two\n", "kind: Pod\nspec: {containers: null}\n"})
    EXPECT_EQ(made_of(text), text);
}

TEST(Translate, finds_pods_wherever_they_are) {
  const std::string container = "{containers: [{name: c, resources: {limits: {alibabacloud.com/sgx_epc_MiB: 3}}}]}";
  for (const std::string& object :
       {"{kind: Pod, spec: " + container + "}", "{kind: Deployment, spec: {template: {spec: " + container + "}}}",
        "{kind: CronJob, spec: {jobTemplate: {spec: {template: {spec: " + container + "}}}}}",
        "{kind: PodTemplate, template: {spec: " + container + "}}",
        "{kind: List, items: [{kind: Service}, {kind: Pod, spec: " + container + "}]}",
        "{kind: ResourceList, items: [{kind: Job, spec: {template: {spec: " + container + "}}}]}"}) {
    const std::string made = made_of(object);
    EXPECT_NE(made.find(R"("kubernetes.azure.com/sgx_epc_mem_in_MiB": 3)"), made.npos) << made;
    EXPECT_NE(made.find(R"("annotations": {"enclayer.io/translated": "c: alibabacloud.com/sgx_epc_MiB=3 is 3 MiB"})"),
              made.npos)
        << made;
    EXPECT_EQ(made.find("alibabacloud.com/sgx_epc_MiB: 3"), made.npos) << made;
  }
}

TEST(Translate, leaves_the_clusters_own_namespaces_alone) {
  for (const std::string name : {"kube-system", "enclayer-system"}) {
    const std::string text = "{kind: Pod, metadata: {namespace: " + name +
                             "}, spec: {containers: [{name: c, resources: {limits: {sgx.intel.com/epc: 1Mi}}}]}}";
    EXPECT_EQ(made_of(text), text);
  }
}

TEST(Translate, json_stays_json) {
  EXPECT_EQ(
      made_of(
          R"({"kind":"Pod","metadata":{"name":"p"},"spec":{"tolerations":[{"operator":"Exists"}],"containers":[{"name":"c","resources":{"limits":{"sgx.intel.com/epc":"512Ki","openenclave.io/sgx_epc_MiB":1}}}]}})"),
      R"({"kind":"Pod","metadata":{"name":"p", "annotations": {"enclayer.io/translated": "c: sgx.intel.com/epc=512Ki openenclave.io/sgx_epc_MiB=1 is 1 MiB"}},"spec":{"tolerations":[{"operator":"Exists"}],"containers":[{"name":"c","resources":{"limits":{"kubernetes.azure.com/sgx_epc_mem_in_MiB":1}}}]}})");
}

TEST(Translate, mounts_of_the_helpers_folder_become_quotes_where_there_is_a_helper) {
  const std::string text = R"(kind: Pod
metadata: {name: p}
spec:
  tolerations: [{operator: Exists}]
  volumes:
  - name: sockets
    hostPath: {path: /var/run/aesmd}
  - name: data
    emptyDir: {}
  containers:
  - volumeMounts:
    - name: sockets
      mountPath: /var/run/aesmd
    name: web
    resources:
      limits:
        kubernetes.azure.com/sgx_epc_mem_in_MiB: 10)";
  EXPECT_EQ(made_of(text, {.quote_helper = true}), R"(kind: Pod
metadata: {name: p, "annotations": {"enclayer.io/quote-slots": "web: the mount of /var/run/aesmd is enclayer.io/quote"}}
spec:
  tolerations: [{operator: Exists}]
  volumes:
  - name: data
    emptyDir: {}
  containers:
  - name: web
    resources:
      limits:
        kubernetes.azure.com/sgx_epc_mem_in_MiB: 10
        enclayer.io/quote: 1)");
  EXPECT_NE(made_of(text).find("      mountPath: /var/run/aesmd\n      readOnly: true\n"), std::string::npos)
      << made_of(text);
}

TEST(Translate, refuses_what_cannot_be_meant_with_the_line) {
  EXPECT_EQ(made_of(pod_with("{sgx.intel.com/sgx_epc_mem_in_MiB: 10}")),
            "7: Pod p: container web asks for sgx.intel.com/sgx_epc_mem_in_MiB, which nobody offers: EPC is "
            "kubernetes.azure.com/sgx_epc_mem_in_MiB, a number of MiB");
  EXPECT_NE(made_of(pod_with("{sgx.intel.com/epc: 10, alibabacloud.com/sgx_epc_MiB: 10}"))
                .find("which mean different amounts"),
            std::string::npos);
  EXPECT_NE(made_of(pod_with("{alibabacloud.com/sgx_epc_MiB: 1500m}")).find("is no whole number"), std::string::npos);
  EXPECT_NE(made_of("kind: Pod\nspec:\n  volumes: [{name: r, hostPath: {path: /run}}]\n  containers: [{name: c, "
                    "volumeMounts: [{name: r, mountPath: /r}]}]\n",
                    {.quote_helper = true})
                .find("4: Pod: container c mounts /run/ of the node and can write there"),
            std::string::npos);
}

TEST(Translate, warns_of_what_may_be_a_mistake) {
  EXPECT_NE(said_of(pod_with("{sgx.intel.com/epc: 10}")).find("is a Mi missing?"), std::string::npos);
  EXPECT_NE(said_of(pod_with("{kubernetes.azure.com/sgx_epc_mem_in_MiB: 10Mi}")).find("no node can offer more"),
            std::string::npos);
  EXPECT_NE(said_of(pod_with("{sgx.intel.com/provision: 1}")).find("enclayer update --in-proc-attestation"),
            std::string::npos);
  EXPECT_EQ(said_of(pod_with("{sgx.intel.com/epc: 10Mi}")), "");
}

TEST(Translate, says_where_yaml_is_broken_and_bounds_it) {
  EXPECT_EQ(made_of("kind: Pod\nmetadata: name: x\n").substr(0, 13), "YAML: line 2:");
  EXPECT_EQ(made_of("a: 1\nb: 2\na: 3\n"), "YAML: line 3: the key a is there twice");
  EXPECT_NE(made_of(std::string(200, '[')).find("more than 100 levels"), std::string::npos);
  EXPECT_NE(made_of("[" + std::string(600'000, ',') + "]").find("YAML: line 1"), std::string::npos);
  EXPECT_NE(made_of(std::string(kMaxText + 1, ' ')).find("at most 16777216"), std::string::npos);
  EXPECT_NE(made_of(std::string("a: \0", 4)).find("NUL"), std::string::npos);
  EXPECT_NE(made_of("kind: Pod\nx: &r {sgx.intel.com/epc: 1Mi}\nspec:\n  containers:\n  - name: c\n    resources: "
                    "{limits: *r}\n    env: [sgx]\n")
                .find("line 2: Pod: an anchor or alias"),
            std::string::npos);
}

TEST(Translate, every_published_manifest_is_read_and_changes_once) {
  int seen = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(std::string(ENCLAYER_TEST_DATA) + "/manifests")) {
    if (entry.path().extension() != ".yaml") continue;
    const auto text = base::read_text(entry.path(), kMaxText);
    ASSERT_TRUE(text);
    const auto once = translate(*text, {.quote_helper = true});
    ASSERT_TRUE(once) << entry.path() << ": " << once.error().message();
    const auto again = translate(once->text, {.quote_helper = true});
    ASSERT_TRUE(again) << entry.path() << ": " << again.error().message();
    EXPECT_EQ(again->text, once->text) << entry.path();
    // Some ask for nothing of SGX, by host paths alone, or by a name that is refused.
    const bool asks_for_epc = text->find("sgx.intel.com/epc") != std::string::npos ||
                              text->find("sgx_epc_MiB") != std::string::npos ||
                              text->find("sgx_epc_mem_in_MiB") != std::string::npos;
    EXPECT_EQ(once->text != *text, asks_for_epc) << entry.path();
    ++seen;
  }
  EXPECT_GE(seen, 28);
}

std::string claims_of(const std::string& text) {
  const auto done = translate_to_claims(text, {});
  if (!done) return done.error().message();
  for (const Finding& finding : done->findings)
    if (finding.kind == Finding::Kind::kRefused) return std::to_string(finding.line) + ": " + finding.text;
  return done->text;
}

TEST(TranslateToClaims, takes_epc_out_of_limits_and_keeps_the_rest_with_its_comments) {
  const std::string made = claims_of(R"(# mine
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: bank
spec:
  template:
    spec:
      containers:
      - name: web
        resources:
          limits:
            cpu: '1'  # one
            sgx.intel.com/epc: 64Gi
          requests:
            sgx.intel.com/epc: 64Gi
        image: x  # the image
      # the end
)");
  for (const char* part :
       {"# mine\n", "cpu: '1'  # one\n", "image: x  # the image\n", "# the end\n",
        "          claims:\n          - name: epc-web\n",
        "      resourceClaims:\n      - {name: epc-web, resourceClaimTemplateName: enclayer-epc-65536}\n",
        R"(
---
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata:
  name: enclayer-epc-65536
  namespace: "bank"
)",
        "capacity: {requests: {epc: 65536Mi}}\n"})
    EXPECT_NE(made.find(part), made.npos) << part << "\nis not in\n" << made;
  EXPECT_EQ(made.find("        requests:\n"), made.npos) << "nothing was left of it:\n" << made;
  EXPECT_EQ(made.find("sgx_epc_mem_in_MiB: "), made.npos) << made;
}

TEST(TranslateToClaims, replaces_resources_that_were_epc_alone_in_every_layout) {
  for (const std::string resources :
       {"resources: {limits: {alibabacloud.com/sgx_epc_MiB: 3}}",
        "resources: {limits: {alibabacloud.com/sgx_epc_MiB: 3}, requests: {alibabacloud.com/sgx_epc_MiB: 3}}",
        "resources:\n      limits: {alibabacloud.com/sgx_epc_MiB: 3}",
        "resources:\n      limits:\n        alibabacloud.com/sgx_epc_MiB: 3",
        R"(resources:
      limits:
        alibabacloud.com/sgx_epc_MiB: 3
      requests:
        alibabacloud.com/sgx_epc_MiB: 3)",
        "resources: {claims: [{name: gpu}], limits: {alibabacloud.com/sgx_epc_MiB: 3}}"}) {
    const std::string made =
        claims_of("kind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: web\n    " + resources + "\n");
    const auto documents = parse_yaml(made);
    ASSERT_TRUE(documents) << documents.error().message() << "\n" << made;
    ASSERT_EQ(documents->size(), 2u) << made;
    const Node& spec = *documents->at(0).find("spec");
    const Node* left = spec.items_of("containers").at(0).find("resources");
    ASSERT_NE(left, nullptr) << made;
    EXPECT_EQ(left->find("limits"), nullptr) << made;
    EXPECT_EQ(left->find("requests"), nullptr) << made;
    EXPECT_EQ(left->items_of("claims").back().text_of("name"), "epc-web") << made;
    EXPECT_EQ(spec.items_of("resourceClaims").at(0).text_of("resourceClaimTemplateName"), "enclayer-epc-3") << made;
    EXPECT_EQ(documents->at(1).text_of("kind"), "ResourceClaimTemplate");
  }
}

TEST(TranslateToClaims, makes_a_template_of_each_amount_once_and_says_nothing_of_sizes_that_only_devices_have) {
  const std::string container = "resources: {limits: {sgx.intel.com/epc: 64Gi}}}";
  const std::string pod = "{kind: Pod, spec: {containers: [{name: a, " + container + ", {name: b, " + container + "]}}";
  const std::string made = claims_of(pod + "\n---\n" + pod);
  std::size_t templates = 0;
  for (std::size_t at = 0; (at = made.find("kind: ResourceClaimTemplate", at)) != made.npos; ++at) ++templates;
  EXPECT_EQ(templates, 1u) << made;
  const auto done = translate_to_claims(pod, {});
  ASSERT_TRUE(done);
  for (const Finding& finding : done->findings) EXPECT_EQ(finding.kind, Finding::Kind::kChanged) << finding.text;
}

TEST(TranslateToClaims, refuses_a_name_that_the_pod_has_given_to_another_claim) {
  const std::string made = claims_of(
      "kind: Pod\nspec: {resourceClaims: [{name: epc-web, resourceClaimName: mine}], containers: [{name: web, "
      "resources: {limits: {sgx.intel.com/epc: 64Gi}}}]}\n");
  EXPECT_NE(made.find("the pod has a claim called epc-web already"), made.npos) << made;
  const std::string name(59, 'x');  // as long as what a claim's name has room for
  const std::string twice = claims_of("kind: Pod\nspec: {containers: [{name: " + name +
                                      "a, resources: {limits: {sgx.intel.com/epc: 64Gi}}}, {name: " + name +
                                      "b, resources: {limits: {sgx.intel.com/epc: 64Gi}}}]}\n");
  EXPECT_NE(twice.find("has a claim called epc-" + name + " already"), twice.npos) << twice;
}

// A pod that asks for its EPC by a claim of one of our templates.
std::string claiming(const std::string& annotations, const std::string& more = "") {
  return "kind: Pod\nmetadata:\n  name: p\n" + annotations +
         "spec:\n  resourceClaims:\n  - {name: epc-web, resourceClaimTemplateName: enclayer-epc-65536}\n"
         "  containers:\n  - name: web\n    resources:\n      claims:\n      - name: epc-web\n" +
         more;
}

TEST(TranslateToClaims, a_claim_of_epc_is_epc_to_the_other_rules) {
  for (const std::string annotation : {"enclayer.io/attestation: out-of-proc", "sgx.intel.com/quote-provider: aesmd"})
    EXPECT_NE(made_of(claiming("  annotations:\n    " + annotation + "\n"))
                  .find("      claims:\n      - name: epc-web\n      limits:\n        enclayer.io/quote: 1\n"),
              std::string::npos)
        << made_of(claiming("  annotations:\n    " + annotation + "\n"));
  const std::string in_proc = claiming("  annotations: {sgx.intel.com/quote-provider: web}\n");
  EXPECT_NE(made_of(in_proc).find("      limits:\n        sgx.intel.com/provision: 1\n"), std::string::npos);
  EXPECT_EQ(said_of(claiming("  annotations: {enclayer.io/attestation: out-of-proc}\n")), "")
      << "the annotation has an effect";
  EXPECT_NE(made_of(claiming("  annotations: {enclayer.io/attestation: outofproc}\n")).find("it can be out-of-proc"),
            std::string::npos);

  const std::string mounts =
      "    volumeMounts:\n    - {name: s, mountPath: /var/run/aesmd}\n"
      "  volumes:\n  - {name: s, hostPath: {path: /var/run/aesmd}}\n";
  EXPECT_NE(made_of(claiming("", mounts)).find("\"readOnly\": true"), std::string::npos)
      << made_of(claiming("", mounts));
  const std::string slot = made_of(claiming("", mounts), {.quote_helper = true});
  EXPECT_NE(slot.find("        enclayer.io/quote: 1\n"), slot.npos) << slot;
  EXPECT_EQ(slot.find("hostPath"), slot.npos) << slot;
  EXPECT_EQ(made_of(slot, {.quote_helper = true}), slot);

  std::string others = claiming("  annotations: {enclayer.io/attestation: out-of-proc}\n");
  others.replace(others.find("enclayer-epc-65536"), 18, "gpu");
  EXPECT_EQ(made_of(others), others);
}

TEST(TranslateToClaims, leaves_what_asks_for_no_epc_and_refuses_what_is_no_amount) {
  const std::string other = "kind: Pod\nspec: {containers: [{name: a, resources: {limits: {cpu: 1}}}]}  # mine\n";
  EXPECT_EQ(claims_of(other), other);
  EXPECT_NE(claims_of(pod_with("{kubernetes.azure.com/sgx_epc_mem_in_MiB: 0}")).find("no number of MiB above 0"),
            std::string::npos);
  const std::string once = claims_of(pod_with("{sgx.intel.com/epc: 1Mi}"));
  EXPECT_EQ(claims_of(once), once);
}

TEST(TranslateToClaims, takes_every_manifest_that_is_translated) {
  int made = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(std::string(ENCLAYER_TEST_DATA) + "/manifests")) {
    if (entry.path().extension() != ".yaml") continue;
    const std::string text = base::read_text(entry.path(), kMaxText).value();
    const auto before = translate(text, {}), after = translate_to_claims(text, {});
    ASSERT_EQ(before.has_value(), after.has_value()) << entry.path();
    if (!after) continue;
    const bool had = before->text.find("kubernetes.azure.com/sgx_epc_mem_in_MiB: ") != std::string::npos ||
                     before->text.find("kubernetes.azure.com/sgx_epc_mem_in_MiB\": ") != std::string::npos;
    const bool has = after->text.find("resourceClaimTemplateName: enclayer-epc-") != std::string::npos;
    made += has ? 1 : 0;
    EXPECT_TRUE(has || !had) << entry.path();
  }
  EXPECT_GE(made, 10);
}

TEST(Amount, is_written_as_the_api_server_writes_it) {
  for (const auto& [given, value, text] : std::initializer_list<std::tuple<const char*, std::int64_t, const char*>>{
           {"10Mi", 10 << 20, "10Mi"},
           {"1.5Gi", std::int64_t{1536} << 20, "1536Mi"},
           {"1000000", 1000000, "1M"},
           {"1e1", 10, "10"},
           {"2e3", 2000, "2e3"},
           {"0", 0, "0"},
           {"1048576", 1048576, "1048576"},
           {"10k", 10000, "10k"},
           {"0.5Ki", 512, "512"},
           {"99Ti", std::int64_t{99} << 40, "99Ti"},
           {"-1Ki", -1024, "-1Ki"},
           {"5000m", 5, "5"}}) {
    const auto amount = parse_amount(given);
    ASSERT_TRUE(amount) << given;
    EXPECT_EQ(amount->value, value) << given;
    EXPECT_EQ(amount->text, text) << given;
  }
  for (const char* given :
       {"", "x", "1.5", "1500m", "7Pi", "100Ti", "1Xi", "1..5", "9999999999999999999", "1e99", "Mi", "--1"})
    EXPECT_FALSE(parse_amount(given)) << given;
}

}  // namespace
}  // namespace enclayer::translate
