// SPDX-License-Identifier: Apache-2.0
#include "addon/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "addon/names.h"
#include "addon/test_cluster.h"

namespace enclayer::addon {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A simulation on two nodes, all well; each test breaks one thing.
class Doctor : public testing::Test {
 protected:
  Doctor() {
    for (Pod& pod : cluster_.pods) pod.revision = "new", pod.images = {"localhost/enclayer:0.2.0"};
    for (DaemonSet& set : cluster_.daemon_sets) set.images = {"localhost/enclayer:0.2.0"};
    cluster_.version = "v1.36.3";
    cluster_.has_mutating = cluster_.has_validating = true;
    for (Node& node : cluster_.nodes) node.runtime = "containerd://2.3.0";
    before_.name_space = "e";
    before_.version = "0.2.0";
    before_.settings.quote_helper = true;
    protection_.translation.works = Translation::kYes;
  }

  // "device plugin: a: ErrImagePull", of what is wrong, or stands otherwise.
  std::vector<std::string> wrong(Standing standing = Standing::kWrong) {
    const State now = state(cluster_, &before_, "0.2.0");
    const auto links = examine({.cluster = cluster_,
                                .before = &before_,
                                .no_settings = no_settings_,
                                .state = now,
                                .protection = protection_,
                                .clocks = clocks_,
                                .not_asked = {},
                                .helper_warnings = helper_warnings_,
                                .helpers_asked = 1,
                                .coming = coming_,
                                .not_foreseen = not_foreseen_,
                                .said = said_,
                                .version = version_});
    std::vector<std::string> out;
    for (const Link& link : links)
      if (link.standing == standing) out.push_back(link.name + ": " + link.why);
    return out;
  }
  Pod& pod(std::string_view app, const char* node) {
    for (Pod& one : cluster_.pods)
      if (one.app == app && one.node == node) return one;
    std::abort();
  }

