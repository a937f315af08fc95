// SPDX-License-Identifier: Apache-2.0
#include "manifests/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/version.h"

namespace enclayer::manifests {
namespace {

using testing::HasSubstr;

Settings with(const std::function<void(Settings&)>& change) {
  Settings settings;
  change(settings);
  return settings;
}

std::string refusal(const std::function<void(Settings&)>& change) {
  auto checked = check(with(change));
  if (checked) return "accepted";
  EXPECT_EQ(checked.error().kind(), ErrorKind::kInvalidArgument);
  return checked.error().message();
}

TEST(Settings, defaults_are_good_and_safe) {
  const Settings settings;
  EXPECT_TRUE(check(settings)) << check(settings).error().message();
  EXPECT_EQ(settings.platform, Platform::kHardware);
  EXPECT_FALSE(settings.quote_helper);
  EXPECT_FALSE(settings.in_proc_attestation);
  EXPECT_EQ(settings.name_space, "enclayer-system");
  EXPECT_EQ(settings.image, "localhost/enclayer:" + std::string(base::kVersion));
}

TEST(Settings, a_refusal_names_flag_value_and_remedy) {
  struct Case {
    std::function<void(Settings&)> change;
    std::vector<std::string> words;
  };
  const std::vector<Case> cases = {
      {[](Settings& s) { s.name_space = "SGX"; }, {"--namespace SGX", "lower-case", "enclayer-system"}},
      {[](Settings& s) { s.name_space = ""; }, {"--namespace ''"}},
      {[](Settings& s) { s.name_space = "-sgx"; }, {"--namespace -sgx"}},
      {[](Settings& s) { s.name_space = "sgx\nkind: x"; }, {"--namespace sgx?kind: x"}},
      {[](Settings& s) { s.name_space = std::string(64, 'a'); }, {"--namespace", "64 characters", "at most 63"}},
      {[](Settings& s) { s.name_space = "kube-system"; }, {"--namespace kube-system", "one of its own"}},
      {[](Settings& s) { s.name_space = "default"; }, {"--namespace default", "one of its own"}},
      {[](Settings& s) { s.image = ""; }, {"--image ''", "NAME:TAG"}},
      {[](Settings& s) { s.image = "enclayer"; }, {"--image enclayer", "NAME:TAG"}},
      {[](Settings& s) { s.image = "a/b:1 # x"; }, {"--image a/b:1 # x"}},
      {[](Settings& s) { s.image = "localhost:5000/enclayer"; }, {"--image localhost:5000/enclayer"}},
      {[](Settings& s) { s.image = "a@sha256:12"; }, {"--image a@sha256:12"}},
      {[](Settings& s) { s.dcap_image = "x"; }, {"--dcap-image x"}},
      {[](Settings& s) { s.image = "UPPER/x:1"; }, {"--image UPPER/x:1", "lower case"}},
      {[](Settings& s) { s.selinux_type = "spc_t: x"; }, {"--selinux-type spc_t: x", "container_device_plugin_t"}},
      {[](Settings& s) {
         s.node_selector = {{"a b", "c"}};
       },
       {"--node-selector a b is no key of a label"}},
      {[](Settings& s) {
         s.node_selector = {{"a", "b\nc"}};
       },
       {"--node-selector b?c is no value of a label"}},
      {[](Settings& s) {
         s.node_selector = {{"a", std::string(64, 'x')}};
       },
       {"is no value of a label: at most 63"}},
      {[](Settings& s) {
         s.node_selector = {{"kubernetes.io/os", "windows"}};
       },
       {"--node-selector kubernetes.io/os is in the manifests already"}},
      {[](Settings& s) {
         s.pod_labels = {{"app.kubernetes.io/name", "x"}};
       },
       {"--pod-label app.kubernetes.io/name is one of the add-on's own labels"}},
      {[](Settings& s) {
         s.pod_labels = {{"enclayer.io/x", "x"}};
       },
       {"--pod-label enclayer.io/x"}},
      {[](Settings& s) {
         s.pod_annotations = {{"enclayer.io/qcnl-sha256", "x"}};
       },
       {"--pod-annotation enclayer.io/qcnl-sha256 is one of the add-on's own annotations"}},
      {[](Settings& s) {
         s.pod_annotations = {{"", "x"}};
       },
       {"--pod-annotation '' is no key of a label"}},
      {[](Settings& s) {
         s.pod_annotations = {{"a", "\xff"}};
       },
       {"--pod-annotation", "UTF-8"}},
      {[](Settings& s) {
         s.pod_annotations = {{"a", std::string(4097, 'x')}};
       },
       {"--pod-annotation", "4096 bytes"}},
      {[](Settings& s) {
         for (int i = 0; i < 65; ++i) s.pod_labels["k" + std::to_string(i)] = "v";
       },
       {"--pod-label", "65 times, at most 64"}},
      {[](Settings& s) {
         s.tolerations = {{{"key", "a"}, {"effect", "NoSchedul"}}};
       },
       {"--toleration NoSchedul is none of: NoSchedule PreferNoSchedule NoExecute"}},
      {[](Settings& s) {
         s.tolerations = {{{"key", "a"}, {"tolerationSeconds", "1"}}};
       },
       {"--toleration tolerationSeconds is none of: effect key operator value"}},
      {[](Settings& s) {
         s.tolerations = {{{"key", "a b"}}};
       },
       {"--toleration a b is no key of a label"}},
      {[](Settings& s) {
         s.image_pull_secrets = {{{"name", "Mine"}}};
       },
       {"--image-pull-secret Mine is no name of a Secret"}},
      {[](Settings& s) {
         s.metrics_from = {{"a", "b c"}};
       },
       {"--metrics-from b c is no value of a label"}},
      {[](Settings& s) { s.resources["gpu"]["limits"]["cpu"] = "1"; },
       {"--resources gpu is none of: attest claim-templates detect device-plugin dra-driver quote-helper"}},
      {[](Settings& s) { s.resources["detect"]["limit"]["cpu"] = "1"; },
       {"--resources limit is none of: limits requests"}},
      {[](Settings& s) { s.resources["detect"]["limits"]["epc"] = "1"; }, {"--resources epc is none of: cpu memory"}},
      {[](Settings& s) { s.resources["detect"]["limits"]["cpu"] = "1,5"; }, {"--resources 1,5 is no amount of CPU"}},
      {[](Settings& s) { s.resources["detect"]["limits"]["memory"] = "1GB"; },
       {"--resources 1GB is no amount of memory"}},
      {[](Settings& s) { s.image_pull_policy = "always"; },
       {"--image-pull-policy always", "Always IfNotPresent Never"}},
      {[](Settings& s) { s.image_pull_policy = "Always IfNotPresent"; }, {"--image-pull-policy"}},
      {[](Settings& s) { s.pccs_url = "pccs.example"; }, {"--pccs-url pccs.example", "https://pccs.example:8081"}},
      {[](Settings& s) { s.pccs_url = "https://a/\""; }, {"--pccs-url https://a/\""}},
      {[](Settings& s) { s.pccs_url = "file:///etc/shadow"; }, {"--pccs-url file:///etc/shadow"}},
      {[](Settings& s) {
         s.pccs_url = "https://a";
         s.qcnl_conf = "{}";
       },
       {"--pccs-url https://a", "--qcnl-conf"}},
      {[](Settings& s) {
         s.pccs_url = "https://a";
         s.platform = Platform::kSim;
       },
       {"--pccs-url", "--platform hardware"}},
      {[](Settings& s) {
         s.qcnl_conf = "{}";
         s.platform = Platform::kSim;
       },
       {"--qcnl-conf", "--platform hardware"}},
      {[](Settings& s) { s.attestation_service = true; }, {"--attestation-fmspc", "--attestation-collateral"}},
      {[](Settings& s) {
         s.attestation_service = true;
         s.platform = Platform::kSim;
         s.attestation_collateral = "{}";
       },
       {"--platform sim needs --attestation-simulated-root"}},
      {[](Settings& s) { s.attestation_simulated_root = "-----BEGIN"; }, {"--platform sim"}},
      {[](Settings& s) { s.attestation_issuer = "https://attest.example/simulated"; },
       {"says simulated, and the platform is hardware"}},
      {[](Settings& s) {
         s.attestation_issuer = "https://attest.example";
         s.platform = Platform::kSim;
       },
       {"does not say simulated, and the platform is sim"}},
      {[](Settings& s) { s.attestation_issuer = "http://attest.example"; }, {"is no issuer"}},
      {[](Settings& s) { s.attestation_issuer = "https://attest.example/"; }, {"without a slash at the end"}},
      {[](Settings& s) { s.attestation_fmspc = "00606a"; }, {"--attestation-fmspc 00606a is no list of platforms"}},
      {[](Settings& s) {
         s.attestation_fmspc = "00606a000000";
         s.attestation_collateral = "{}";
       },
       {"two answers to one question"}},
      {[](Settings& s) { s.attestation_secrets = "a"; }, {"belong together"}},
      {[](Settings& s) { s.attestation_vault_url = "https://vault.example"; }, {"belong together"}},
      {[](Settings& s) { s.attestation_release_accounts = "app"; }, {"NAMESPACE/NAME"}},
      {[](Settings& s) {
         s.monitoring = true;
         s.metrics = false;
       },
       {"--enable-monitoring and --disable-metrics contradict"}},
      {[](Settings& s) { s.attestation_policy = ""; }, {"--attestation-policy"}},
      {[](Settings& s) { s.qcnl_conf = " \n"; }, {"--qcnl-conf", "blank"}},
      {[](Settings& s) { s.qcnl_conf = std::string("{\0}", 3); }, {"--qcnl-conf", "byte 0"}},
      {[](Settings& s) { s.qcnl_conf = "\xff"; }, {"--qcnl-conf", "UTF-8"}},
      {[](Settings& s) { s.qcnl_conf = std::string(kMostQcnlConf + 1, 'x'); }, {"--qcnl-conf", "32768"}},
      {[](Settings& s) { s.workers = 0; }, {"--workers 0", "1 to 16"}},
      {[](Settings& s) { s.workers = 17; }, {"--workers 17", "1 to 16"}},
      {[](Settings& s) { s.external_aesmd = s.quote_helper = true; }, {"--external-aesmd", "--enable-sgxquotehelper"}},
      {[](Settings& s) { s.quotes_per_minute = 100'001; }, {"--quotes-per-minute 100001", "0 to 100000"}},
      {[](Settings& s) { s.quote_slots = 0; }, {"--quote-slots 0", "1 to 1000"}},
      {[](Settings& s) { s.quote_slots = 1001; }, {"--quote-slots 1001", "1 to 1000"}},
      {[](Settings& s) { s.epc_cap = "8GB"; }, {"--epc-cap 8GB", "8Gi"}},
      {[](Settings& s) { s.epc_reserve = "1Ki"; }, {"--epc-reserve 1Ki", "1Mi at least"}},
      {[](Settings& s) { s.dra_epc = "101%"; }, {"--dra-epc 101%", "1% to 100%"}},
      {[](Settings& s) { s.dra_above = 8192; }, {"--dra-above 8192", "give --dra-epc too, or --dra-above 0"}},
      {[](Settings& s) { s.dra_epc = "50%", s.dra_above = 100'000'000; }, {"--dra-above 100000000", "0 to 99999999"}},
      {[](Settings& s) { s.dra_epc = "0%"; }, {"--dra-epc 0%", "0 for none"}},
      {[](Settings& s) { s.dra_epc = "64GB"; }, {"--dra-epc 64GB", "64Gi"}},
      {[](Settings& s) { s.dra_epc = "1Ki"; }, {"--dra-epc 1Ki", "1Mi at least"}},
      {[](Settings& s) { s.dra_epc = "64Gi", s.epc_cap = "64Gi"; },
       {"--dra-epc 64Gi of --epc-cap 64Gi", "less than 1 MiB", "65535Mi"}},
      {[](Settings& s) { s.dra_epc = "100Mi", s.epc_cap = "119Mi", s.quote_helper = true; },
       {"--dra-epc 100Mi of --epc-cap 119Mi", "less than 20 MiB", "quote helper", "99Mi"}},
      {[](Settings& s) { s.dra_epc = "8Gi", s.platform = Platform::kSim; }, {"--dra-epc 8Gi of --sim-epc 8Gi"}},
      {[](Settings& s) { s.metrics_port = 80; }, {"--metrics-port 80", "1024 to 65534"}},
      {[](Settings& s) { s.log_level = "loud"; }, {"--log-level loud", "error warn info debug"}},
      {[](Settings& s) { s.priority_class = "x: y"; }, {"--priority-class x: y", "system-node-critical"}},
      {[](Settings& s) { s.provision_limit = 0; }, {"--provision-limit 0", "1 to 1000"}},
      {[](Settings& s) { s.platform = Platform::kSim, s.sim_epc = "1Ti", s.dra_epc = "74%"; },
       {"--sim-epc 1Ti leaves 272630 MiB", "--dra-epc", "--epc-cap 256Gi"}},
      {[](Settings& s) { s.sim_epc = "8GB"; }, {"--sim-epc 8GB", "8Gi"}},
      {[](Settings& s) { s.sim_epc = "512Ki"; }, {"--sim-epc 512Ki", "1Mi to 16Ti"}},
      {[](Settings& s) { s.sim_epc = "17Ti"; }, {"--sim-epc 17Ti", "1Mi to 16Ti"}},
      {[](Settings& s) {
         s.image = "a/sgx:1";
         s.quote_helper = true;
       },
       {"--image a/sgx:1", "--dcap-image"}},
  };
  for (const Case& one : cases)
    for (const std::string& word : one.words) EXPECT_THAT(refusal(one.change), HasSubstr(word));
}

Result<> given(Settings& settings, const char* name, std::vector<std::string> texts) {
  return set(settings, *setting_named(name), texts);
}

TEST(Settings, no_part_for_claims_is_written_as_zero_or_as_nothing) {
  Settings settings;
  EXPECT_TRUE(given(settings, "draEpc", {"100%"}));
  EXPECT_EQ(settings.dra_epc, "100%");
  EXPECT_TRUE(given(settings, "draEpc", {"0"}));
  EXPECT_EQ(settings, Settings());
  EXPECT_TRUE(check(with([](Settings& s) { s.dra_epc = "100Mi", s.epc_cap = "120Mi", s.quote_helper = true; })));
}

TEST(Settings, a_simulated_node_has_what_the_device_plugin_can_list_and_claims_besides) {
  for (const char* part : {"75%", "768Gi"})
    EXPECT_TRUE(check(with([&](Settings& s) { s.platform = Platform::kSim, s.sim_epc = "1Ti", s.dra_epc = part; })));
  EXPECT_TRUE(check(with([](Settings& s) { s.platform = Platform::kSim, s.sim_epc = "1Ti", s.epc_cap = "256Gi"; })));
  EXPECT_FALSE(check(with([](Settings& s) { s.platform = Platform::kSim, s.sim_epc = "257Gi"; })));
}

TEST(Settings, a_flag_that_is_repeated_gives_all_entries_anew_as_kubernetes_writes_them) {
  Settings settings;
  EXPECT_TRUE(given(settings, "tolerations", {"a:NoSchedule", "b=c:NoExecute", "d", "e=f", ":NoSchedule", ":"}));
  EXPECT_EQ(settings.tolerations,
            (Objects{{{"key", "a"}, {"operator", "Exists"}, {"effect", "NoSchedule"}},
                     {{"key", "b"}, {"operator", "Equal"}, {"value", "c"}, {"effect", "NoExecute"}},
                     {{"key", "d"}, {"operator", "Exists"}},
                     {{"key", "e"}, {"operator", "Equal"}, {"value", "f"}},
                     {{"operator", "Exists"}, {"effect", "NoSchedule"}},
                     {{"operator", "Exists"}}}));
  EXPECT_TRUE(given(settings, "tolerations", {"z"}));
  EXPECT_EQ(settings.tolerations.size(), 1U);
  EXPECT_TRUE(given(settings, "podAnnotations", {"a=b=c", "d=", "e=x"}));
  EXPECT_EQ(settings.pod_annotations, (Texts{{"a", "b=c"}, {"d", ""}, {"e", "x"}}));
  EXPECT_TRUE(given(settings, "imagePullSecrets", {"one", "two"}));
  EXPECT_EQ(settings.image_pull_secrets, (Objects{{{"name", "one"}}, {{"name", "two"}}}));
  EXPECT_TRUE(given(settings, "resources",
                    {"detect.limits.memory=64Mi", "detect.limits.cpu=0.5", "device-plugin.requests.cpu=1"}));
  EXPECT_EQ(settings.resources["detect"]["limits"], (Texts{{"cpu", "0.5"}, {"memory", "64Mi"}}));
  EXPECT_TRUE(check(settings)) << check(settings).error().message();
  EXPECT_TRUE(given(settings, "resources", {""}));
  EXPECT_TRUE(settings.resources.empty());

  auto refused = [&](const char* name, const char* text) { return given(settings, name, {text}).error().message(); };
  EXPECT_EQ(refused("nodeSelector", "a"), "--node-selector a is not of the form KEY=VALUE");
  for (const char* text : {"detect.limits=1", "detect", "a=b.c.d"})
    EXPECT_THAT(refused("resources", text), HasSubstr("not of the form CONTAINER.limits.memory=AMOUNT"));
  EXPECT_TRUE(given(settings, "tolerations", {"=v"}));
  EXPECT_THAT(check(settings).error().message(), HasSubstr("--toleration '' is no key of a label"));
}

TEST(Settings, what_registries_namespaces_and_services_are_called_is_accepted) {
  const std::string digest = "@sha256:" + std::string(64, 'a');
  for (const std::string& image : {std::string("enclayer:1"), std::string("localhost:5000/x/enclayer:v1.2-rc_3"),
                                   "reg.example/a/b/enclayer:1" + digest, "reg.example/enclayer" + digest})
    EXPECT_TRUE(check(with([&](Settings& s) { s.image = image; }))) << image;
  for (const char* key : {"a", "A_b.c", "pool.example/x", "a-b.example.com/Name"})
    EXPECT_TRUE(check(with([&](Settings& s) { s.pod_labels = {{key, ""}}; }))) << key;
  for (const char* url : {"http://pccs", "https://pccs.example:8081/sgx/certification/v4/", "https://[fd00::1]:8081/"})
    EXPECT_TRUE(check(with([&](Settings& s) { s.pccs_url = url; }))) << url;
  for (const char* name : {"a", "sgx-2", "0", "enclayer-system-2"})
    EXPECT_TRUE(check(with([&](Settings& s) { s.name_space = name; }))) << name;
  for (const char* epc : {"1Mi", "8Gi", "262144Mi", "1048576"})
    EXPECT_TRUE(check(with([&](Settings& s) { s.sim_epc = epc; }))) << epc;
}

TEST(Settings, the_helper_s_image_stands_beside_the_other_unless_it_was_given) {
  auto image = [](const std::string& given, const std::string& dcap, Platform platform = Platform::kHardware) {
    return helper_image(with([&](Settings& s) { s.image = given, s.dcap_image = dcap, s.platform = platform; }));
  };
  EXPECT_EQ(image("r.example:5000/x/enclayer:1", ""), "r.example:5000/x/enclayer-dcap:1");
  EXPECT_EQ(image("enclayer:1", ""), "enclayer-dcap:1");
  EXPECT_EQ(image("r/enclayer:1", "mine:2"), "mine:2");
  EXPECT_EQ(image("r/enclayer:1", "mine:2", Platform::kSim), "r/enclayer:1");
  for (const char* unknown : {"r/sgx-enclayer:1", "r/sgx:1"}) EXPECT_EQ(image(unknown, ""), "") << unknown;
  EXPECT_EQ(image("r/enclayer@sha256:" + std::string(64, 'a'), ""), "");
}

TEST(SettingsJson, only_what_was_chosen_is_remembered_and_comes_back) {
  EXPECT_EQ(to_json(Settings{}), "{}\n");
  Settings all = with([](Settings& s) {
    s.name_space = "sgx";
    s.image = "r/enclayer:2";
    s.dcap_image = "r/mine:2";
    s.image_pull_policy = "Never";
    s.quote_helper = s.in_proc_attestation = true;
    s.qcnl_conf = "{\"pccs_url\": \"https://a\"} // \xc3\xa9\n";
    s.standby = false;
    s.workers = 16;
    s.quotes_per_minute = 100'000;
    s.quote_slots = 1000;
    s.sim_epc = "1Gi";
    s.epc_cap = "2Gi", s.epc_reserve = "1Mi", s.dra_epc = "50%", s.dra_above = 99'999'999, s.log_level = "warn";
    s.priority_class = "x", s.metrics_port = 1024;
    s.numa = s.cdi = s.account_mapped = s.provision_with_epc = true, s.provision_limit = 5;
    s.metrics = false, s.metrics_from = {{"a", "b"}}, s.selinux_type = "spc_t";
    s.tolerations = {{{"key", "a"}, {"operator", "Exists"}}, {{"operator", "Exists"}}};
    s.node_selector = {{"pool", "x"}}, s.image_pull_secrets = {{{"name", "a"}}};
    s.pod_labels = {{"a", "b"}}, s.pod_annotations = {{"a", "b: \"c\"\n{{ \xf0\x9f\x98\x80"}};
    s.resources["detect"]["limits"]["memory"] = "64Mi";
  });
  Settings sim = with([](Settings& s) { s.platform = Platform::kSim, s.workers = 2; });
  Settings pccs = with([](Settings& s) { s.pccs_url = "https://a/"; });
  for (const Settings& settings : {all, sim, pccs}) {
    auto read = parse_settings_json(to_json(settings));
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(*read, settings) << to_json(settings);
  }
}

TEST(Settings, every_one_has_a_value_that_is_empty_where_it_means_off_or_none) {
  const auto by_default = nlohmann::json::parse(to_json(Settings(), Scope::kAll));
  for (const Setting& rule : setting_table()) {
    const auto& value = by_default.at(std::string(rule.name));
    const bool off = (value.is_string() && value.get<std::string>().empty()) || value == false || value == 0 ||
                     (value.is_structured() && value.empty());
    EXPECT_EQ(value_of(Settings(), rule).empty(), off) << rule.name;
  }
  EXPECT_EQ(value_of(with([](Settings& s) { s.workers = 7; }), *setting_named("workers")), "7");
  EXPECT_EQ(value_of(with([](Settings& s) { s.standby = false; }), *setting_named("standby")), "");
  EXPECT_EQ(value_of(with([](Settings& s) { s.platform = Platform::kSim; }), *setting_named("platform")), "sim");
}

TEST(Settings, a_standby_doubles_what_a_helper_s_pod_asks_for) {
  EXPECT_EQ(helper_pod_epc_mib(with([](Settings& s) { s.workers = 3; })), 30U);
  EXPECT_EQ(helper_pod_epc_mib(with([](Settings& s) { s.workers = 3, s.standby = false; })), 15U);
}

TEST(SettingsJson, every_rule_is_a_key) {
  for (const Setting& rule : setting_table()) {
    // A value of no type that any setting has: known keys complain about the type, unknown ones are named as such.
    auto read = parse_settings_json("{\"" + std::string(rule.name) + "\": [[1]]}");
    ASSERT_FALSE(read);
    EXPECT_THAT(read.error().message(), HasSubstr("\"" + std::string(rule.name) + "\" that is no"));
  }
}

TEST(SettingsJson, what_a_newer_enclayer_wrote_is_kept_and_named) {
  const std::string newer = R"({"workers": 2, "epcGoal": {"node": ["a", 1]}, "colour": "blue"})";
  const Settings read = parse_settings_json(newer).value();
  EXPECT_EQ(read.workers, 2U);
  EXPECT_EQ(nlohmann::json::parse(to_json(read)), nlohmann::json::parse(newer));
  EXPECT_EQ(parse_settings_json(to_json(read)).value(), read);
  EXPECT_THAT(unknown_settings(read), HasSubstr("colour, epcGoal"));
  EXPECT_EQ(unknown_settings(Settings()), "");
}

TEST(SettingsJson, what_is_malformed_is_refused_with_its_name) {
  struct Case {
    std::string json, word;
  };
  for (const auto& [json, word] : std::vector<Case>{
           {"", "no JSON object"},
           {"[]", "no JSON object"},
           {"{", "no JSON object"},
           {"{\"epcGoal\": [[[[[[[[1]]]]]]]]}", "nested too deep"},
           {"{\"image\": 1}", "\"image\" that is no text"},
           {"{\"platform\": \"tdx\"}", "\"platform\""},
           {"{\"quoteHelper\": \"true\"}", "\"quoteHelper\" that is no true or false"},
           {"{\"workers\": -1}", "\"workers\""},
           {"{\"workers\": 4294967297}", "\"workers\""},
           {"{\"workers\": 1.5}", "\"workers\" that is no number from 1 to 16"},
           {"{\"standby\": 0}", "\"standby\" that is no true or false"},
           {"{\"quotesPerMinute\": 100001}", "\"quotesPerMinute\" that is no number from 0 to 100000"},
           {"{\"image\": \"a:1\", \"image\": \"b:1\"}", "\"image\" twice"},
           {"{\"tolerations\": {}}", "\"tolerations\" that is no list of objects"},
           {"{\"tolerations\": [\"a\"]}", "\"tolerations\" that is no list of objects"},
           {"{\"podLabels\": {\"a\": 1}}", "\"podLabels\" that is no object that has texts"},
           {"{\"resources\": {\"detect\": \"1\"}}", "\"resources\" that is no object of containers' resources"},
           {"{\"image\": {\"a\": {\"b\": {}}}}", "\"image\" that is no text"},
           {std::string(100'000, '['), "nested too deep"},
           {std::string(kMostSettingsJson + 1, ' '), "262144"},
       }) {
    auto read = parse_settings_json(json);
    ASSERT_FALSE(read) << json.substr(0, 80);
    EXPECT_EQ(read.error().kind(), ErrorKind::kMalformed);
    EXPECT_THAT(read.error().message(), HasSubstr(word));
  }
  EXPECT_EQ(parse_settings_json("{\"namespace\": \"SGX\"}").error().kind(), ErrorKind::kInvalidArgument);
}

}  // namespace
}  // namespace enclayer::manifests
