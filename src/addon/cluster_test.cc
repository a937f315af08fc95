// SPDX-License-Identifier: Apache-2.0
#include "addon/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "addon/install.h"
#include "addon/names.h"
#include "addon/protection.h"
#include "addon/removal.h"
#include "addon/rollout.h"
#include "addon/self_test.h"
#include "addon/state.h"
#include "addon/test_cluster.h"

namespace enclayer::addon {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string list(const std::string& items) {
  return R"({"kind":"List","metadata":{"resourceVersion":"7"},"items":[)" + items + "]}";
}

// What `read` makes of the items of a list.
Cluster of_list(const std::string& items, const std::function<void(base::JsonValue, Cluster&)>& read) {
  Cluster cluster;
  auto rest = read_list(list(items), [&](base::JsonValue object) { read(object, cluster); });
  EXPECT_TRUE(rest) << rest.error().message();
  return cluster;
}

Cluster with_nodes(const std::string& items) {
  return of_list(items, [](base::JsonValue object, Cluster& into) { into.nodes.push_back(read_node(object)); });
}
Cluster with_pods(const std::string& items) {
  return of_list(items, [](base::JsonValue object, Cluster& into) {
    if (auto pod = read_pod(object)) into.pods.push_back(*pod);
  });
}
Cluster with_daemon_sets(const std::string& items) {
  return of_list(items,
                 [](base::JsonValue object, Cluster& into) { into.daemon_sets.push_back(read_daemon_set(object)); });
}

std::string node(const std::string& name, const std::string& labels, const std::string& allocatable,
                 const std::string& ready = "True") {
  return R"({"metadata":{"name":")" + name + R"(","labels":{)" + labels + R"(},"managedFields":[{"manager":"kubelet"}]},
    "status":{"capacity":{)" +
         allocatable + R"(},"allocatable":{)" + allocatable + R"(},
    "conditions":[{"type":"MemoryPressure","status":"False"},{"type":"Ready","status":")" +
         ready +
         R"(","reason":"KubeletNotReady","message":"runtime is down"}],"nodeInfo":{"kubeletVersion":"v1.36.3"}}})";
}

constexpr char kSgx[] = R"("enclayer.io/sgx":"true")";
constexpr char kEpc10[] = R"("kubernetes.azure.com/sgx_epc_mem_in_MiB":"10")";

TEST(Nodes, have_their_sgx_resources_labels_and_readiness) {
  Cluster cluster = with_nodes(node("a", std::string(kSgx) + R"(,"zone":"x","tee":"sgx")",
                                    std::string(kEpc10) + R"(,"cpu":"4","sgx.intel.com/epc":"10Mi")") +
                               "," + node("b", "", "", "False"));
  ASSERT_EQ(cluster.nodes.size(), 2U);
  const Node& a = cluster.nodes[0];
  EXPECT_TRUE(a.ready);
  EXPECT_EQ(a.allocatable, (Resources{{std::string(kEpcResource), 10}, {"sgx.intel.com/epc", 10 << 20}}));
  EXPECT_EQ(a.labels.size(), 2U) << "labels that mean nothing to us are not kept";
  EXPECT_FALSE(cluster.nodes[1].ready);
  EXPECT_EQ(cluster.nodes[1].why_not_ready, "KubeletNotReady: runtime is down");
}

TEST(Nodes, may_lack_anything) {
  Cluster cluster = with_nodes(R"({},{"metadata":7,"status":{"conditions":{}}})");
  ASSERT_EQ(cluster.nodes.size(), 2U);
  EXPECT_EQ(cluster.nodes[1].why_not_ready, "it has not reported yet");
}

std::string pod(const std::string& spec, const std::string& status = R"({"phase":"Running"})",
                const std::string& labels = "") {
  return R"({"metadata":{"name":"p","namespace":"n","labels":{)" + labels + R"(}},"spec":)" + spec + R"(,"status":)" +
         status + "}";
}

Pod one_pod(const std::string& text) {
  Cluster cluster = with_pods(text);
  EXPECT_EQ(cluster.pods.size(), 1U);
  return cluster.pods.empty() ? Pod() : cluster.pods.front();
}

std::string container(int epc, const std::string& more = "") {
  return R"({"name":"c","image":"i")" + more +
         R"(,"resources":{"limits":{"kubernetes.azure.com/sgx_epc_mem_in_MiB":")" + std::to_string(epc) + R"("}}})";
}

TEST(Pods, that_name_no_sgx_are_not_kept) {
  EXPECT_THAT(with_pods(pod(R"({"containers":[{"name":"c","resources":{"limits":{"cpu":"1"}}}]})")).pods, IsEmpty());
}

