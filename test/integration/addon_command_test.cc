// SPDX-License-Identifier: Apache-2.0
// `enclayer enable`, `update`, `show`, `list` and `disable`, the real binary, with a stand-in of kubectl and a cluster.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/child_process.h"
#include "collateral/cache.h"
#include "fake/process.h"
#include "fake/temp_folder.h"
#include "sim/ca.h"

namespace enclayer {
namespace {

using fake::Finished;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

json node(const std::string& name, bool sgx) {
  json labels = {{"kubernetes.io/os", "linux"}};
  if (sgx) labels.update({{"enclayer.io/sgx", "true"}, {"enclayer.io/epc-mib", "1024"}, {"enclayer.io/sim", "true"}});
  return {{"apiVersion", "v1"},
          {"kind", "Node"},
          {"metadata", {{"name", name}, {"labels", labels}}},
          {"status",
           {{"capacity", json::object()},
            {"allocatable", json::object()},
            {"conditions", {{{"type", "Ready"}, {"status", "True"}}}}}}};
}

json user_pod(int epc) {
  return {{"apiVersion", "v1"},
          {"kind", "Pod"},
          {"metadata", {{"name", "job"}, {"namespace", "team"}}},
          {"spec",
           {{"nodeName", "node-a"},
            {"containers",
             {{{"name", "c"},
               {"resources", {{"limits", {{"kubernetes.azure.com/sgx_epc_mem_in_MiB", std::to_string(epc)}}}}}}}}}},
          {"status", {{"phase", "Running"}}}};
}

class AddonCommands : public testing::Test {
 protected:
  AddonCommands() {
    state_ = {{"objects", {node("node-a", true), node("node-b", true), node("plain", false)}}};
    write();
  }

  // The cluster as it is now; a change of it.
  json state() const { return json::parse(std::ifstream(folder_.path() / "cluster.json")); }
  void change(const std::function<void(json&)>& how) {
    state_ = state();
    how(state_);
    write();
  }

  Finished run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), ENCLAYER_BIN_DIR "/enclayer");
    arguments.insert(arguments.end(), {"--kubectl", ENCLAYER_FAKE_KUBECTL});
    return fake::run(arguments, 60s, {{"FAKE_CLUSTER", folder_.path()}, {"XDG_CACHE_HOME", folder_.path()}});
  }
  Finished enable(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"enable", "--platform", "sim"});
    return run(more);
  }

  const json* object(const json& in, const std::string& kind, const std::string& name) const {
    for (const json& one : in["objects"])
      if (one["kind"] == kind && one["metadata"]["name"] == name) return &one;
    return nullptr;
  }
  bool has(const std::string& kind, const std::string& name) const {
    json now = state();
    return object(now, kind, name) != nullptr;
  }
  std::string calls() const {
    std::ifstream in(folder_.path() / "calls.log");
    return {std::istreambuf_iterator<char>(in), {}};
  }

  void write() const { folder_.write("cluster.json", state_.dump()); }

  fake::TempFolder folder_;
  json state_;
};

TEST_F(AddonCommands, enable_twice_changes_something_once_and_disable_leaves_nothing) {
  Finished first = enable();
  ASSERT_EQ(first.exit_code, 0) << first.out << first.err;
  EXPECT_THAT(first.out, AllOf(HasSubstr("made    DaemonSet enclayer-system/enclayer-device-plugin"),
                               HasSubstr("quote helper off"), HasSubstr("2 nodes offer 2,048 MiB of EPC")));
  EXPECT_TRUE(has("ConfigMap", "enclayer-addon"));
  EXPECT_FALSE(has("DaemonSet", "enclayer-quote-helper")) << "off until asked for";

  json before = state()["objects"];
  Finished second = run({"enable"});
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_THAT(second.out, AllOf(HasSubstr("nothing to change"), HasSubstr("platform sim")))
      << "what is not given stays";
  EXPECT_EQ(state()["objects"], before);

  Finished off = run({"disable"});
  ASSERT_EQ(off.exit_code, 0) << off.out << off.err;
  json left = json::array();
  json now = state();
  for (const json& one : now["objects"])
    if (one["kind"] != "Node") left.push_back(one["kind"]);
  EXPECT_EQ(left, json::array());
  EXPECT_EQ((*object(now, "Node", "node-a"))["metadata"]["labels"],
            (json{{"kubernetes.io/os", "linux"}, {"enclayer.io/sim", "true"}}))
      << "labels of detect go, the user's stays";
  EXPECT_THAT(calls(),
              HasSubstr("DELETE /api/v1/namespaces/enclayer-system/pods?labelSelector=app.kubernetes.io%2Fpart-of"))
      << "one request for all pods";
  EXPECT_THAT(run({"disable"}).out, HasSubstr("nothing to remove"));
}

TEST_F(AddonCommands, nothing_is_left_out_of_sight_where_kubectl_cannot_work) {
  Finished none = fake::run({ENCLAYER_BIN_DIR "/enclayer", "show"}, 60s, {{"PATH", "/nowhere"}});
  EXPECT_EQ(none.exit_code, 3);
  EXPECT_THAT(none.err, HasSubstr("there is no kubectl in PATH"));

  Finished no_cluster = fake::run({ENCLAYER_BIN_DIR "/enclayer", "enable", "--kubectl", ENCLAYER_FAKE_KUBECTL});
  EXPECT_EQ(no_cluster.exit_code, 4);
  EXPECT_THAT(no_cluster.err,
              AllOf(HasSubstr("connection refused"), HasSubstr("kubectl config current-context tells")));

  Finished context = run({"show", "--context", "prod"});
  EXPECT_EQ(context.exit_code, 1);
  EXPECT_THAT(context.err, HasSubstr("context \"prod\" does not exist"));
}

TEST_F(AddonCommands, missing_rights_are_all_named_and_nothing_is_touched) {
  change([](json& cluster) { cluster["denied"] = {"create daemonsets", "patch namespaces"}; });
  Finished denied = enable();
  EXPECT_EQ(denied.exit_code, 3);
  EXPECT_THAT(denied.err, AllOf(HasSubstr("daemonsets in namespace enclayer-system: create"),
                                HasSubstr("namespaces: patch"), HasSubstr("nothing was changed")));
  EXPECT_THAT(calls(), Not(HasSubstr("PATCH")));

  change([](json& cluster) {
    cluster["faults"] = {
        {{"match", "/api/v1/nodes"},
         {"status", 403},
         {"err",
          R"(nodes is forbidden: User "bob" cannot list resource "nodes" in API group "" at the cluster scope)"}}};
  });
  Finished blind = run({"show"});
  EXPECT_EQ(blind.exit_code, 3);
  EXPECT_THAT(blind.err, HasSubstr("cannot list nodes: the API server refuses it: nodes is forbidden: User \"bob\""));
}

TEST_F(AddonCommands, nothing_that_a_cluster_says_moves_the_cursor) {
  change([](json& cluster) {
    cluster["faults"] = {{{"match", "/api/v1/nodes"}, {"status", 403}, {"err", "\x1b]0;title\x07\x1b[2J no"}}};
  });
  EXPECT_THAT(run({"show"}).err, AllOf(HasSubstr("?]0;title??[2J no"), Not(HasSubstr("\x1b"))));
  change([](json& cluster) {
    cluster.erase("faults");
    cluster["version"] = "v1\x1b[31m";
  });
  EXPECT_THAT(run({"show"}).out, AllOf(HasSubstr("cluster v1?[31m"), Not(HasSubstr("\x1b"))));
}

TEST_F(AddonCommands, the_socket_is_gone_when_the_command_has_ended) {
  fake::TempFolder temporary;
  Finished shown = fake::run({ENCLAYER_BIN_DIR "/enclayer", "show", "--kubectl", ENCLAYER_FAKE_KUBECTL}, 60s,
                             {{"FAKE_CLUSTER", folder_.path()}, {"TMPDIR", temporary.path()}});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(calls(), HasSubstr("GET /version"));
  EXPECT_TRUE(std::filesystem::is_empty(temporary.path()));
}

TEST_F(AddonCommands, the_socket_is_gone_when_nobody_reads_what_the_command_says) {
  fake::TempFolder temporary;
  base::Pipe pipe = base::make_pipe().value();
  pipe.read.reset();
  auto shown = base::ChildProcess::start(
      {.command = {ENCLAYER_BIN_DIR "/enclayer", "show", "--kubectl", ENCLAYER_FAKE_KUBECTL},
       .environment = {{"FAKE_CLUSTER=" + folder_.path().string(), "TMPDIR=" + temporary.path().string()}},
       .output = pipe.write.get()});
  ASSERT_TRUE(shown) << shown.error().message();
  const auto ending = (*shown)->wait(60s);
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->exit_code(), 128 + SIGPIPE);
  EXPECT_TRUE(std::filesystem::is_empty(temporary.path()));
}

TEST_F(AddonCommands, an_api_server_that_goes_half_way_is_told_and_the_next_run_repairs) {
  change([](json& cluster) {
    // The Namespace is there, and its trial succeeds; then each of three tries fails.
    cluster["faults"] = {{{"match", "enclayer-addon?fieldManager"}, {"skip", 1}, {"times", 3}, {"err", "EOF"}}};
    // What came through before it went.
    cluster["objects"].push_back(
        {{"apiVersion", "v1"},
         {"kind", "Namespace"},
         {"metadata", {{"name", "enclayer-system"}, {"labels", {{"app.kubernetes.io/managed-by", "enclayer"}}}}}});
  });
  Finished cut = enable({"--no-wait"});
  EXPECT_EQ(cut.exit_code, 4);
  EXPECT_THAT(cut.err, HasSubstr("the API server does not answer"));
  Finished again = enable();
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_TRUE(has("DaemonSet", "enclayer-device-plugin"));

  change([](json& cluster) {
    cluster["faults"] = {{{"match", "controllerrevisions?labelSelector=app.kubernetes.io%2Fpart-of%3Denclayer&watch"},
                          {"times", 3},
                          {"err", "EOF"}}};
  });
  Finished away = run({"enable"});
  EXPECT_EQ(away.exit_code, 0) << "while waiting it is asked again: " << away.err;
  EXPECT_THAT(away.out, HasSubstr("the API server does not answer; trying again"));
}