  Cluster cluster_ = rolling();
  Remembered before_;
  Protection protection_;
  Clocks clocks_;
  std::string no_settings_;
  std::vector<std::string> helper_warnings_, coming_, not_foreseen_;
  std::map<std::string, std::string> said_;
  std::string_view version_ = "0.2.0";
};

TEST_F(Doctor, finds_nothing_where_all_is_well) { EXPECT_THAT(wrong(), IsEmpty()); }

TEST_F(Doctor, names_a_device_that_is_gone_before_what_follows_of_it) {
  cluster_.nodes[0].allocatable[std::string(kEpcResource)] = 0;
  Pod& helper = pod(kHelper, "a");
  helper.ready = false, helper.why_not = "container quote-helper runs, but is not ready yet";
  EXPECT_THAT(wrong(), ElementsAre(HasSubstr("SGX: a: its device plugin is ready and offers no EPC"),
                                   HasSubstr("quote helper: a: container quote-helper runs")));
}

TEST_F(Doctor, tells_what_a_pod_says_of_itself) {
  for (const char* node : {"a", "b"}) {
    Pod& helper = pod(kHelper, node);
    helper.ready = false, helper.why_not = "container quote-helper runs, but is not ready yet";
    said_[helper.full_name()] = "the socket /var/run/aesmd/aesm.socket is somebody else's";
  }
  EXPECT_THAT(wrong(), ElementsAre("quote helper: a, b: the socket /var/run/aesmd/aesm.socket is somebody else's"));
}

TEST_F(Doctor, makes_a_sentence_of_what_a_probe_printed) {
  EXPECT_EQ(own_words("enclayer-device-plugin: [10.0.0.1]:9410/readyz says: not ready\na: gone\nb: gone\n\n"
                      "command terminated with exit code 4\n"),
            "a: gone; b: gone");
  EXPECT_EQ(own_words("enclayer-device-plugin: [10.0.0.1]:9410/readyz does not answer\n"),
            "enclayer-device-plugin: [10.0.0.1]:9410/readyz does not answer");
  EXPECT_EQ(own_words("ok, collateral has expired at 2026-01-01T00:00:00Z\n"),
            "collateral has expired at 2026-01-01T00:00:00Z");
  EXPECT_EQ(own_words("ok\n"), "");
  EXPECT_EQ(own_words(""), "");
}

TEST_F(Doctor, names_images_policies_settings_and_versions) {
  Pod& plugin = pod(kPlugin, "b");
  plugin.ready = false, plugin.why_not = "ErrImagePull: not found";
  EXPECT_THAT(wrong(), Contains("images: pod enclayer-device-plugin-b: ErrImagePull: not found"));
  protection_.flaws = {{"MutatingAdmissionPolicyBinding", "enclayer-translate", "is missing"}};
  EXPECT_THAT(wrong(), Contains("admission: MutatingAdmissionPolicyBinding enclayer-translate is missing"));
  protection_.flaws.clear();
  protection_.translation = {Translation::kNo, "a webhook changes it"};
  EXPECT_THAT(wrong(), Contains("admission: other vendors' names are not translated: a webhook changes it"));
  no_settings_ = "ConfigMap e/enclayer-addon: the add-on's settings are no JSON object";
  EXPECT_THAT(wrong(), Contains("add-on: " + no_settings_));
  version_ = "0.9.0";
  EXPECT_THAT(wrong(), Contains(HasSubstr("one minor version at a time")));
}

TEST_F(Doctor, names_what_is_missing_and_runtimes_that_pass_claims_over) {
  cluster_.has_claims = true;
  before_.settings.dra_epc = "50%";
  EXPECT_THAT(wrong(), Contains("add-on: DaemonSet enclayer-dra-driver is missing"));
  cluster_.nodes[1].runtime = "containerd://1.7.27";
  EXPECT_THAT(wrong(), Contains(HasSubstr("container runtime: b: ")));
}

TEST_F(Doctor, names_clocks_that_are_off_by_more_than_a_heartbeat_explains) {
  clocks_.ahead = {{"a", kMostAhead}, {"b", -kMostBehind}, {"without-sgx", std::chrono::hours(1)}};
  EXPECT_THAT(wrong(), IsEmpty());
  clocks_.ahead = {{"a", std::chrono::seconds(3600)}, {"b", std::chrono::seconds(-90)}};
  EXPECT_THAT(wrong(), ElementsAre("clocks: a: the clock is ahead of the API server's, by 3600 s",
                                   HasSubstr("clocks: b: the clock is behind the API server's")));
  clocks_.not_known = "cannot list the nodes' leases: forbidden";
  EXPECT_THAT(wrong(), IsEmpty());
}

TEST_F(Doctor, names_collateral_that_has_expired_while_the_attestation_service_is_ready) {
  before_.settings.attestation_service = true;
  Deployment service;
  service.name = kAttest, service.component = kAttestation, service.wanted = service.ready = service.there = 1;
  service.updated = 1;
  cluster_.deployments = {service};
  Pod& replica = cluster_.pods.emplace_back(cluster_.pods[0]);
  replica.name = "enclayer-attest-x", replica.app = kAttest, replica.requests.clear(), replica.ready = true;
  EXPECT_THAT(wrong(), IsEmpty());
  said_[replica.full_name()] = "collateral has expired at 2026-01-01T00:00:00Z";
  EXPECT_THAT(wrong(), ElementsAre("attestation service: pod enclayer-attest-x: collateral has expired at "
                                   "2026-01-01T00:00:00Z"));
}

TEST_F(Doctor, names_quoting_enclaves_that_are_behind_and_nodes_that_are_down) {
  helper_warnings_ = {"the quote helper on a quotes with a QE of ISVSVN 5, an up-to-date platform has 8"};
  EXPECT_THAT(wrong(), ElementsAre("Quoting Enclave: " + helper_warnings_[0]));
  helper_warnings_.clear();
  cluster_.nodes[0].ready = false, cluster_.nodes[0].why_not_ready = "KubeletNotReady: runtime is down";
  EXPECT_THAT(wrong(), ElementsAre("nodes: a: the node is not ready: KubeletNotReady: runtime is down"));
}

TEST_F(Doctor, names_pods_that_wait_and_an_attestation_service_that_does_not_serve) {
  Pod& user = cluster_.pods.emplace_back();
  user.name = "job", user.name_space = "team", user.phase = "Pending";
  user.why_not = "Unschedulable: 2 Insufficient kubernetes.azure.com/sgx_epc_mem_in_MiB";
  user.requests = {{std::string(kEpcResource), 64}};
  EXPECT_THAT(wrong(), ElementsAre(HasSubstr("pods: team/job: Unschedulable")));
  cluster_.pods.pop_back();

  before_.settings.attestation_service = true;
  EXPECT_THAT(wrong(), Contains("add-on: Deployment enclayer-attest is missing"));
  Deployment& service = cluster_.deployments.emplace_back();
  service.name = kAttest, service.component = kAttestation, service.wanted = 2, service.ready = 1;
  EXPECT_THAT(wrong(), ElementsAre("attestation service: 1 of 2 replicas are there"));
  Pod& replica = cluster_.pods.emplace_back();
  replica.name = "enclayer-attest-x", replica.name_space = "e", replica.app = kAttest, replica.ours = true;
  said_["e/enclayer-attest-x"] = "Secret e/enclayer-attest-keys: the API server answers 403";
  EXPECT_THAT(wrong(), ElementsAre(HasSubstr("attestation service: pod enclayer-attest-x: Secret e/")));
}

TEST_F(Doctor, what_is_coming_is_no_fault_and_what_cannot_be_known_is_not_well) {
  EXPECT_THAT(wrong(Standing::kOk), Contains(HasSubstr("TCB recovery: no platform that was asked")));
  coming_ = {"quotes of a are UpToDate today, and OutOfDate by the early TCB Info"};
  not_foreseen_ = {"b: its quote helper has made no quote yet"};
  EXPECT_THAT(wrong(), IsEmpty());
  EXPECT_THAT(wrong(Standing::kSoon), ElementsAre("TCB recovery: " + coming_[0]));
  EXPECT_THAT(wrong(Standing::kUnknown), ElementsAre("TCB recovery: " + not_foreseen_[0]));
}

TEST(Versions, that_are_more_than_one_minor_apart_are_told_with_the_way) {
  EXPECT_EQ(versions_apart("0.2.0", "0.2.7"), "");
  EXPECT_EQ(versions_apart("0.2.0", "0.3.0"), "");
  EXPECT_EQ(versions_apart("", "0.3.0"), "");
  EXPECT_THAT(versions_apart("0.1.0", "0.3.0"), HasSubstr("take the older enclayer"));
  EXPECT_THAT(versions_apart("0.4.0", "0.2.0"), HasSubstr("take the newer enclayer"));
}

}  // namespace
}  // namespace enclayer::addon