TEST(Pods, count_epc_as_the_scheduler_does) {
  auto epc = [](const std::string& spec) { return one_pod(pod(spec)).requests.find(kEpcResource)->second; };
  EXPECT_EQ(epc(R"({"containers":[)" + container(3) + "," + container(4) + "]}"), 7);
  EXPECT_EQ(epc(R"({"initContainers":[)" + container(9) + R"(],"containers":[)" + container(4) + "]}"), 9)
      << "they take turns";
  EXPECT_EQ(epc(R"({"initContainers":[)" + container(9, R"(,"restartPolicy":"Always")") + R"(],"containers":[)" +
                container(4) + "]}"),
            13)
      << "one that restarts stays";
}

TEST(Pods, name_their_containers_that_stay_each_with_what_it_asks_for) {
  const Pod found = one_pod(R"({"metadata":{"name":"p","uid":"u"},"spec":{"initContainers":[)" + container(9) + "," +
                            container(2, R"(,"restartPolicy":"Always")") + R"(],"containers":[)" + container(4) +
                            R"(,{"name":"plain"}]},"status":{"phase":"Running"}})");
  EXPECT_EQ(found.uid, "u");
  std::vector<std::int64_t> epc;
  for (const Container& one : found.containers) epc.push_back(amount(one.requests, kEpcResource));
  EXPECT_THAT(epc, ElementsAre(2, 4, 0));
  EXPECT_EQ(found.containers[2].name, "plain");
}

TEST(Pods, that_are_not_ready_say_why) {
  std::string spec = R"({"nodeName":"a","containers":[)" + container(1) + "]}";
  EXPECT_EQ(
      one_pod(
          pod(spec,
              R"({"phase":"Pending","containerStatuses":[{"name":"c","ready":false,"state":{"waiting":{"reason":"ErrImagePull","message":"no such image"}}}]})"))
          .why_not,
      "ErrImagePull: no such image");
  EXPECT_EQ(
      one_pod(
          pod(spec,
              R"({"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"0/1 nodes"}]})"))
          .why_not,
      "Unschedulable: 0/1 nodes");
  EXPECT_EQ(one_pod(pod(spec, R"({"phase":"Failed","reason":"UnexpectedAdmissionError","message":"x"})")).why_not,
            "UnexpectedAdmissionError: x");
  EXPECT_EQ(
      one_pod(
          pod(spec,
              R"({"phase":"Running","containerStatuses":[{"name":"c","ready":false,"state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"exitCode":4,"message":"no SGX"}}}]})"))
          .why_not,
      "CrashLoopBackOff (it ended with 4: no SGX)");
  EXPECT_EQ(one_pod(pod(spec, R"({"phase":"Running","conditions":[{"type":"Ready","status":"True"}]})")).why_not, "");
}

TEST(Pods, of_a_daemon_set_name_their_node_before_they_are_on_it) {
  Pod found = one_pod(pod(R"({"containers":[)" + container(1) +
                          R"(],"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":
    {"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In","values":["a"]}]}]}}}})"));
  EXPECT_EQ(found.node, "");
  EXPECT_EQ(found.meant_for, "a");
  EXPECT_FALSE(found.holds_sgx());
}