TEST_F(AddonCommands, an_older_cluster_gets_what_it_knows_and_is_told_what_it_lacks) {
  change([](json& cluster) {
    cluster["version"] = "v1.34.1";
    cluster["unknown_kinds"] = {"MutatingAdmissionPolicy"};
  });
  Finished older = enable();
  EXPECT_EQ(older.exit_code, 0) << older.err;
  EXPECT_THAT(older.err, HasSubstr("This cluster (v1.34.1) has no MutatingAdmissionPolicy"));
  EXPECT_TRUE(has("DaemonSet", "enclayer-device-plugin"));
}

TEST_F(AddonCommands, nodes_that_are_not_ready_are_named_with_their_reason) {
  change([](json& cluster) {
    cluster["not_ready"] = {{"enclayer-device-plugin", {{"node-b", {"ErrImagePull", "no such image"}}}}};
  });
  Finished late = enable({"--timeout", "2"});
  EXPECT_EQ(late.exit_code, 4);
  EXPECT_THAT(late.err, AllOf(HasSubstr("not everything is ready after 2 s"),
                              HasSubstr("enclayer-device-plugin on node-b: ErrImagePull: no such image")));

  Finished shown = run({"show", "--output", "json"});
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  json out = json::parse(shown.out);
  EXPECT_EQ(out["on"], true);
  EXPECT_EQ(out["nodes"][0]["name"], "node-b") << "what is wrong comes first";
  EXPECT_EQ(out["nodes"][0]["reason"], "device plugin: ErrImagePull: no such image");
  EXPECT_EQ(out["nodes_without_sgx"], 1);
  Finished problems = run({"show", "--problems"});
  EXPECT_THAT(problems.out, AllOf(HasSubstr("node-b: device plugin: ErrImagePull: no such image\n"),
                                  Not(HasSubstr("node-a")), Not(HasSubstr("PART"))));

  change([](json& cluster) {
    for (json& one : cluster["objects"])
      if (one["metadata"]["name"] == "node-b")
        one["status"]["conditions"][0] = {
            {"type", "Ready"}, {"status", "False"}, {"reason", "KubeletNotReady"}, {"message", "runtime is down"}};
  });
  Finished down = run({"enable"});
  EXPECT_EQ(down.exit_code, 0) << "a node that is down is not waited for: " << down.err;
  EXPECT_THAT(
      down.out,
      HasSubstr(
          "not waited for: enclayer-device-plugin on node-b: the node is not ready: KubeletNotReady: runtime is down"));
}

TEST_F(AddonCommands, nodes_are_given_time_to_tell_of_their_epc) {
  change([](json& cluster) { cluster["late_epc"] = 2; });
  Finished on = enable();
  EXPECT_EQ(on.exit_code, 0) << on.err;
  EXPECT_THAT(on.out, AllOf(HasSubstr("waiting for the nodes to tell of their EPC"),
                            HasSubstr("2 nodes offer 2,048 MiB of EPC")));

  change([](json& cluster) { cluster["late_epc"] = 1000; });
  Finished never = run({"enable", "--timeout", "2"});
  EXPECT_EQ(never.exit_code, 0) << "the add-on is there; why there is no EPC, show tells: " << never.err;
  EXPECT_THAT(never.out, HasSubstr("no node offers EPC yet"));
}

TEST_F(AddonCommands, names_of_others_are_never_overwritten_unless_told_to) {
  change([](json& cluster) {
    cluster["objects"].push_back({{"apiVersion", "scheduling.k8s.io/v1"},
                                  {"kind", "PriorityClass"},
                                  {"metadata", {{"name", "enclayer-node"}}},
                                  {"value", 7}});
  });
  Finished taken = enable();
  EXPECT_EQ(taken.exit_code, 5);
  EXPECT_THAT(taken.err,
              AllOf(HasSubstr("PriorityClass enclayer-node"), HasSubstr("--adopt"), HasSubstr("nothing was changed")));
  EXPECT_THAT(calls(), Not(HasSubstr("PATCH")));
  EXPECT_EQ(enable({"--adopt"}).exit_code, 0);
  EXPECT_THAT(calls(), HasSubstr("&force=true"));
}

TEST_F(AddonCommands, fields_that_somebody_else_set_are_named_before_anything_changes) {
  ASSERT_EQ(enable().exit_code, 0);
  change([](json& cluster) {
    for (json& one : cluster["objects"])
      if (one["metadata"]["name"] == "enclayer-device-plugin" && one["kind"] == "DaemonSet")
        one["managed_elsewhere"] = true;
  });
  Finished conflict = run({"update", "--image", "registry.example/enclayer:2"});
  EXPECT_EQ(conflict.exit_code, 5);
  EXPECT_THAT(conflict.err, AllOf(HasSubstr("conflict with \"kubectl-edit\""), HasSubstr("Nothing was changed")));
}

TEST_F(AddonCommands, a_second_enclayer_is_refused) {
  ASSERT_EQ(enable().exit_code, 0);
  Finished second = run({"enable", "--namespace", "other"});
  EXPECT_EQ(second.exit_code, 5);
  EXPECT_THAT(second.err,
              HasSubstr("there is an enclayer in namespace enclayer-system already; a second one in other"));

  change([](json& cluster) {
    for (json& one : cluster["objects"])
      if (one["kind"] == "ConfigMap" && one["metadata"]["name"] == "enclayer-addon") {
        one["metadata"]["namespace"] = "other";
        break;
      }
  });
  Finished pretended = run({"update"});
  EXPECT_THAT(pretended.err, Not(HasSubstr("two enclayers"))) << "whoever has a namespace may write our label there";

  change([](json& cluster) {
    cluster["objects"].push_back(
        {{"apiVersion", "v1"},
         {"kind", "Namespace"},
         {"metadata", {{"name", "other"}, {"labels", {{"app.kubernetes.io/part-of", "enclayer"}}}}}});
  });
  Finished two = run({"update"});
  EXPECT_EQ(two.exit_code, 5);
  EXPECT_THAT(two.err, HasSubstr("two enclayers"));
}

TEST_F(AddonCommands, what_only_says_that_it_is_ours_is_not_believed) {
  const json label = {{"app.kubernetes.io/part-of", "enclayer"}};
  change([&](json& cluster) {
    cluster["objects"].push_back(
        {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "bank"}, {"labels", json::object()}}}});
    cluster["objects"].push_back({{"apiVersion", "v1"},
                                  {"kind", "ConfigMap"},
                                  {"metadata", {{"name", "enclayer-addon"}, {"namespace", "bank"}, {"labels", label}}},
                                  {"data", {{"settings.json", R"({"image": "evil.example/enclayer:1"})"}}}});
  });
  Finished enabled = enable();
  EXPECT_EQ(enabled.exit_code, 0) << enabled.err;
  EXPECT_THAT(enabled.err, HasSubstr("cannot believe ConfigMap bank/enclayer-addon"));
  change([&](json& cluster) {
    for (const json& one : cluster["objects"])
      EXPECT_TRUE(one["metadata"].value("namespace", "") == "bank" ||
                  one.dump().find("evil.example") == std::string::npos);
    json copy;
    for (const json& one : cluster["objects"])
      if (one["kind"] == "DaemonSet" && one["metadata"]["name"] == "enclayer-device-plugin") copy = one;
    copy["metadata"]["namespace"] = "bank";
    cluster["objects"].push_back(copy);
  });
  Finished updated = run({"update", "--log-level", "debug"});
  EXPECT_EQ(updated.exit_code, 0) << updated.err;
  EXPECT_THAT(updated.err, HasSubstr("ConfigMap bank/enclayer-addon, DaemonSet bank/enclayer-device-plugin"));
}

TEST_F(AddonCommands, a_claim_that_cannot_be_read_keeps_nobody_from_the_others) {
  ASSERT_EQ(enable().exit_code, 0);
  change([](json& cluster) {
    json deep = 1;
    for (int i = 0; i < 100; ++i) deep = {{"a", deep}};
    cluster["objects"].push_back(user_pod(10));
    cluster["objects"].push_back({{"apiVersion", "resource.k8s.io/v1"},
                                  {"kind", "ResourceClaim"},
                                  {"metadata", {{"name", "deep"}, {"namespace", "bank"}}},
                                  {"spec", deep}});
  });
  Finished shown = run({"show"});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out + shown.err, HasSubstr("cannot list ResourceClaims whole: bank/deep: JSON text nests deeper"));
}

// What `helm install` leaves: its own label in place of ours, and no ConfigMap with settings.
void make_helms(json& cluster) {
  json& objects = cluster["objects"];
  for (std::size_t i = objects.size(); i-- > 0;) {
    json& metadata = objects[i]["metadata"];
    if (!metadata["labels"].contains("app.kubernetes.io/part-of")) continue;
    if (metadata["name"] == "enclayer-addon" || objects[i]["kind"] == "Namespace") {
      objects.erase(i);
      continue;
    }
    metadata["labels"]["app.kubernetes.io/managed-by"] = "Helm";
    metadata["annotations"].update(
        {{"meta.helm.sh/release-name", "sgx"}, {"meta.helm.sh/release-namespace", "enclayer-system"}});
  }
}

TEST_F(AddonCommands, what_helm_keeps_is_seen_and_left_to_it) {
  ASSERT_EQ(enable({"--enable-sgxquotehelper"}).exit_code, 0);
  change(make_helms);
  const json before = state()["objects"];
  const std::string helms = "Helm release enclayer-system/sgx";

  Finished shown = run({"show"});
  EXPECT_THAT(shown.out,
              AllOf(HasSubstr("enclayer is on: namespace enclayer-system, kept by " + helms),
                    HasSubstr("not switched on with `enclayer enable`: " + helms + " keeps it"),
                    testing::ContainsRegex("add-on [0-9.]+, cluster"), testing::ContainsRegex("quote-helper +on +2/2"),
                    testing::ContainsRegex("node-a .* ready +ready")));
  EXPECT_EQ(json::parse(run({"show", "--output", "json"}).out)["kept_by"], helms);
  EXPECT_THAT(run({"list"}).out, testing::ContainsRegex("device-plugin +on"));

  for (const char* command : {"enable", "update", "disable"}) {
    Finished refused = run({command});
    EXPECT_EQ(refused.exit_code, 5) << command;
    EXPECT_THAT(refused.err, AllOf(HasSubstr(helms + " keeps"), Not(HasSubstr("ClusterRole")))) << command;
  }
  EXPECT_EQ(state()["objects"], before);

  change([](json& cluster) {
    json& objects = cluster["objects"];
    for (std::size_t i = objects.size(); i-- > 0;)
      if (objects[i]["metadata"]["name"] == "enclayer-mounts") objects.erase(i);
  });
  EXPECT_THAT(run({"show"}).out, HasSubstr("ValidatingAdmissionPolicyBinding enclayer-mounts is missing; " + helms +
                                           " is where to repair that"));

  Finished adopted = enable({"--adopt", "--enable-sgxquotehelper"});
  EXPECT_EQ(adopted.exit_code, 0) << adopted.err;
  EXPECT_TRUE(has("ConfigMap", "enclayer-addon"));
}

TEST_F(AddonCommands, missing_protection_is_seen_and_a_pod_is_tried) {
  Finished on = enable();
  ASSERT_EQ(on.exit_code, 0) << on.err;
  EXPECT_THAT(on.out, HasSubstr("translation works here: yes\n"));
  EXPECT_THAT(run({"show"}).out, HasSubstr("translation works here: yes\n"));
  EXPECT_EQ(run({"show", "--problems"}).out, "");

  change([](json& cluster) {
    json& objects = cluster["objects"];
    for (std::size_t i = objects.size(); i-- > 0;) {
      if (objects[i]["kind"] == "MutatingAdmissionPolicyBinding" &&
          objects[i]["metadata"]["name"] == "enclayer-translate")
        objects.erase(i);
      else if (objects[i]["kind"] == "ValidatingAdmissionPolicy" &&
               objects[i]["metadata"]["name"] == "enclayer-provisioning")
        objects[i]["spec"]["failurePolicy"] = "Ignore";
    }
  });
  Finished broken = run({"show", "--problems"});
  EXPECT_THAT(broken.out,
              AllOf(HasSubstr("MutatingAdmissionPolicyBinding enclayer-translate is missing"),
                    HasSubstr("MutatingAdmissionPolicy enclayer-translate does nothing: it has no binding"),
                    HasSubstr("ValidatingAdmissionPolicy enclayer-provisioning was changed; `enclayer update` repairs"),
                    HasSubstr("other vendors' names are not translated, because cannot try a pod in namespace default "
                              "(dry run): ValidatingAdmissionPolicy 'enclayer-requests' denied request")));
  json told = json::parse(run({"show", "--output", "json"}).out)["protection"];
  EXPECT_EQ(told["translation_works"], false);
  EXPECT_EQ(told["flaws"].size(), 3U);
  ASSERT_EQ(run({"update"}).exit_code, 0);
  EXPECT_EQ(run({"show", "--problems"}).out, "");

  // Who refuses the pod for reasons of his own says nothing of us.
  change([](json& cluster) {
    cluster["faults"] = {{{"match", "POST /api/v1/namespaces/default/pods"},
                          {"status", 403},
                          {"err", "pods is forbidden: User \"bob\" cannot create resource \"pods\""}}};
  });
  EXPECT_EQ(run({"show", "--problems"}).out, "");
  EXPECT_THAT(run({"show"}).out, HasSubstr("translation works here: not known, because cannot try a pod"));
}

TEST_F(AddonCommands, what_a_disable_that_was_cut_off_left_is_told) {
  ASSERT_EQ(enable().exit_code, 0);
  change([](json& cluster) { cluster["faults"] = {{{"match", "DELETE /apis/rbac"}, {"times", 3}, {"err", "EOF"}}}; });
  EXPECT_EQ(run({"disable"}).exit_code, 4);
  EXPECT_THAT(run({"show", "--problems"}).out,
              AllOf(HasSubstr("half applied"), HasSubstr("`enclayer disable` goes on where it was cut off"),
                    HasSubstr("ValidatingAdmissionPolicy enclayer-requests is missing")));
  // The ConfigMap with the settings is gone already, too.
  change([](json& cluster) {
    json& objects = cluster["objects"];
    for (std::size_t i = objects.size(); i-- > 0;)
      if (objects[i]["kind"] == "ConfigMap") objects.erase(i);
  });
  EXPECT_THAT(run({"show", "--problems"}).out, HasSubstr("something is left of an add-on that was here: "));
  ASSERT_EQ(run({"disable"}).exit_code, 0);
  EXPECT_EQ(run({"show", "--problems"}).out, "");
}

TEST_F(AddonCommands, show_makes_do_with_what_the_role_for_it_allows) {
  ASSERT_EQ(enable({"--enable-sgxquotehelper"}).exit_code, 0);
  EXPECT_TRUE(has("ClusterRole", "enclayer-show"));
  change([](json& cluster) {
    const char* no = "bob may not";
    cluster["faults"] = {{{"match", "GET /api/v1/configmaps?"}, {"status", 403}, {"err", no}},
                         {{"match", "PATCH"}, {"status", 403}, {"err", no}},
                         {{"match", "POST /api/v1/namespaces/default/pods"}, {"status", 403}, {"err", no}}};
    cluster["denied"] = {"create pods/exec"};
  });
  Finished shown = run({"show"});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(
      shown.out,
      AllOf(HasSubstr("namespace enclayer-system, platform sim"), HasSubstr("translation works here: not known"),
            HasSubstr("quote helpers were not asked what they quote with: that takes the right to create "
                      "pods/exec in namespace enclayer-system"),
            HasSubstr("whether the policies are as they should be is not known: "), Not(HasSubstr("QUOTES BY")),
            Not(HasSubstr("Nothing was changed"))));
  EXPECT_THAT(calls(), Not(HasSubstr("exec -n")));
}

TEST_F(AddonCommands, another_plugin_stops_it) {
  change([](json& cluster) { cluster["objects"][2]["status"]["allocatable"] = {{"sgx.intel.com/epc", "8Gi"}}; });
  Finished foreign = enable();
  EXPECT_EQ(foreign.exit_code, 5);
  EXPECT_THAT(foreign.err, HasSubstr("node plain advertises sgx.intel.com/epc already"));
  EXPECT_THAT(calls(), Not(HasSubstr("PATCH")));
}

TEST_F(AddonCommands, dry_run_shows_and_changes_nothing) {
  json before = state()["objects"];
  Finished first = enable({"--dry-run"});
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("+ DaemonSet enclayer-system/enclayer-device-plugin"));
  EXPECT_EQ(state()["objects"], before);
  ASSERT_EQ(enable().exit_code, 0);
  EXPECT_EQ(run({"update", "--dry-run"}).out, "nothing would change\n");
  Finished changed = run({"update", "--enable-sgxquotehelper", "--dry-run"});
  EXPECT_THAT(changed.out, HasSubstr("diff DaemonSet/enclayer-quote-helper"));
  EXPECT_FALSE(has("DaemonSet", "enclayer-quote-helper"));
}

TEST_F(AddonCommands, update_changes_only_what_is_given_and_goes_back) {
  EXPECT_EQ(run({"update"}).exit_code, 3) << "not switched on";
  ASSERT_EQ(enable().exit_code, 0);
  EXPECT_EQ(run({"update", "--rollback"}).exit_code, 3) << "no way back yet";
  Finished on = run({"update", "--enable-sgxquotehelper"});
  ASSERT_EQ(on.exit_code, 0) << on.err;
  EXPECT_THAT(on.out, AllOf(HasSubstr("quote helper on"), HasSubstr("platform sim"), Not(HasSubstr("trying the new"))));
  EXPECT_TRUE(has("DaemonSet", "enclayer-quote-helper"));
  Finished back = run({"update", "--rollback"});
  ASSERT_EQ(back.exit_code, 0) << back.err;
  EXPECT_THAT(back.out, HasSubstr("removed DaemonSet enclayer-system/enclayer-quote-helper"));
  EXPECT_FALSE(has("DaemonSet", "enclayer-quote-helper")) << "what is no longer wanted goes";
}