TEST(DaemonSets, name_each_image_once_and_tell_of_a_standby) {
  Cluster cluster = with_daemon_sets(
      R"({"metadata":{"name":"enclayer-quote-helper"},"spec":{"template":{"spec":{"containers":[)" + container(5) +
      R"(,{"name":"standby","image":"i","resources":{"limits":{"kubernetes.azure.com/sgx_epc_mem_in_MiB":"5"}}}]}}}},
    {"metadata":{"name":"x"},"spec":{"template":{"spec":{"containers":[)" +
      container(5) + "]}}}}");
  EXPECT_THAT(cluster.daemon_sets[0].images, ElementsAre("i"));
  EXPECT_TRUE(cluster.daemon_sets[0].has_standby);
  EXPECT_EQ(amount(cluster.daemon_sets[0].requests, kEpcResource), 10);
  EXPECT_FALSE(cluster.daemon_sets[1].has_standby);
}

TEST(DaemonSets, say_who_keeps_them) {
  auto kept_by = [](const std::string& metadata) {
    return with_daemon_sets(R"({"metadata":{"name":"x",)" + metadata + R"(},"spec":{}})").daemon_sets.front().kept_by;
  };
  const std::string helm =
      R"("annotations":{"meta.helm.sh/release-name":"sgx","meta.helm.sh/release-namespace":"e"},"labels":)";
  EXPECT_EQ(kept_by(helm + R"({"app.kubernetes.io/managed-by":"Helm"})"), "Helm release e/sgx");
  EXPECT_EQ(kept_by(helm + R"({"helm.toolkit.fluxcd.io/name":"sgx","helm.toolkit.fluxcd.io/namespace":"flux"})"),
            "Flux HelmRelease flux/sgx");
  EXPECT_EQ(kept_by(R"("annotations":{"argocd.argoproj.io/tracking-id":"nodes:apps/DaemonSet:e/x"})"),
            "Argo CD application nodes");
  EXPECT_EQ(kept_by(R"("labels":{"app.kubernetes.io/part-of":"enclayer"})"), "");
}

TEST(Deployments, have_their_replicas_of_the_newest_template_and_of_all) {
  const auto object = base::JsonDocument::parse(R"({
    "metadata": {"name": "enclayer-attest", "namespace": "e", "generation": 4,
                 "labels": {"app.kubernetes.io/component": "attestation-service"},
                 "annotations": {"enclayer.io/version": "0.2.0"}},
    "spec": {"replicas": 2, "template": {"spec": {"containers": [{"image": "x/enclayer:1"}]}}},
    "status": {"observedGeneration": 3, "replicas": 3, "updatedReplicas": 1, "readyReplicas": 2}})");
  const Deployment one = read_deployment(object->root());
  EXPECT_EQ(one.name, "enclayer-attest");
  EXPECT_EQ(one.name_space, "e");
  EXPECT_EQ(one.component, "attestation-service");
  EXPECT_EQ(one.version, "0.2.0");
  EXPECT_THAT(one.images, ElementsAre("x/enclayer:1"));
  EXPECT_EQ(one.generation, 4);
  EXPECT_EQ(one.seen_generation, 3);
  EXPECT_EQ(one.wanted, 2);
  EXPECT_EQ(one.there, 3);
  EXPECT_EQ(one.updated, 1);
  EXPECT_EQ(one.ready, 2);
  Cluster cluster;
  cluster.deployments = {one};
  EXPECT_NE(cluster.deployment("attestation-service"), nullptr);
  EXPECT_EQ(cluster.deployment("dra-driver"), nullptr);
}

TEST(State, warns_of_an_attestation_service_on_a_node_that_it_judges) {
  Cluster cluster = rolling();
  Deployment& deployment = cluster.deployments.emplace_back();
  deployment.name = kAttest, deployment.name_space = "e", deployment.component = kAttestation;
  Pod& pod = cluster.pods.emplace_back();
  pod.name = "enclayer-attest-x", pod.name_space = "e", pod.node = "a", pod.app = kAttest, pod.phase = "Running";
  pod.ours = pod.ready = true;
  auto warned = [&] {
    const auto warnings = state(cluster, nullptr, "0.2.0").warnings;
    return std::any_of(warnings.begin(), warnings.end(), [](const std::string& text) {
      return text.find("enclayer-attest-x of the attestation service runs on SGX node a") != text.npos;
    });
  };
  EXPECT_TRUE(warned());
  cluster.nodes[0].labels = {};
  EXPECT_FALSE(warned());
}

TEST(Quotas, that_name_foreign_epc_are_found) {
  Cluster cluster;
  for (
      auto [kind, text] :
      {std::pair{
           "ResourceQuota",
           R"({"metadata":{"name":"q","namespace":"team"},"spec":{"hard":{"requests.sgx.intel.com/epc":"1Gi","cpu":"4"}}})"},
       {"ResourceQuota",
        R"({"metadata":{"name":"r","namespace":"team"},"spec":{"hard":{"requests.kubernetes.azure.com/sgx_epc_mem_in_MiB":"64"}}})"},
       {"LimitRange",
        R"({"metadata":{"name":"l","namespace":"team"},"spec":{"limits":[{"type":"Container","max":{"alibabacloud.com/sgx_epc_MiB":"5"}}]}})"}})
    read_quota(base::JsonDocument::parse(text)->root(), kind, cluster);
  EXPECT_THAT(cluster.foreign_quotas, ElementsAre("ResourceQuota team/q: requests.sgx.intel.com/epc",
                                                  "LimitRange team/l: alibabacloud.com/sgx_epc_MiB"));
}

TEST(InTheWay, are_other_plugins_rules_and_nodes_that_advertise_epc) {
  Cluster cluster = with_nodes(node("a", "", R"("sgx.intel.com/epc":"10Mi")") + "," + node("b", "", kEpc10) + "," +
                               node("c", kSgx, kEpc10) + "," + node("gone", "", R"("sgx.intel.com/epc":"0")"));
  auto found = in_the_way(cluster);
  ASSERT_EQ(found.size(), 2U) << "c has our label: what it offers is ours; a zero is what a kubelet keeps";
  EXPECT_THAT(found[0], HasSubstr("node b advertises kubernetes.azure.com/sgx_epc_mem_in_MiB"));
  EXPECT_THAT(found[1], HasSubstr("node a advertises sgx.intel.com/epc"));

  Cluster others = with_daemon_sets(
      R"({"metadata":{"name":"sgx-plugin","namespace":"kube-system"},"spec":{"template":{"spec":{"containers":[{"image":"mcr.microsoft.com/aks/acc/sgx-plugin:1.1"}]}}}},
    {"metadata":{"name":"x","namespace":"y"},"spec":{"template":{"spec":{"containers":[{"image":"intel/intel-sgx-plugin:0.36.0@sha256:12"}]}}}},
    {"metadata":{"name":"sgx-quote-helper","namespace":"kube-system"},"spec":{"template":{"spec":{"containers":[{"image":"i"}]}}}},
    {"metadata":{"name":"enclayer-device-plugin","namespace":"e","labels":{"app.kubernetes.io/part-of":"enclayer"}},"spec":{}},
    {"metadata":{"name":"not-an-sgx-plugin-at-all","namespace":"e"},"spec":{}})");
  others.rules =
      of_list(
          R"({"metadata":{"name":"intel-sgx"},"spec":{"rules":[{"extendedResources":{"sgx.intel.com/epc":"@cpu.security.sgx.epc"}}]}},
    {"metadata":{"name":"harmless"},"spec":{"rules":[{"labels":{"sgx":"true"}}]}})",
          read_rule)
          .rules;
  EXPECT_THAT(in_the_way(others),
              ElementsAre(HasSubstr("kube-system/sgx-plugin"), HasSubstr("DaemonSet y/x"), HasSubstr("intel-sgx")));
  manifests::Settings with_helper;
  with_helper.quote_helper = true;
  EXPECT_THAT(worth_knowing(others, with_helper), ElementsAre(HasSubstr("kube-system/sgx-quote-helper")));
}

TEST(WorthKnowing, are_nodes_without_epc_for_a_helper_and_its_standby) {
  Cluster cluster = with_nodes(node("a", kSgx, kEpc10) + "," + node("none-yet", kSgx, ""));
  manifests::Settings settings;
  EXPECT_THAT(worth_knowing(cluster, settings), IsEmpty());
  settings.quote_helper = true;
  EXPECT_THAT(worth_knowing(cluster, settings), IsEmpty()) << "10 MiB is what the two take";
  Pod helper;
  helper.node = "a";
  helper.app = kHelper;
  helper.ours = true;
  helper.phase = "Running";
  helper.requests = {{std::string(kEpcResource), 5}};
  Pod user = helper;
  user.ours = false;
  user.requests = {{std::string(kEpcResource), 1}};
  cluster.pods = {helper};
  EXPECT_THAT(worth_knowing(cluster, settings), IsEmpty()) << "what the helper there has is its successor's";
  cluster.pods = {helper, user};
  EXPECT_THAT(worth_knowing(cluster, settings),
              ElementsAre("no room for a quote helper and its standby, 10 MiB of EPC, on a (9 MiB free): a new one "
                          "starts there when some is free. --disable-standby needs 5 MiB"));
  settings.standby = false;
  EXPECT_THAT(worth_knowing(cluster, settings), IsEmpty());
  settings.workers = 2;
  EXPECT_THAT(worth_knowing(cluster, settings),
              ElementsAre("no room for a quote helper, 10 MiB of EPC, on a (9 MiB free): a new one starts there when "
                          "some is free"));
}

TEST(Remembering, what_a_newer_enclayer_wrote_is_kept_by_the_next_change_and_told) {
  Cluster cluster;
  cluster.version = "v1.36.0";
  cluster.stored = {{"one", "0.9.0", R"({"workers": 2, "epcGoal": [1]})", ""}};
  const auto before = remembered(cluster);
  ASSERT_TRUE(before && *before) << before.error().message();
  manifests::Settings settings = (*before)->settings;
  EXPECT_THAT(worth_knowing(cluster, settings), ElementsAre(HasSubstr("does not know: epcGoal")));
  EXPECT_THAT(state(cluster, &**before, "0.1.0").warnings, Contains(HasSubstr("does not know: epcGoal")));
  settings.workers = 3;
  const auto next = plan(cluster, settings, *before);
  ASSERT_TRUE(next) << next.error().message();
  for (const manifests::Document& document : next->documents)
    if (document.name == kSettingsMap) {
      EXPECT_THAT(document.text, HasSubstr("epcGoal"));
    }
}

TEST(Remembering, fails_where_there_are_two) {
  Cluster cluster;
  cluster.stored = {{"one", "0.1.0", "{}", ""}, {"two", "0.1.0", "{}", ""}};
  auto two = remembered(cluster);
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().kind(), ErrorKind::kConflict);
  EXPECT_THAT(two.error().message(), HasSubstr("one, two"));
  cluster.stored.pop_back();
  auto one = remembered(cluster);
  ASSERT_TRUE(one);
  EXPECT_EQ((*one)->settings.name_space, "one");
  EXPECT_EQ(previous_settings(**one).error().kind(), ErrorKind::kNotFound);
  cluster.stored.clear();
  EXPECT_EQ(remembered(cluster).value(), std::nullopt);
}

TEST(Plan, keeps_the_way_back_and_leaves_out_what_the_cluster_does_not_know) {
  Cluster cluster;
  cluster.has_validating = true;
  cluster.version = "v1.34.0";
  manifests::Settings settings;
  auto text_of = [](const Plan& plan) {
    for (const manifests::Document& document : plan.documents)
      if (document.name == kSettingsMap) return document.text;
    return std::string();
  };
  auto first = plan(cluster, settings, std::nullopt);
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_THAT(text_of(*first), Not(HasSubstr("previous.json")));
  EXPECT_EQ(first->documents[1].name, kSettingsMap) << "right after the namespace";
  EXPECT_THAT(first->left_out, ElementsAre(HasSubstr("no MutatingAdmissionPolicy")));
  for (const manifests::Document& document : first->documents)
    EXPECT_FALSE(document.kind.starts_with("Mutating")) << document.name;

  cluster.has_validating = false;
  auto old = plan(cluster, settings, std::nullopt);
  ASSERT_TRUE(old);
  EXPECT_THAT(old->left_out, Contains(HasSubstr("kubectl label node NAME enclayer.io/sgx=true")));
  for (const manifests::Document& document : old->documents)
    EXPECT_NE(document.component, "detect") << "no right to label nodes without the policy that holds it to one";
  cluster.has_validating = true;

  Remembered before{settings.name_space, "0.0.9", settings, ""};
  auto upgraded = plan(cluster, settings, before);
  ASSERT_TRUE(upgraded);
  EXPECT_THAT(text_of(*upgraded), HasSubstr("localhost/enclayer:0.0.9"))
      << "the way back to an older version names its image";
}

TEST(Objects, are_the_same_when_only_what_the_api_server_counts_differs) {
  auto read = [](const char* text) { return std::vector{read_object(text).value()}; };
  auto a = read(
      R"({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"x","resourceVersion":"1","generation":1},"spec":{"a":1},"status":{"n":1}})");
  auto b = read(
      R"({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"x","resourceVersion":"2","generation":1},"spec":{"a":1}})");
  auto c = read(R"({"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"x"},"spec":{"a":2}})");
  EXPECT_TRUE(compare(a, b).none());
  EXPECT_THAT(compare(a, c).changed, ElementsAre("DaemonSet x"));
  EXPECT_THAT(compare({}, a).created, ElementsAre("DaemonSet x"));
  EXPECT_FALSE(read_object("nonsense"));
}