TEST_F(AddonCommands, a_new_helper_is_tried_first_and_nothing_changes_when_it_fails) {
  ASSERT_EQ(enable({"--enable-sgxquotehelper"}).exit_code, 0);
  change([](json& cluster) { cluster["self_test"] = {{"phase", "Failed"}, {"log", "init: failed, no enclave\n"}}; });
  json before = state()["objects"];
  Finished failed = run({"update", "--image", "registry.example/enclayer:2"});
  EXPECT_EQ(failed.exit_code, 4);
  EXPECT_THAT(failed.out, HasSubstr("init: failed, no enclave"));
  EXPECT_THAT(failed.err, AllOf(HasSubstr("self-test on node-"), HasSubstr("Nothing was changed")));
  EXPECT_EQ(state()["objects"], before) << "the pod of the test is gone, too";

  change([](json& cluster) { cluster.erase("self_test"); });
  Finished passed = run({"update", "--image", "registry.example/enclayer:2"});
  ASSERT_EQ(passed.exit_code, 0) << passed.err;
  EXPECT_THAT(passed.out, HasSubstr("the new quote helper works on node-"));
  EXPECT_EQ(state()["objects"].size(), before.size());
}

TEST_F(AddonCommands, a_node_without_room_for_two_helpers_is_named_and_rolled_with_a_gap_on_request) {
  ASSERT_EQ(enable({"--enable-sgxquotehelper"}).exit_code, 0);
  change([](json& cluster) {
    cluster["objects"].push_back(user_pod(1012));
    cluster["keeps_old"] = {"node-a"};
  });
  Finished waits = run({"update", "--image", "registry.example/enclayer:2", "--timeout", "2"});
  EXPECT_EQ(waits.exit_code, 4);
  EXPECT_THAT(waits.out, HasSubstr("no room for two: node-a: 2 MiB of kubernetes.azure.com/sgx_epc_mem_in_MiB are "
                                   "free, a second quote helper with its standby needs 10; waiting until some is "
                                   "free (--allow-gap replaces it without a second one, --disable-standby needs "
                                   "half of it)"));
  Finished gap = run({"update", "--allow-gap", "--timeout", "10"});
  EXPECT_EQ(gap.exit_code, 0) << gap.err;
  EXPECT_THAT(gap.out, HasSubstr("replacing Pod enclayer-system/enclayer-quote-helper-node-a with a gap"));
  json now = state();
  EXPECT_EQ((*object(now, "DaemonSet", "enclayer-quote-helper"))["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"],
            1)
      << "only this node has a gap";
}

TEST_F(AddonCommands, a_node_without_epc_for_a_standby_is_told_before_anything_is_touched_and_keeps_its_helper) {
  ASSERT_EQ(enable({"--enable-sgxquotehelper", "--disable-standby"}).exit_code, 0);
  EXPECT_EQ(json::parse(run({"show", "--output", "json"}).out)["settings"]["standby"], false);
  change([](json& cluster) {
    cluster["objects"].push_back(user_pod(1017));
    cluster["keeps_old"] = {"node-a"};
  });
  const std::string told =
      "no room for a quote helper and its standby, 10 MiB of EPC, on node-a (7 MiB free): a new one starts there when "
      "some is free. --disable-standby needs 5 MiB";
  EXPECT_THAT(run({"update", "--standby", "--dry-run"}).err, HasSubstr(told));
  Finished narrow = run({"update", "--standby", "--allow-gap", "--timeout", "2"});
  EXPECT_EQ(narrow.exit_code, 4);
  EXPECT_THAT(narrow.err, HasSubstr(told));
  EXPECT_THAT(narrow.out, HasSubstr("; there is none for the new one alone either; waiting until some is free "
                                    "(--disable-standby needs half of it)"));
  EXPECT_THAT(narrow.out, Not(HasSubstr("with a gap"))) << "that would leave it without quotes";
}

TEST_F(AddonCommands, disable_refuses_while_pods_hold_sgx_resources) {
  ASSERT_EQ(enable().exit_code, 0);
  change([](json& cluster) { cluster["objects"].push_back(user_pod(10)); });
  Finished refused = run({"disable"});
  EXPECT_EQ(refused.exit_code, 5);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("1 pod holds SGX resources"), HasSubstr("team/job on node-a: 10 MiB of EPC"),
                                 HasSubstr("--force")));
  EXPECT_TRUE(has("DaemonSet", "enclayer-device-plugin"));
  change([](json& cluster) {
    cluster["objects"].back()["spec"]["containers"][0]["resources"]["limits"] = {{"enclayer.io/quote", "1"},
                                                                                 {"sgx.intel.com/provision", "1"}};
  });
  EXPECT_THAT(run({"disable"}).err,
              HasSubstr("team/job on node-a: 1 of enclayer.io/quote, 1 of sgx.intel.com/provision"));
  Finished dry = run({"disable", "--dry-run", "--output", "json"});
  EXPECT_EQ(json::parse(dry.out)["pods_with_sgx"][0]["resources"]["enclayer.io/quote"], 1);
  EXPECT_EQ(run({"disable", "--force"}).exit_code, 0);
  EXPECT_FALSE(has("DaemonSet", "enclayer-device-plugin"));
}

json held_claim() {
  json result = {{"driver", "sgx.enclayer.io"}, {"pool", "node-a"}, {"consumedCapacity", {{"epc", "64Gi"}}}};
  return {{"apiVersion", "resource.k8s.io/v1"},
          {"kind", "ResourceClaim"},
          {"metadata", {{"name", "ledger-epc"}, {"namespace", "bank"}}},
          {"status",
           {{"allocation", {{"devices", {{"results", {result}}}}}},
            {"reservedFor", {{{"resource", "pods"}, {"name", "ledger"}}}}}}};
}

TEST_F(AddonCommands, claims_are_switched_on_shown_and_not_taken_from_pods_that_hold_them) {
  ASSERT_EQ(enable({"--dra-epc", "50%"}).exit_code, 0);
  for (auto [kind, name] : {std::pair{"DaemonSet", "enclayer-dra-driver"},
                            {"DeviceClass", "sgx-epc.enclayer.io"},
                            {"ValidatingAdmissionPolicy", "enclayer-own-slices"}})
    EXPECT_TRUE(has(kind, name)) << name;
  change([](json& cluster) { cluster["objects"].push_back(held_claim()); });

  const json shown = json::parse(run({"show", "--output", "json"}).out);
  EXPECT_EQ(shown["claims"], (json{{{"namespace", "bank"},
                                    {"name", "ledger-epc"},
                                    {"node", "node-a"},
                                    {"epc_mib", 65536},
                                    {"pods", {"ledger"}}}}));
  EXPECT_THAT(run({"show"}).out, AllOf(HasSubstr("EPC MiB BY CLAIMS"), HasSubstr("bank/ledger-epc")));

  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"disable"}, std::vector<std::string>{"update", "--dra-epc", "0"}}) {
    const Finished refused = run(command);
    EXPECT_EQ(refused.exit_code, 5) << command[0];
    EXPECT_THAT(refused.err, AllOf(HasSubstr("1 claim holds EPC by the DRA driver: bank/ledger-epc on node-a"),
                                   HasSubstr("of pod ledger"), HasSubstr("nothing was changed")));
  }
  EXPECT_TRUE(has("DaemonSet", "enclayer-dra-driver"));
  change([](json& cluster) { cluster["objects"].erase(cluster["objects"].size() - 1); });
  ASSERT_EQ(run({"update", "--dra-epc", "0"}).exit_code, 0);
  for (auto [kind, name] : {std::pair{"DaemonSet", "enclayer-dra-driver"}, {"DeviceClass", "sgx-epc.enclayer.io"}})
    EXPECT_FALSE(has(kind, name)) << name;
}

TEST_F(AddonCommands, amounts_become_claims_as_long_as_they_are_told_to_and_templates_of_ours_go_with_that) {
  const Finished alone = enable({"--dra-above", "8192"});
  EXPECT_EQ(alone.exit_code, 1);
  EXPECT_THAT(alone.err, HasSubstr("give --dra-epc too, or --dra-above 0"));
  ASSERT_EQ(enable({"--dra-epc", "50%", "--dra-above", "8192"}).exit_code, 0);
  EXPECT_TRUE(has("Deployment", "enclayer-claim-templates"));
  EXPECT_TRUE(has("ValidatingAdmissionPolicy", "enclayer-own-templates"));
  for (const char* name : {"enclayer-epc-65536", "enclayer-epc-9000"})
    change([&](json& cluster) {
      json one = {{"apiVersion", "resource.k8s.io/v1"},
                  {"kind", "ResourceClaimTemplate"},
                  {"metadata", {{"name", name}, {"namespace", "bank"}}}};
      if (name == std::string("enclayer-epc-65536"))
        one["metadata"]["labels"] = {{"app.kubernetes.io/managed-by", "enclayer"}};
      cluster["objects"].push_back(one);
    });
  ASSERT_EQ(run({"update", "--log-level", "debug"}).exit_code, 0);
  EXPECT_TRUE(has("ResourceClaimTemplate", "enclayer-epc-65536")) << "the program's own, as long as it is there";
  ASSERT_EQ(run({"update", "--dra-above", "0"}).exit_code, 0);
  EXPECT_FALSE(has("Deployment", "enclayer-claim-templates"));
  EXPECT_FALSE(has("ResourceClaimTemplate", "enclayer-epc-65536"));
  EXPECT_TRUE(has("ResourceClaimTemplate", "enclayer-epc-9000")) << "a person's";
  EXPECT_TRUE(has("DaemonSet", "enclayer-dra-driver"));
  ASSERT_EQ(run({"update", "--dra-above", "8192"}).exit_code, 0);
  ASSERT_EQ(run({"disable"}).exit_code, 0);
  EXPECT_FALSE(has("Deployment", "enclayer-claim-templates"));
}