TEST(State, shows_each_node_with_its_reason_and_warns) {
  Cluster cluster = rolling();
  cluster.newest_revision.clear();  // Scope::kState does not read them
  cluster.version = "v1.36.3";
  cluster.has_mutating = cluster.has_validating = true;
  cluster.stored = {{"e", "0.1.0", "{}", ""}};
  cluster.policies = {{"ValidatingAdmissionPolicy", "enclayer-requests", "0.0.9"}};
  cluster.nodes[1].allocatable[std::string(kEpcResource)] = 0;
  Node plain;
  plain.name = "plain";
  cluster.nodes.push_back(plain);
  manifests::Settings settings;
  settings.quote_helper = true;
  Remembered before{"e", "0.1.0", settings, ""};
  State now = state(cluster, &before, "0.2.0");
  EXPECT_TRUE(now.on);
  EXPECT_EQ(now.other_nodes, 1U);
  ASSERT_EQ(now.nodes.size(), 2U);
  EXPECT_EQ(now.nodes[0].name, "b") << "what is wrong comes first";
  EXPECT_THAT(now.nodes[0].reason, HasSubstr("offers no EPC"));
  EXPECT_EQ(now.nodes[1].epc_requested, 5);
  EXPECT_EQ(now.nodes[1].plugin, "ready");
  EXPECT_TRUE(now.nodes[1].quotes);
  EXPECT_THAT(now.warnings, Contains(HasSubstr("this is enclayer 0.2.0, the add-on was written by 0.1.0")));
  EXPECT_THAT(now.warnings, Contains(HasSubstr("policies of version 0.0.9")));

  cluster.daemon_sets.erase(cluster.daemon_sets.begin());
  EXPECT_THAT(state(cluster, &before, "0.1.0").warnings, Contains(HasSubstr("half applied")));
  EXPECT_FALSE(state(Cluster(), nullptr, "0.1.0").on);
}

// Two nodes with half of their EPC for claims, one of which is held.
Cluster with_claims() {
  Cluster cluster = rolling();
  cluster.newest_revision.clear();
  cluster.version = "v1.36.3";
  cluster.has_mutating = cluster.has_validating = cluster.has_claims = true;
  cluster.stored = {{"e", "0.2.0", "{}", ""}};
  for (Pod& pod : cluster.pods) pod.revision = "new";
  for (const char* name : {"a", "b"}) {
    Pod pod;
    pod.name = "enclayer-dra-driver-" + std::string(name);
    pod.name_space = "e";
    pod.node = pod.meant_for = name;
    pod.app = kDriver;
    pod.ours = pod.ready = true;
    pod.phase = "Running";
    cluster.pods.push_back(pod);
    cluster.offered_to_claims[name] = 64;
  }
  for (Node& node : cluster.nodes) node.runtime = "containerd://2.0.4";
  DaemonSet set;
  set.name = kDriver;
  set.name_space = "e";
  set.ours = true;
  set.wanted = set.ready = set.updated = 2;
  cluster.daemon_sets.push_back(set);
  cluster.claims = {{"ledger-0-epc", "bank", "a", {"ledger-0"}, 48}};
  return cluster;
}

manifests::Settings half_for_claims() {
  manifests::Settings settings;
  settings.quote_helper = true;
  settings.dra_epc = "50%";
  return settings;
}