TEST_F(AddonCommands, claims_stay_out_of_a_cluster_that_gives_them_no_amounts_and_of_runtimes_without_cdi) {
  change([](json& cluster) { cluster["version"] = "v1.35.2"; });
  const Finished old = enable({"--dra-epc", "50%"});
  ASSERT_EQ(old.exit_code, 0) << old.err;
  EXPECT_THAT(old.err, AllOf(HasSubstr("--dra-epc 50%) stays out"), HasSubstr("v1.35.2")));
  EXPECT_FALSE(has("DaemonSet", "enclayer-dra-driver"));
  change([](json& cluster) {
    cluster["version"] = "v1.36.3";
    for (json& one : cluster["objects"])
      if (one["kind"] == "Node") one["status"]["nodeInfo"] = {{"containerRuntimeVersion", "containerd://1.7.27"}};
  });
  const Finished runtime = run({"update"});
  ASSERT_EQ(runtime.exit_code, 0) << runtime.err;
  EXPECT_THAT(runtime.err, AllOf(HasSubstr("stays out of node-a, node-b"), HasSubstr("containerd://1.7.27")));
  EXPECT_TRUE(has("DaemonSet", "enclayer-dra-driver")) << "the choice was remembered";
}

TEST_F(AddonCommands, attestation_service_is_switched_on_shown_waited_for_and_taken_away) {
  const std::filesystem::path folder = folder_.path() / "attest";
  std::filesystem::create_directories(folder);
  auto in = [&](const char* name) { return (folder / name).string(); };
  const std::string program = ENCLAYER_BIN_DIR "/enclayer";
  ASSERT_EQ(fake::run({program, "sim", "case", "up-to-date", "--out-dir", folder.string()}, 60s).exit_code, 0);
  const std::vector<std::string> trust = {"--attestation-simulated-root", in("root.pem"), "--attestation-collateral",
                                          in("collateral.json")};
  std::ofstream(in("policy.txt")) << "version=1.0;\nauthorizationrules { => allow(); };\nissuancerules { };\n";

  const Finished lacking = enable({"--enable-attestation-service"});
  EXPECT_EQ(lacking.exit_code, 1);
  EXPECT_THAT(lacking.err, HasSubstr("--attestation-simulated-root"));
  for (const auto& [flag, file, why] :
       {std::tuple{"--attestation-policy", "policy.txt", "--attestation-policy: policy: line 2"},
        {"--attestation-collateral", "root.pem", "--attestation-collateral: "},
        {"--attestation-verify-policy", "root.pem", "--attestation-verify-policy: "},
        {"--attestation-simulated-root", "policy.txt", "--attestation-simulated-root: "}}) {
    const Finished refused = enable({flag, in(file)});
    EXPECT_EQ(refused.exit_code, 1) << flag;
    EXPECT_THAT(refused.err, HasSubstr(why));
  }
  EXPECT_FALSE(has("Namespace", "enclayer-system"));

  std::vector<std::string> on = {"--enable-attestation-service"};
  on.insert(on.end(), trust.begin(), trust.end());
  const Finished enabled = enable(on);
  ASSERT_EQ(enabled.exit_code, 0) << enabled.err;
  EXPECT_THAT(enabled.out, HasSubstr("enclayer-attest: 2 of 2 replicas ready"));
  for (auto [kind, name] : {std::pair{"Deployment", "enclayer-attest"},
                            {"Secret", "enclayer-attest-keys"},
                            {"PodDisruptionBudget", "enclayer-attest"},
                            {"Service", "enclayer-attest"}})
    EXPECT_TRUE(has(kind, name)) << kind;
  EXPECT_THAT(run({"show"}).out, testing::ContainsRegex("attestation-service +on +2/2"));

  change([](json& cluster) { cluster["replicas_down"] = true; });
  const Finished late = run({"update", "--log-level", "debug", "--timeout", "1"});
  EXPECT_EQ(late.exit_code, 4);
  EXPECT_THAT(late.err, HasSubstr("enclayer-attest: 2 of its 2 replicas are not ready yet"));
  change([](json& cluster) { cluster["replicas_down"] = false; });
  ASSERT_EQ(run({"update", "--disable-attestation-service"}).exit_code, 0);
  for (auto [kind, name] : {std::pair{"Deployment", "enclayer-attest"}, {"Secret", "enclayer-attest-keys"}})
    EXPECT_FALSE(has(kind, name)) << kind;
  ASSERT_EQ(run({"update", "--enable-attestation-service"}).exit_code, 0) << "root and collateral were remembered";
  ASSERT_EQ(run({"disable"}).exit_code, 0);
  EXPECT_FALSE(has("Secret", "enclayer-attest-keys"));
  EXPECT_FALSE(has("Namespace", "enclayer-system"));
}

TEST_F(AddonCommands, doctor_says_what_is_wrong_first_with_the_next_command) {
  Finished off = run({"doctor"});
  EXPECT_EQ(off.exit_code, 0);
  EXPECT_THAT(off.out, testing::ContainsRegex("off +add-on +it is not switched on here"));
  ASSERT_EQ(enable({"--enable-sgxquotehelper"}).exit_code, 0);
  change([](json& cluster) {
    for (json& one : cluster["objects"])
      if (one["kind"] == "Node") one["status"]["allocatable"]["enclayer.io/quote"] = "110";
  });
  Finished well = run({"doctor"});
  EXPECT_EQ(well.exit_code, 0) << well.out << well.err;
  EXPECT_THAT(well.out, testing::ContainsRegex("ok +quote helper +ready on 2 of 2 nodes"));

  EXPECT_THAT(well.out, testing::ContainsRegex("ok +clocks "));
  change([](json& cluster) {
    for (auto [node, time] :
         {std::pair{"node-a", "2026-01-01T00:07:00.123456Z"}, {"node-b", "2025-12-31T23:50:00.000000Z"}})
      cluster["objects"].push_back({{"apiVersion", "coordination.k8s.io/v1"},
                                    {"kind", "Lease"},
                                    {"metadata", {{"name", node}, {"namespace", "kube-node-lease"}}},
                                    {"spec", {{"renewTime", time}}}});
  });
  EXPECT_THAT(run({"doctor"}).out,
              AllOf(testing::ContainsRegex("wrong +clocks +node-a: the clock is ahead of the API server's, by 420 s"),
                    testing::ContainsRegex("wrong +clocks +node-b: the clock is behind .* dated 600 s ago")));

  change([](json& cluster) {
    json& objects = cluster["objects"];
    for (std::size_t i = 0; i < objects.size(); ++i)
      if (objects[i]["kind"] == "MutatingAdmissionPolicyBinding") return objects.erase(i--), void();
  });
  Finished broken = run({"doctor"});
  EXPECT_EQ(broken.exit_code, 2);
  EXPECT_THAT(broken.out, testing::StartsWith("wrong    admission"));
  EXPECT_THAT(broken.out, HasSubstr("next: enclayer update"));
  const json told = json::parse(run({"doctor", "--output", "json"}).out);
  std::set<std::string> standings;
  for (const json& link : told["links"]) standings.insert(link["standing"].get<std::string>());
  EXPECT_THAT(standings, testing::IsSupersetOf({"ok", "off", "wrong"}));
}