TEST(Claims, are_read_of_slices_and_of_what_was_allocated) {
  const Cluster slices = of_list(
      R"({"spec":{"driver":"sgx.enclayer.io","nodeName":"a","devices":[
            {"name":"epc-numa0","capacity":{"epc":{"value":"64Gi"}}},{"name":"epc-numa1","capacity":{"epc":{"value":"1Mi"}}},
            {"name":"provision"}]}},
         {"spec":{"driver":"gpu.example","nodeName":"b","devices":[{"capacity":{"epc":{"value":"1Gi"}}}]}})",
      read_slice);
  EXPECT_EQ(slices.offered_to_claims, (std::map<std::string, std::int64_t>{{"a", 65537}}));
  const Cluster claims = of_list(
      R"({"metadata":{"name":"c","namespace":"bank"},"status":{"reservedFor":[{"resource":"pods","name":"p","uid":"u"}],
            "allocation":{"devices":{"results":[
              {"driver":"sgx.enclayer.io","pool":"a","consumedCapacity":{"epc":"64Gi"}},{"driver":"gpu.example","pool":"g"}]}}}},
         {"metadata":{"name":"waits","namespace":"bank"}},
         {"metadata":{"name":"gpu","namespace":"bank"},"status":{"allocation":{"devices":{"results":[{"driver":"gpu.example"}]}}}})",
      read_claim);
  ASSERT_EQ(claims.claims.size(), 1U);
  EXPECT_EQ(claims.claims[0].full_name(), "bank/c");
  EXPECT_EQ(claims.claims[0].node, "a");
  EXPECT_EQ(claims.claims[0].mib, 65536);
  EXPECT_THAT(claims.claims[0].pods, ElementsAre("p"));
  EXPECT_THAT(claims.claims[0].uids, ElementsAre("u"));
}

TEST(Claims, are_shown_beside_what_the_plugin_offers) {
  Cluster cluster = with_claims();
  Remembered before{"e", "0.2.0", half_for_claims(), ""};
  State now = state(cluster, &before, "0.2.0");
  ASSERT_EQ(now.nodes.size(), 2U);
  EXPECT_EQ(now.nodes[0].dra_total, 64);
  EXPECT_EQ(now.nodes[0].dra_claimed, 48);
  EXPECT_EQ(now.nodes[0].driver_pod, "ready");
  EXPECT_EQ(now.nodes[0].epc_total, 10);
  EXPECT_EQ(now.claims.size(), 1U);
  EXPECT_THAT(now.warnings, Not(Contains(HasSubstr("DRA"))));
  EXPECT_EQ(claims_held(cluster),
            "1 claim holds EPC by the DRA driver: bank/ledger-0-epc on a (48 MiB, of pod ledger-0)");

  std::erase_if(cluster.daemon_sets, [](const DaemonSet& set) { return set.name == kDriver; });
  now = state(cluster, &before, "0.2.0");
  EXPECT_THAT(now.warnings, Contains(HasSubstr("half applied")));
  EXPECT_THAT(now.warnings, Contains(HasSubstr("1 claims hold EPC, and there is no DRA driver")));
}

TEST(Claims, stay_out_of_nodes_whose_runtime_passes_cdi_over_and_nobody_waits_for_them) {
  Cluster cluster = with_claims();
  cluster.nodes[1].runtime = "containerd://1.7.27";
  for (Pod& pod : cluster.pods)
    if (pod.app == kDriver && pod.node == "b") pod.ready = false, pod.why_not = "CrashLoopBackOff";
  EXPECT_THAT(worth_knowing(cluster, half_for_claims()),
              Contains(AllOf(HasSubstr("stays out of b"), HasSubstr("containerd://1.7.27"))));
  const auto waits = pending(cluster);
  ASSERT_EQ(waits.size(), 1U);
  EXPECT_TRUE(waits[0].not_waited_for);
  EXPECT_THAT(waits[0].why, HasSubstr("it stays out"));
  Remembered before{"e", "0.2.0", half_for_claims(), ""};
  EXPECT_THAT(state(cluster, &before, "0.2.0").nodes[0].reason,
              AllOf(HasSubstr("DRA driver: it stays out"), HasSubstr("containerd 2.0")));
}

TEST(Claims, are_left_out_of_clusters_where_they_have_no_amounts_and_the_plugin_offers_all_epc) {
  for (const char* version : {"v1.35.9", "v1.36.3"}) {
    Cluster cluster = with_claims();
    cluster.version = version;
    cluster.has_claims = cluster.version == "v1.35.9";
    auto planned = plan(cluster, half_for_claims(), std::nullopt);
    ASSERT_TRUE(planned) << planned.error().message();
    EXPECT_THAT(planned->left_out, Contains(AllOf(HasSubstr("--dra-epc 50%"), HasSubstr("stays out"))));
    for (const manifests::Document& document : planned->documents) {
      EXPECT_NE(document.component, "dra-driver") << document.name;
      EXPECT_THAT(document.text, Not(HasSubstr("--dra-epc="))) << document.name;
    }
  }
  const auto planned = plan(with_claims(), half_for_claims(), std::nullopt);
  EXPECT_THAT(planned->left_out, IsEmpty());
}

TEST(Claims, a_part_that_a_node_does_not_have_is_named_before_anything_is_applied) {
  Cluster cluster = with_claims();
  cluster.nodes[0].labels["enclayer.io/epc-mib"] = "1024";
  manifests::Settings settings = half_for_claims();
  settings.dra_epc = "1Gi";
  EXPECT_THAT(worth_knowing(cluster, settings),
              Contains(AllOf(HasSubstr("--dra-epc 1Gi is too much for node a"), HasSubstr("1024 MiB"))));
  settings.dra_epc = "1004Mi";
  EXPECT_THAT(worth_knowing(cluster, settings), Not(Contains(HasSubstr("too much"))));
}

TEST(Admission, lacks_what_is_missing_and_what_has_no_binding) {
  Cluster cluster;
  cluster.policies = {{"ValidatingAdmissionPolicy", "whole", "1"},
                      {"ValidatingAdmissionPolicyBinding", "whole", ""},
                      {"MutatingAdmissionPolicy", "unbound", "1"},
                      {"MutatingAdmissionPolicyBinding", "whole", ""}};
  auto document = [](const char* kind, const char* name) {
    manifests::Document out;
    out.kind = kind;
    out.name = name;
    return out;
  };
  const std::vector<manifests::Document> expected = {document("ValidatingAdmissionPolicy", "whole"),
                                                     document("ValidatingAdmissionPolicyBinding", "gone"),
                                                     document("DaemonSet", "another-thing")};
  EXPECT_EQ(in_words(missing(cluster, expected)),
            "admission does not do all that it should: ValidatingAdmissionPolicyBinding gone is missing, "
            "MutatingAdmissionPolicy unbound does nothing: it has no binding");
  cluster.policies = {cluster.policies[0], cluster.policies[1]};
  EXPECT_EQ(in_words(missing(cluster, {})), "");
  cluster.stored = {{"e", "1", "{}", ""}};
  EXPECT_EQ(state(cluster, nullptr, "1").policies.size(), 1U) << "bindings are no policies";
}

TEST(Removal, tells_what_a_run_that_was_cut_off_left) {
  EXPECT_EQ(left_behind({}, {}), "");
  EXPECT_EQ(left_behind({{"v1", "Namespace", "", "e"}}, {{"a", {"enclayer.io/sgx"}, {}}}),
            "something is left of an add-on that was here: Namespace e; labels on a. `enclayer disable` removes it");
}

TEST(Removal, finds_who_holds_sgx_and_what_detect_wrote) {
  Cluster cluster = rolling();
  EXPECT_THAT(holders(cluster), IsEmpty()) << "our own helpers do not count";
  Pod user;
  user.name = "job";
  user.name_space = "team";
  user.node = "a";
  user.phase = "Running";
  user.requests = {{std::string(kEpcResource), 3}};
  cluster.pods.push_back(user);
  ASSERT_EQ(holders(cluster).size(), 1U);
  EXPECT_EQ(holders(cluster)[0]->full_name(), "team/job");
  for (std::string_view name : {std::string_view(base::kEnclaveResource), std::string_view(kProvisionResource),
                                std::string_view(kQuoteResource), kForeignEpc[0], kForeignEpc[3]}) {
    cluster.pods.back().requests = {{std::string(name), 1}};
    EXPECT_EQ(holders(cluster).size(), 1U) << name;
  }
  cluster.pods.back().phase = "Succeeded";
  EXPECT_THAT(holders(cluster), IsEmpty());

  cluster.nodes[0].labels = {{"enclayer.io/sgx", "true"}, {"enclayer.io/sim", "true"}, {"tee", "sgx"}};
  cluster.nodes[1].labels = {{"enclayer.io/sim", "true"}};
  cluster.nodes[0].annotations = {{"enclayer.io/seen", "x"}};
  auto found = detected_keys(cluster);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].node, "a");
  EXPECT_EQ(found[0].merge_patch(),
            R"({"metadata":{"annotations":{"enclayer.io/seen":null},"labels":{"enclayer.io/sgx":null}}})");
}