TEST_F(AddonCommands, sysdump_is_one_archive_that_says_first_what_is_in_it_and_has_no_secret) {
  folder_.write("qcnl.conf", R"({"pccs_url": "https://pccs.example/", "password": "geheim-1"})");
  ASSERT_EQ(run({"enable", "--enable-sgxquotehelper", "--qcnl-conf", folder_.path() / "qcnl.conf"}).exit_code, 0);
  change([](json& cluster) {
    cluster["objects"].push_back({{"apiVersion", "v1"},
                                  {"kind", "Secret"},
                                  {"metadata", {{"name", "s"}, {"namespace", "enclayer-system"}}},
                                  {"data", {{"token", "geheim-2"}}}});
    json pod = user_pod(10);
    pod["spec"]["containers"][0]["env"] = {{{"name", "PASSWORD"}, {"value", "geheim-3"}}};
    cluster["objects"].push_back(pod);
    cluster["logs"] = "a line of a log \x1b[2J\n";
    cluster["pages"] = {{"enclayer-device-plugin-node-a/device-plugin", {"enclayer_epc_mib 1024\n"}}};
  });
  const std::string archive = folder_.path() / "case.tar.gz";
  const Finished done = run({"sysdump", "--out", archive});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, AllOf(HasSubstr("Not in it, by construction"), HasSubstr("doctor.txt"), HasSubstr(archive)));
  EXPECT_EQ(std::filesystem::status(archive).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const Finished listed = fake::run({"/bin/tar", "-tzf", archive}, 60s);
  EXPECT_THAT(listed.out, testing::ContainsRegex("^enclayer-sysdump-[0-9TZ]+/contents.txt\n.*/doctor.txt\n"));
  EXPECT_THAT(listed.out, AllOf(HasSubstr("/show.json\n"), HasSubstr("/cluster.json\n"), HasSubstr("/events.txt\n"),
                                testing::ContainsRegex("/logs/enclayer-quote-helper-[^/]*quote-helper.log\n"),
                                HasSubstr("/metrics/enclayer-device-plugin-node-a.txt\n")));
  const std::string all = fake::run({"/bin/tar", "-xzOf", archive}, 60s).out;
  EXPECT_THAT(all, AllOf(HasSubstr("a line of a log ?[2J"), HasSubstr("enclayer_epc_mib 1024\n"), HasSubstr("\"job\""),
                         HasSubstr("bytes, SHA-256 "), Not(HasSubstr("geheim"))));

  const Finished again = run({"sysdump", "--out", archive});
  EXPECT_EQ(again.exit_code, 5);
  EXPECT_THAT(again.err, HasSubstr("is there already"));
  change([](json& cluster) {
    cluster["faults"] = {{{"match", "/log?"}, {"times", 1000}, {"err", "pods \"x\" is forbidden"}, {"status", 403}},
                         {{"match", "/events"}, {"times", 1000}, {"err", "events is forbidden"}, {"status", 403}}};
  });
  const Finished half = run({"sysdump", "--out", archive + "2"});
  ASSERT_EQ(half.exit_code, 0) << half.err;
  EXPECT_THAT(half.out,
              AllOf(HasSubstr("Left out:"), HasSubstr("events.txt: cannot list events"), HasSubstr("is forbidden")));
}

// What a quote helper's process says: quotes that container c of pod team/job got, and requests that did not wait.
std::string helper_page(int quotes, bool serves = true) {
  return "enclayer_socket_ours " + std::to_string(serves ? 1 : 0) +
         "\nenclayer_quote_queue_depth "
         "2\nenclayer_pod_quotes_total{slot=\"p0\",namespace=\"team\",pod=\"job\",container="
         "\"c\",result=\"made\"} " +
         std::to_string(quotes) + "\nenclayer_quote_queue_seconds_bucket{le=\"0.005\"} " + std::to_string(quotes) +
         "\nenclayer_quote_queue_seconds_bucket{le=\"+Inf\"} " + std::to_string(quotes) + "\n";
}

TEST_F(AddonCommands, top_shows_who_has_asked_for_epc_maps_it_and_gets_quotes) {
  ASSERT_EQ(enable({"--enable-sgxquotehelper", "--account-mapped"}).exit_code, 0);
  change([](json& cluster) {
    json pod = user_pod(10);
    pod["metadata"]["uid"] = "u-1";
    pod["spec"]["containers"][0]["resources"]["limits"]["enclayer.io/quote"] = "1";
    cluster["objects"].push_back(pod);
    const std::string mapped =
        "enclayer_epc_committed_bytes 9437184\nenclayer_epc_mapped_bytes{pod_uid=\"u-1\"} 8388608\n";
    json pages = json::array();
    for (int i = 0; i < 100; ++i) pages.push_back(helper_page(100 + 7 * i));
    // On node-a the standby serves; on node-b one says what cannot be, and one nothing.
    cluster["pages"] = {{"enclayer-quote-helper-node-a/quote-helper", {helper_page(0, false)}},
                        {"enclayer-quote-helper-node-a/standby", pages},
                        {"enclayer-quote-helper-node-b/quote-helper", {"enclayer_quote_queue_depth -\x1b[2J1\n"}},
                        {"enclayer-device-plugin-node-a/device-plugin", {mapped}},
                        {"enclayer-device-plugin-node-b/device-plugin", {nullptr}}};
  });
  const auto begin = std::chrono::steady_clock::now();
  const Finished json_out = run({"top", "--output", "json", "--interval", "1"});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  ASSERT_EQ(json_out.exit_code, 0) << json_out.err;
  const json told = json::parse(json_out.out);
  ASSERT_EQ(told["nodes"].size(), 2U) << json_out.out;
  const json& node = told["nodes"][0];
  EXPECT_EQ(node["name"], "node-a");
  EXPECT_EQ(node["epc_mib"], 1024);
  EXPECT_EQ(node["asked_mib"], 10 + 10) << "the job, and the helper with its standby";
  EXPECT_EQ(node["mapped_mib"], 9);
  EXPECT_EQ(node["waiting"], 2);
  EXPECT_EQ(node["wait_p99_seconds"], 0.005);
  const json& pod =
      *std::find_if(node["pods"].begin(), node["pods"].end(), [](const json& p) { return p["name"] == "job"; });
  EXPECT_EQ(pod["mapped_mib"], 8);
  // Seven quotes between two looks, which began at least a second apart.
  EXPECT_LE(pod["quotes_per_minute"], 2 * 7 * 60);
  EXPECT_GE(pod["quotes_per_minute"], 7 * 60 / took.count());
  EXPECT_EQ(pod["containers"][0]["quotes_per_minute"], pod["quotes_per_minute"]);
  EXPECT_EQ(told["daemons"], (json{{"asked", 4}, {"answered", 2}}));
  EXPECT_EQ(told["nodes"][1]["mapped_mib"], nullptr) << "nobody knows";
  const std::string notes = told["notes"].dump();
  EXPECT_THAT(notes, HasSubstr("device plugins on node-b did not answer within 5 s"));
  EXPECT_THAT(notes, HasSubstr("quote helpers on node-b say what cannot be: line 1 of the page of metrics"));

  const Finished text = run({"top", "--by", "node", "--order", "name", "--interval", "1"});
  EXPECT_THAT(text.out, testing::StartsWith(
                            "2 nodes with 2,048 MiB of EPC: 30 asked for, 0 by claims, 9 mapped\nquotes a minute: "));
  EXPECT_THAT(text.out, testing::ContainsRegex("\n  1,024 +20 +0 +9 +[0-9]+ +0 +5 ms  node-a\n"));
  EXPECT_THAT(text.out, testing::ContainsRegex("\n  1,024 +10 +0 +- +- +- +-  node-b\n"));
  EXPECT_THAT(text.out, Not(HasSubstr("\x1b")));
}

TEST_F(AddonCommands, top_shows_what_the_rights_allow_and_says_what_they_do_not) {
  const Finished off = run({"top"});
  EXPECT_EQ(off.exit_code, 0);
  EXPECT_THAT(off.out, AllOf(testing::StartsWith("0 nodes with 0 MiB"), HasSubstr("enclayer is not switched on here")));
  ASSERT_EQ(enable({"--enable-sgxquotehelper"}).exit_code, 0);
  change([](json& cluster) {
    cluster["denied"] = {"create pods/exec"};
    cluster["faults"] = {
        {{"match", "GET /apis/resource.k8s.io/v1/resourceclaims"}, {"status", 403}, {"err", "no list"}}};
    cluster["objects"].push_back(user_pod(10));
  });
  const Finished some = run({"top"});
  EXPECT_EQ(some.exit_code, 0) << some.err;
  EXPECT_THAT(some.out, AllOf(HasSubstr("team/job  node-a"), HasSubstr("that takes the right to create pods/exec"),
                              HasSubstr("cannot list ResourceClaims")));
  EXPECT_THAT(calls(), Not(HasSubstr("--probe=/metrics")));
  change([](json& cluster) { cluster["faults"] = {{{"match", "/api/v1/pods"}, {"status", 403}, {"err", "no list"}}}; });
  const Finished none = run({"top"});
  EXPECT_EQ(none.exit_code, 3);
  EXPECT_THAT(none.err, HasSubstr("cannot list pods"));
}

TEST_F(AddonCommands, top_names_daemons_that_are_too_old_to_be_asked_or_say_too_much) {
  ASSERT_EQ(enable({"--enable-sgxquotehelper"}).exit_code, 0);
  change([](json& cluster) {
    cluster["faults"] = {{{"match", "enclayer-quote-helper-node-a"},
                          {"err", "enclayer-quote-helper: --probe: /metrics not in {/readyz,/healthz}"}}};
    cluster["pages"] = {{"enclayer-quote-helper-node-b/quote-helper", {5'000'000}}};
  });
  const Finished told = run({"top"});
  EXPECT_EQ(told.exit_code, 0) << told.err;
  EXPECT_THAT(told.out, AllOf(HasSubstr("quote helpers on node-a are of another version, which cannot be asked"),
                              HasSubstr("quote helpers on node-b cannot be asked: kubectl's answer is longer than")));
  change([](json& cluster) {
    cluster["faults"][0]["err"] =
        "error sending request: Post \"https://x/exec?command=a&command=--probe%3D%2Fmetrics\": EOF";
  });
  EXPECT_THAT(run({"top"}).out,
              HasSubstr("quote helpers on node-a cannot be asked: kubectl ended with 1: error sending"));
}

// A command on a terminal of its own.
class OnTerminal {
 public:
  OnTerminal(const std::filesystem::path& cluster, std::vector<std::string> arguments, winsize size) {
    EXPECT_TRUE(master_.get() >= 0 && ::grantpt(master_.get()) == 0 && ::unlockpt(master_.get()) == 0);
    ::ioctl(master_.get(), TIOCSWINSZ, &size);
    terminal_ = base::UniqueFd(::open(::ptsname(master_.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    before_ = modes();
    arguments.insert(arguments.begin(), ENCLAYER_BIN_DIR "/enclayer");
    arguments.insert(arguments.end(), {"--kubectl", ENCLAYER_FAKE_KUBECTL});
    auto started = base::ChildProcess::start({.command = arguments,
                                              .environment = {{"FAKE_CLUSTER=" + cluster.string()}},
                                              .input = terminal_.get(),
                                              .output = terminal_.get()});
    EXPECT_TRUE(started) << started.error().message();
    if (started) process_ = *std::move(started);
  }

  // Waits for it, and forgets what came before.
  void shows(const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (seen_.find(text) == std::string::npos && std::chrono::steady_clock::now() < deadline) {
      pollfd wait{master_.get(), POLLIN, 0};
      char some[4096];
      if (::poll(&wait, 1, 100) == 1)
        if (const ssize_t size_read = ::read(master_.get(), some, sizeof some); size_read > 0)
          seen_.append(some, static_cast<std::size_t>(size_read));
    }
    const std::size_t found = seen_.find(text);
    EXPECT_NE(found, std::string::npos) << text << " is not in " << seen_;
    if (found != std::string::npos) seen_.erase(0, found + text.size());
  }
  void type(const char* keys) { ASSERT_GT(::write(master_.get(), keys, std::strlen(keys)), 0); }
  std::optional<base::Ending> wait() { return process_ ? process_->wait(20s) : std::nullopt; }
  bool is_as_it_was() const { return modes().c_lflag == before_.c_lflag; }

 private:
  termios modes() const {
    termios out{};
    ::tcgetattr(terminal_.get(), &out);
    return out;
  }

  base::UniqueFd master_{::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)}, terminal_;
  termios before_{};
  std::unique_ptr<base::ChildProcess> process_;
  std::string seen_;
};

TEST_F(AddonCommands, top_on_a_terminal_follows_keys_and_leaves_it_as_it_was) {
  ASSERT_EQ(enable({"--enable-sgxquotehelper"}).exit_code, 0);
  change([](json& cluster) {  // nobody waits for those who say nothing
    for (const char* pod : {"enclayer-quote-helper-node-a/quote-helper", "enclayer-quote-helper-node-b/quote-helper"})
      cluster["pages"][pod] = {nullptr};
    cluster["objects"].push_back(user_pod(10));
  });
  OnTerminal top(folder_.path(), {"top"}, {12, 80, 0, 0});
  top.shows("\x1b[?1049h");
  top.shows("enclayer top, by pod, order: asked");
  top.shows("team/job");
  top.type("no");
  top.shows("enclayer top, by node, order: mapped");
  const auto begin = std::chrono::steady_clock::now();
  top.type("\x03");
  const auto ending = top.wait();
  EXPECT_TRUE(ending && ending->exit_code() == 0);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s) << "pods have five seconds to answer";
  top.shows("\x1b[?1049l");
  EXPECT_TRUE(top.is_as_it_was());
}

TEST_F(AddonCommands, top_ends_on_a_terminal_that_has_no_room) {
  for (unsigned short columns : {1, 5, 9}) {
    OnTerminal top(folder_.path(), {"top"}, {12, columns, 0, 0});
    top.shows("\x1b[?1049h");
    top.type("q");
    const auto ending = top.wait();
    EXPECT_TRUE(ending && ending->exit_code() == 0) << columns;
  }
}

// What a server on this machine says to one request, header and body; "" where nobody listens.
std::string asked(const std::string& address, const std::string& request) {
  const base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval patience{20, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return "";
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return "";
  std::string said;
  char some[4096];
  for (ssize_t size; (size = ::recv(fd.get(), some, sizeof some, 0)) > 0;)
    said.append(some, static_cast<std::size_t>(size));
  return said;
}
std::string body_of(const std::string& answer) {
  return answer.substr(std::min(answer.size(), answer.find("\r\n\r\n") + 4));
}

// `enclayer dashboard`, as a browser sees it.
class Dashboard {
 public:
  explicit Dashboard(const std::filesystem::path& folder)
      : program({ENCLAYER_BIN_DIR "/enclayer", "dashboard", "--kubectl", ENCLAYER_FAKE_KUBECTL},
                {{"FAKE_CLUSTER", folder}, {"TMPDIR", folder}}) {
    EXPECT_TRUE(program.wait_for_output("/\n", 20s)) << program.output();
    const std::string url = program.out().substr(0, program.out().find('\n'));
    const std::size_t end = url.find('/', 7);
    address = url.substr(7, end - 7);
    root = url.substr(std::min(end, url.size()));
  }
  std::string get(const std::string& path) const {
    return asked(address, "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\n\r\n");
  }
  // The state, once it is like that; else as it is after a while.
  json state(const std::function<bool(const json&)>& is_there) const {
    const auto deadline = std::chrono::steady_clock::now() + 100s;
    while (true) {
      json now = json::parse(body_of(get(root + "state.json")), nullptr, false);
      if (now.is_discarded() || is_there(now) || std::chrono::steady_clock::now() > deadline) return now;
      ::poll(nullptr, 0, 100);  // whoever is asked without a pause has no time to look
    }
  }

  fake::Process program;
  std::string address, root;
};

TEST_F(AddonCommands, dashboard_serves_whoever_has_its_address_until_ctrl_c) {
  ASSERT_EQ(enable({"--enable-sgxquotehelper"}).exit_code, 0);
  const std::string hostile = "<img src=x onerror=alert(1)>\u202e";
  change([&](json& cluster) {
    json pod = user_pod(10);
    pod["metadata"]["name"] = hostile;
    cluster["objects"].push_back(pod);
    json pages = json::array();
    for (int i = 0; i < 100; ++i) pages.push_back(helper_page(100 + 7 * i));
    for (const char* node : {"node-a", "node-b"})
      cluster["pages"]["enclayer-quote-helper-" + std::string(node) + "/quote-helper"] = pages;
  });
  Dashboard page(folder_.path());
  ASSERT_TRUE(page.address.starts_with("127.0.0.1:")) << page.program.output();
  ASSERT_EQ(page.root.size(), 34U) << "128 bits in hex";
  Dashboard other(folder_.path());
  EXPECT_NE(page.root, other.root);

  const std::string html = page.get(page.root);
  EXPECT_THAT(html, testing::StartsWith("HTTP/1.1 200 OK\r\n"));
  for (const char* header :
       {"Content-Type: text/html; charset=utf-8", "Content-Security-Policy: default-src 'none'; style-src 'sha256-",
        "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer", "Cache-Control: no-store"})
    EXPECT_THAT(html, HasSubstr(std::string("\r\n") + header));
  EXPECT_THAT(html, HasSubstr("<title>enclayer dashboard</title>"));
  EXPECT_LE(body_of(html).size(), 200'000U);

  for (const std::string& path : {std::string("/"), std::string("/state.json"), other.root, other.root + "state.json"})
    EXPECT_THAT(page.get(path), AllOf(testing::StartsWith("HTTP/1.1 404"), Not(HasSubstr(page.root)))) << path;
  EXPECT_THAT(asked(page.address, "GET " + page.root + " HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
              AllOf(testing::StartsWith("HTTP/1.1 421"), Not(HasSubstr("html"))));
  EXPECT_THAT(asked(page.address, "POST " + page.root + " HTTP/1.1\r\nHost: " + page.address + "\r\n\r\n"),
              testing::StartsWith("HTTP/1.1 405"));

  const json state = page.state([](const json& now) {
    return now["doctor"]["age_seconds"].is_number() && now["usage"]["daemons"]["answered"] == 2 &&
           now["usage"]["nodes"][0]["quotes_per_minute"] > json(0);
  });
  ASSERT_EQ(state["usage"]["nodes"].size(), 2U) << state.dump();
  EXPECT_EQ(state["usage"]["nodes"][0]["epc_mib"], 1024);
  EXPECT_EQ(state["usage"]["age_seconds"], nullptr);
  EXPECT_GT(state["usage"]["nodes"][0]["quotes_per_minute"], 0);
  EXPECT_THAT(state["usage"]["nodes"][0]["pods"].dump(), HasSubstr(json(hostile).dump()));
  EXPECT_EQ(state["doctor"]["links"][0]["link"], "cluster");
  EXPECT_EQ(state["doctor"]["trouble"], "");
  ASSERT_GE(state["history"].size(), 1U);
  EXPECT_TRUE(state["history"][0].contains("wait_p99_seconds"));
  EXPECT_EQ(other.state([](const json& now) { return now["usage"]["nodes"].size() == 2; })["usage"]["nodes"].size(),
            2U);

  // The API server goes away: the page is told since when, and has what was known.
  folder_.write("away", "");
  const json without = page.state([](const json& now) { return now["usage"]["age_seconds"].is_number(); });
  EXPECT_TRUE(without["usage"]["age_seconds"].is_number()) << without["usage"]["notes"];
  EXPECT_THAT(without["usage"]["notes"][0], HasSubstr("what the cluster holds is as it was"));
  EXPECT_EQ(without["usage"]["nodes"].size(), 2U);
  std::filesystem::remove(folder_.path() / "away");
  EXPECT_EQ(page.state([](const json& now) { return now["usage"]["age_seconds"].is_null(); })["usage"]["age_seconds"],
            nullptr);

  for (auto [one, number] : {std::pair{&page, SIGINT}, {&other, SIGTERM}}) {
    one->program.signal(number);
    EXPECT_EQ(one->program.wait(10s), 0) << one->program.output();
    EXPECT_EQ(asked(one->address, "GET / HTTP/1.1\r\n\r\n"), "") << "nobody listens any more";
  }
  for (const auto& left : std::filesystem::directory_iterator(folder_.path()))
    EXPECT_THAT(left.path().filename().string(), Not(testing::StartsWith("enclayer-"))) << "of kubectl proxy";
}

TEST_F(AddonCommands, dashboard_ends_while_doctor_waits_for_pods_that_say_nothing) {
  ASSERT_EQ(enable({"--enable-sgxquotehelper"}).exit_code, 0);
  change([](json& cluster) {
    for (const char* pod : {"enclayer-quote-helper-node-a/quote-helper", "enclayer-quote-helper-node-b/quote-helper"})
      cluster["pages"][pod] = {nullptr};
  });
  Dashboard page(folder_.path());
  EXPECT_EQ(page.state([](const json&) { return true; })["usage"]["nodes"].size(), 2U) << "nobody is waited for";
  page.program.signal(SIGINT);
  EXPECT_EQ(page.program.wait(4s), 0) << page.program.output();
}

TEST_F(AddonCommands, dashboard_is_for_this_machine_alone) {
  for (const char* address : {"0.0.0.0:0", "[::]:0", "192.0.2.1:0"}) {
    const Finished refused = run({"dashboard", "--listen", address});
    EXPECT_EQ(refused.exit_code, 1) << address;
    EXPECT_THAT(refused.err, AllOf(HasSubstr(std::string(address) + " is no loopback address"), HasSubstr("ssh -L")));
  }
  EXPECT_THAT(run({"dashboard", "--listen", "localhost"}).err, HasSubstr("is not ADDR:PORT"));
  folder_.write("away", "");
  EXPECT_EQ(run({"dashboard"}).exit_code, 4);
}

TEST_F(AddonCommands, alerts_come_where_the_prometheus_operator_is_and_stay_out_elsewhere) {
  change([](json& cluster) { cluster["unknown_kinds"] = {"PrometheusRule", "PodMonitor"}; });
  const Finished without = enable({"--enable-monitoring"});
  ASSERT_EQ(without.exit_code, 0) << without.err;
  EXPECT_THAT(without.err, AllOf(HasSubstr("this cluster has no PrometheusRule"), HasSubstr("nobody may scrape")));
  change([](json& cluster) { cluster["unknown_kinds"] = json::array(); });
  const Finished with = run({"update", "--metrics-from", "kubernetes.io/metadata.name=monitoring"});
  ASSERT_EQ(with.exit_code, 0) << with.err;
  EXPECT_EQ(with.err, "");
  for (auto [kind, name] :
       {std::pair{"PrometheusRule", "enclayer"}, {"PodMonitor", "enclayer"}, {"ConfigMap", "enclayer-dashboard"}})
    EXPECT_TRUE(has(kind, name)) << kind;
  ASSERT_EQ(run({"update", "--disable-monitoring"}).exit_code, 0);
  EXPECT_FALSE(has("PrometheusRule", "enclayer"));
  ASSERT_EQ(run({"update", "--enable-monitoring"}).exit_code, 0);
  ASSERT_EQ(run({"disable"}).exit_code, 0);
  EXPECT_FALSE(has("PodMonitor", "enclayer"));
}

TEST_F(AddonCommands, a_namespace_that_others_use_stays) {
  ASSERT_EQ(enable().exit_code, 0);
  change([](json& cluster) {
    cluster["objects"].push_back(
        {{"apiVersion", "v1"}, {"kind", "Secret"}, {"metadata", {{"name", "mine"}, {"namespace", "enclayer-system"}}}});
  });
  Finished off = run({"disable"});
  EXPECT_EQ(off.exit_code, 0) << off.err;
  EXPECT_THAT(off.out, HasSubstr("namespace enclayer-system stays: it holds what is not ours (Secret mine)"));
  EXPECT_TRUE(has("Namespace", "enclayer-system"));
}

TEST_F(AddonCommands, show_and_list_say_what_is_on_for_people) {
  EXPECT_THAT(run({"show"}).out,
              HasSubstr("enclayer is not switched on here (cluster v1.36.3). `enclayer enable` does that."));
  ASSERT_EQ(enable({"--enable-sgxquotehelper"}).exit_code, 0);
  Finished shown = run({"show"});
  EXPECT_THAT(shown.out, AllOf(HasSubstr("enclayer is on: namespace enclayer-system, platform sim"),
                               HasSubstr("and 1 node without SGX, left alone")));
  EXPECT_THAT(shown.out, testing::ContainsRegex("quote-helper +on +2/2 +localhost/enclayer"));
  EXPECT_THAT(run({"list"}).out, testing::ContainsRegex("in-proc-attestation +off"));
  Finished listed = run({"list", "--output", "json"});
  EXPECT_EQ(json::parse(listed.out)[0]["name"], "device-plugin");
}

TEST_F(AddonCommands, show_warns_of_a_tcb_that_is_out_of_date) {
  change([](json& cluster) { cluster["facts"] = {{"version", "0.1.0"}, {"tcb", {{"status", "OutOfDate"}}}}; });
  ASSERT_EQ(enable({"--enable-sgxquotehelper"}).exit_code, 0);
  EXPECT_THAT(run({"show"}).out, HasSubstr("warning: quotes of node-a reach TCB status OutOfDate only"));
  EXPECT_EQ(json::parse(run({"show", "--output", "json"}).out)["quote_helpers"][0]["tcb_status"], "OutOfDate");
}

// ---- What awaits platforms ----

class Outlook : public AddonCommands {
 protected:
  // Both helpers quote at the same patch level, which `recovery` leaves behind; a pod on node-a holds EPC.
  Outlook() {
    change([](json& cluster) {
      cluster["facts"] = {{"version", "0.1.0"},
                          {"qe", {{"isvsvn", 1}}},
                          {"fmspc", "53494d554c41"},
                          {"pck_tcb", "010101010101010101010101010101010100"},
                          {"pck_ca", "platform"}};
      json pod = user_pod(10);
      pod["metadata"]["uid"] = "u-1";
      cluster["objects"].push_back(pod);
    });
  }
  static void recovery(sim::CollateralOrder& order) {
    order.tcb_evaluation_data_number = 18;
    order.tcb_levels.push_back(order.tcb_levels.front());
    order.tcb_levels.front().components[0] = 2;
    order.tcb_levels.back().status = "OutOfDate";
    order.tcb_levels.back().advisory_ids = {"INTEL-SA-01234\x1b[2J"};
  }
  void keep(const std::string& url, const std::function<void(sim::CollateralOrder&)>& departs = nullptr) {
    const Time now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    sim::CollateralOrder order = sim::collateral_order(now);
    order.tcb_evaluation_data_number = 17;
    if (departs) departs(order);
    const auto ca = sim::make_ca(sim::ca_order(now)).value();
    const collateral::Cache cache(folder_.path() / "enclayer" / "collateral");
    ASSERT_TRUE(cache.keep(collateral::make_entry(url, now, sim::issue_collateral(ca, order).value()).value()));
  }
  static std::vector<json> links(const Finished& doctor, const char* name) {
    std::vector<json> out;
    const json told = json::parse(doctor.out);
    for (const json& link : told["links"])
      if (link["link"] == name) out.push_back(link);
    return out;
  }
};

TEST_F(Outlook, platform_that_falls_is_warned_of_with_the_pods_that_it_concerns_and_that_an_update_waits_for) {
  ASSERT_EQ(enable({"--enable-sgxquotehelper"}).exit_code, 0);
  keep("https://pccs");
  keep("https://pccs?update=early", recovery);
  const Finished shown = run({"show"});
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(
      shown.out,
      AllOf(testing::ContainsRegex(
                "53494d554c41 +010101010101010101010101010101010100 +1 +UpToDate .17. +OutOfDate .18."),
            HasSubstr("warning: quotes of node-a, node-b are UpToDate today, and OutOfDate by the early TCB Info"),
            HasSubstr("SGX TCB component 1 is 1, needs 2"), HasSubstr("INTEL-SA-01234"),
            testing::ContainsRegex(
                "pods enclayer-system/enclayer-quote-helper-node-a, team/job +node-a +SGX that pods hold"),
            Not(HasSubstr("\x1b"))));
  const json told = json::parse(run({"show", "--output", "json"}).out);
  EXPECT_EQ(told["platforms"][0]["early"]["status"], "OutOfDate");
  EXPECT_EQ(told["advisories"][0]["pods"], json{"team/job"});
  EXPECT_EQ(told["advisories"][0]["early"], true);
  EXPECT_EQ(told["open_epc"][0]["seen"], false);
  // It is coming, and nothing is wrong.
  const Finished doctor = run({"doctor", "--output", "json"});
  ASSERT_THAT(links(doctor, "TCB recovery"), testing::SizeIs(1));
  EXPECT_EQ(links(doctor, "TCB recovery")[0]["standing"], "soon");
  EXPECT_EQ(links(doctor, "Quoting Enclave")[0]["standing"], "ok");
}

TEST_F(Outlook, open_descriptors_name_those_that_an_update_waits_for_where_the_plugin_may_look) {
  ASSERT_EQ(enable({"--enable-sgxquotehelper", "--account-mapped"}).exit_code, 0);
  keep("https://pccs");
  keep("https://pccs?update=early", recovery);
  change([](json& cluster) {
    cluster["pages"] = {
        {"enclayer-device-plugin-node-a/device-plugin",
         {"enclayer_epc_open_processes{pod_uid=\"u-1\"} 2\nenclayer_epc_open_processes{pod_uid=\"host\"} 1\n"}},
        {"enclayer-device-plugin-node-b/device-plugin", {"enclayer_epc_open_processes{pod_uid=\"host\"} 0\n"}}};
  });
  EXPECT_THAT(run({"show"}).out,
              AllOf(testing::ContainsRegex("pod team/job, 1 process of the host +node-a +open descriptors"),
                    testing::ContainsRegex("nobody +node-b +open descriptors")));
}

TEST_F(Outlook, what_cannot_be_known_is_unknown_with_the_command_that_tells) {
  ASSERT_EQ(enable({"--enable-sgxquotehelper"}).exit_code, 0);
  const std::string early = "enclayer collateral fetch --fmspc 53494d554c41 --ca platform --update early";
  EXPECT_THAT(run({"show"}).out, AllOf(HasSubstr(early), testing::ContainsRegex("unknown +unknown")));
  const auto found = links(run({"doctor", "--output", "json"}), "TCB recovery");
  ASSERT_THAT(found, testing::SizeIs(1));
  EXPECT_EQ(found[0]["standing"], "unknown");
  // One helper is asked of the image; the other node is not taken for well.
  keep("https://pccs");
  EXPECT_THAT(run({"show", "--helpers", "1"}).out,
              HasSubstr("platform unknown, node-b: its quote helper was not asked"));
}

TEST_F(AddonCommands, kubectl_enclayer_says_its_name_in_help) {
  fake::TempFolder bin;
  std::filesystem::create_symlink(ENCLAYER_BIN_DIR "/enclayer", bin.path() / "kubectl-enclayer");
  Finished help = fake::run({bin.path() / "kubectl-enclayer", "show", "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("kubectl enclayer show"));
}

}  // namespace
}  // namespace enclayer