TEST(State, names_nodes_that_leave_while_pods_hold_something_there) {
  Cluster cluster = rolling();
  cluster.newest_revision.clear();
  Pod user;
  user.name = "job";
  user.name_space = "team";
  user.phase = "Running";
  user.node = "left";
  user.requests = {{std::string(kEpcResource), 30}, {std::string(base::kEnclaveResource), 1}};
  cluster.pods.push_back(user);
  user.node = "deleted";
  cluster.pods.push_back(user);
  Node left;
  left.name = "left";
  left.ready = true;  // without our label, and without our plugin
  cluster.nodes.push_back(left);
  cluster.nodes[0].allocatable[std::string(kQuoteResource)] = 1;
  user.node = "a";
  user.requests = {{std::string(kQuoteResource), 2}};
  cluster.pods.push_back(user);

  State now = state(cluster, nullptr, "0.1.0");
  ASSERT_EQ(now.nodes.size(), 3U);
  EXPECT_EQ(now.nodes[0].reason,
            "pods hold 2 of enclayer.io/quote, of which the node offers 1: team/job. They run on, and cannot start "
            "again there");
  EXPECT_EQ(now.nodes[1].name, "left");
  EXPECT_THAT(now.nodes[1].reason, HasSubstr("pods hold 30 of kubernetes.azure.com/sgx_epc_mem_in_MiB, of which the "
                                             "node offers 0, 1 of sgx.intel.com/enclave, of which the node offers 0"));
  EXPECT_EQ(now.nodes[1].epc_free(), 0);
  EXPECT_THAT(now.warnings, Contains(HasSubstr("node deleted is gone; pods that held SGX resources there are still "
                                               "listed: team/job")));

  cluster.nodes.back().ready = false;
  EXPECT_EQ(state(cluster, nullptr, "0.1.0").nodes.size(), 2U) << "what a node that is down offered is not news";
}

constexpr char kSet[] =
    R"({"kind":"DaemonSet","metadata":{"name":"enclayer-quote-helper","namespace":"e"},"spec":{"template":{"metadata":{"labels":{"app.kubernetes.io/name":"enclayer-quote-helper"}},
  "spec":{"nodeSelector":{"x":"y"},"containers":[{"name":"quote-helper","image":"i","args":["--platform=sim"],"readinessProbe":{},"ports":[{}],"resources":{"limits":{"memory":"1Mi"}}}]}}}})";

TEST(SelfTest, is_the_helper_pod_on_one_node_that_no_daemon_set_takes_for_its_own) {
  Node node;
  node.name = "node-a";
  auto text = self_test_pod(kSet, node);
  ASSERT_TRUE(text) << text.error().message();
  EXPECT_THAT(*text, HasSubstr(R"("args":["--platform=sim","--self-test"])"));
  EXPECT_THAT(*text, HasSubstr(R"("kubernetes.azure.com/sgx_epc_mem_in_MiB":"5")"));
  EXPECT_THAT(*text, HasSubstr(R"("values":["node-a"])"));
  EXPECT_THAT(*text, HasSubstr(R"("app.kubernetes.io/name":"enclayer-self-test")"));
  EXPECT_THAT(*text, HasSubstr(R"("restartPolicy":"Never")"));
  EXPECT_THAT(*text, Not(HasSubstr("readinessProbe")));
  EXPECT_FALSE(self_test_pod(R"({"spec":{}})", node));
  EXPECT_FALSE(other_pods(kSet, kSet).value());
  std::string other = kSet;
  other.replace(other.find(R"("image":"i")"), 11, R"("image":"j")");
  EXPECT_TRUE(other_pods(kSet, other).value());
}

TEST(SelfTest, asks_for_the_provisioning_device_by_the_name_that_the_plugin_of_its_node_offers) {
  std::string set = kSet;
  set.insert(set.find(R"("memory")"), R"("enclayer.io/quote-helper-provision":"1",)");
  const std::string own = R"("enclayer.io/quote-helper-provision":"1")", common = R"("sgx.intel.com/provision":"1")";
  auto pod = [&](Resources allocatable) {
    Node node;
    node.allocatable = std::move(allocatable);
    return self_test_pod(set, node).value();
  };
  EXPECT_THAT(pod({{base::kHelperProvisionResource, 4}}), HasSubstr(own));
  const std::string before = pod({{std::string(kProvisionResource), 4}, {base::kHelperProvisionResource, 0}});
  EXPECT_THAT(before, HasSubstr(common)) << "the plugin is still that of 0.1.0";
  EXPECT_THAT(before, Not(HasSubstr(own)));
  EXPECT_THAT(pod({}), Not(AnyOf(HasSubstr(own), HasSubstr(common)))) << "a simulated node of 0.1.0";
}

}  // namespace
}  // namespace enclayer::addon
