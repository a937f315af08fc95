// SPDX-License-Identifier: Apache-2.0
#include "manifests/manifests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/version.h"
#include "manifests/manifest_text.h"

namespace enclayer::manifests {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using testing::UnorderedElementsAre;

const fs::path kFolder = fs::path(ENCLAYER_SOURCE_DIR) / "deploy" / "manifests";

// ---- The language, on small files. ----

std::string rendered(const std::string& lines, const Settings& settings = {}) {
  const std::string text =
      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  labels:\n    app.kubernetes.io/component: addon\n" +
      lines;
  const ManifestFile file{"x.yaml", text};
  auto documents = render(settings, {&file, 1});
  if (!documents) return documents.error().message();
  return documents->empty() ? "" : documents->front().text.substr(text.size() - lines.size());
}

Settings sim() {
  Settings settings;
  settings.platform = Platform::kSim;
  return settings;
}

TEST(ManifestLanguage, a_default_becomes_the_settings_value_wherever_it_stands_in_its_line) {
  Settings other;
  other.name_space = "sgx";
  EXPECT_EQ(rendered("a: enclayer-system  # set: namespace\n", other), "a: sgx\n");
  EXPECT_EQ(rendered("a: \"x == 'enclayer-system' || y == 'sa:enclayer-system:detect'\"  # set: namespace\n", other),
            "a: \"x == 'sgx' || y == 'sa:sgx:detect'\"\n");
  EXPECT_EQ(rendered("a: enclayer-system.enclayer-system-2.svc enclayer-system.  # set: namespace\n", other),
            "a: enclayer-system.enclayer-system-2.svc sgx.\n")
      << "what only begins with it is not meant";
  EXPECT_EQ(rendered("a: enclayer-system-hardware enclayer-system hardware  # set: namespace, platform\n", sim()),
            "a: enclayer-system-hardware enclayer-system sim\n");
}

TEST(ManifestLanguage, a_text_that_yaml_would_take_for_something_else_gets_quotes) {
  Settings other;
  for (const char* name : {"0", "123", "1e3", "0x1f", "true", "null", "no", "y"}) {
    other.name_space = name;
    EXPECT_EQ(rendered("a: enclayer-system  # set: namespace\n", other), "a: \"" + std::string(name) + "\"\n");
    EXPECT_EQ(rendered("- enclayer-system  # set: namespace\n", other), "- \"" + std::string(name) + "\"\n");
    EXPECT_EQ(rendered("a: [b, enclayer-system]  # set: namespace\n", other),
              "a: [b, \"" + std::string(name) + "\"]\n");
    EXPECT_EQ(rendered("a: \"b, enclayer-system, c\"  # set: namespace\n", other),
              "a: \"b, " + std::string(name) + ", c\"\n");
    EXPECT_EQ(rendered("- --x=enclayer-system  # set: namespace\n", other), "- --x=" + std::string(name) + "\n");
  }
}

TEST(ManifestLanguage, blocks_stay_when_their_condition_holds) {
  const std::string lines =
      "# when: platform=hardware\na: hardware\n# end\n# when: platform=sim\n#+b: sim\n#+  c: --x=8Gi  # set: simEpc\n# "
      "end\nd: all\n";
  EXPECT_EQ(rendered(lines), "a: hardware\nd: all\n");
  EXPECT_EQ(rendered(lines, sim()), "  b: sim\n    c: --x=8Gi\nd: all\n");
  Settings both;
  both.quote_helper = true;
  const std::string two = "# when: quoteHelper, !inProcAttestation\n#+a: 1\n# end\nb: 2\n";
  EXPECT_EQ(rendered(two), "b: 2\n");
  EXPECT_EQ(rendered(two, both), "  a: 1\nb: 2\n");
  both.in_proc_attestation = true;
  EXPECT_EQ(rendered(two, both), "b: 2\n");
  const std::string none = "# when: quotesPerMinute\n#+a: 60  # set: quotesPerMinute\n# end\nb: 2\n";
  EXPECT_EQ(rendered(none), "b: 2\n");
  both.quotes_per_minute = 5;
  EXPECT_EQ(rendered(none, both), "  a: 5\nb: 2\n");
  const std::string on = "# when: standby\na: 1\n# end\nb: 2\n";
  EXPECT_EQ(rendered(on), "a: 1\nb: 2\n");
  both.standby = false;
  EXPECT_EQ(rendered(on, both), "b: 2\n");
}

TEST(ManifestLanguage, a_map_or_a_list_is_a_line_for_each_entry_that_no_text_in_it_can_leave) {
  Settings settings;
  EXPECT_EQ(rendered("a:\n  # set: podAnnotations\nb: 1\n"), "a:\nb: 1\n");
  settings.tolerations = {{{"key", "a"}, {"operator", "Exists"}}, {{"operator", "Exists"}, {"effect", "NoExecute"}}};
  EXPECT_EQ(rendered("a:\n  - x\n  # set: tolerations\n", settings),
            "a:\n  - x\n  - {key: \"a\", operator: \"Exists\"}\n  - {effect: \"NoExecute\", operator: \"Exists\"}\n");
  EXPECT_EQ(rendered("# when: tolerations\n#+a: 1\n# end\nb: 2\n", settings), "  a: 1\nb: 2\n");
  for (const std::string& text :
       {std::string("x\nkind: Secret"), std::string("\"x\": y"), std::string("{{ .Values.image }}"),
        std::string("a: b # c"), std::string("'"), std::string("- x"), std::string("true"), std::string("\\"),
        std::string("\t\r\x01\x7f"), std::string("\xc2\x85 \xc2\xa0 \xef\xbb\xbf \xe2\x80\xa8"),
        std::string("\xf0\x9f\x98\x80 \xc3\xa9")}) {
    settings.pod_annotations = {{"note", text}};
    settings.qcnl_conf = text, settings.quote_helper = true;
    const std::string yaml = rendered("a:\n  # set: podAnnotations\nb: \"{}\"  # set: qcnlConf\n", settings);
    EXPECT_EQ(std::count(yaml.begin(), yaml.end(), '\n'), 3) << yaml;
    const YAML::Node node = YAML::Load(yaml);
    EXPECT_EQ(node["a"]["note"].as<std::string>(), text) << yaml;
    EXPECT_EQ(node["b"].as<std::string>(), text) << yaml;
    EXPECT_THAT(yaml, Not(HasSubstr("\\ud8"))) << "YAML knows no surrogates";
  }
}

TEST(ManifestLanguage, a_mistake_is_named_with_its_line) {
  EXPECT_THAT(rendered("a: x  # set: namespace\n"), HasSubstr("x.yaml:7: 'enclayer-system'"));
  EXPECT_THAT(rendered("a: x  # set: colour\n"), HasSubstr("'colour'"));
  EXPECT_THAT(rendered("# when: colour\n# end\n"), HasSubstr("'colour'"));
  EXPECT_THAT(rendered("# when: !colour\n# end\n"), HasSubstr("there is no setting 'colour'"));
  EXPECT_EQ(setting_named("colour"), nullptr);
  EXPECT_THAT(rendered("# when: platform=tdx\n# end\n"), HasSubstr("'tdx' is none of: hardware sim"));
  EXPECT_THAT(rendered("# when: workers\n# end\n"), HasSubstr("not 'workers'"));
  EXPECT_THAT(rendered("# when: platform\n# end\n"), HasSubstr("not 'platform'"));
  EXPECT_THAT(rendered("# when: quoteHelper\n"), HasSubstr("'# end' is missing"));
  EXPECT_THAT(rendered("# when: quoteHelper\n# when: pccsUrl\n"), HasSubstr("do not nest"));
  EXPECT_THAT(rendered("# end\n"), HasSubstr("without '# when:'"));
  EXPECT_THAT(rendered("# when: quoteHelper\na: 1\n# end\n"), HasSubstr("begin with '#+'"));
  EXPECT_THAT(rendered("# when: !quoteHelper\n#+a: 1\n# end\n"), HasSubstr("'#+' is for blocks"));
  EXPECT_THAT(rendered("#+a: 1\n"), HasSubstr("'#+' is for blocks"));
  EXPECT_THAT(rendered("# only when: quoteHelper\n"), HasSubstr("at the top"));
  EXPECT_THAT(rendered("  # set: image\n"), HasSubstr("is for a map or a list"));
  EXPECT_THAT(rendered("a: x  # set: podLabels\n"), HasSubstr("'podLabels'"));
  EXPECT_THAT(rendered("# when: kubernetes>=1.x\n# end\n"), HasSubstr("names no version"));
  EXPECT_THAT(rendered("# when: resources.detect.limits.memory\n# end\n"), HasSubstr("no setting 'resources"));
}

TEST(ManifestLanguage, within_a_file_its_own_condition_counts_as_true) {
  const ManifestFile file{"x.yaml", "# only when: qcnlConf, platform=hardware\n# when: qcnlConf\na: 1\n# end\n"};
  EXPECT_TRUE(parse_manifest(file)) << parse_manifest(file).error().message();
  const ManifestFile other{"x.yaml", "# only when: !standby\n# when: standby\n#+a: 1\n# end\n"};
  EXPECT_TRUE(parse_manifest(other)) << parse_manifest(other).error().message();
}

TEST(ManifestLanguage, a_document_without_a_name_of_its_own_is_refused) {
  const ManifestFile nameless{"y.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"};
  EXPECT_THAT(render({}, {&nameless, 1}).error().message(), HasSubstr("y.yaml: a document has no metadata.name"));
  const ManifestFile stranger{"y.yaml",
                              "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\n  labels:\n"
                              "    app.kubernetes.io/component: addon\n"};
  EXPECT_THAT(render({}, {&stranger, 1}).error().message(), HasSubstr("Pod has no place"));
}

// ---- Our own files. ----

// Every combination of what the conditions can tell apart.
std::vector<Settings> combinations() {
  std::vector<Settings> out;
  for (bool is_sim : {false, true})
    for (bool helper : {false, true})
      for (bool in_proc : {false, true})
        for (const char* service : {"", "pccs", "qcnl"}) {
          if (is_sim && *service != 0) continue;
          Settings settings;
          settings.name_space = "other";
          settings.image = "registry.example:5000/x/enclayer:v9";
          settings.image_pull_policy = "Always";
          settings.platform = is_sim ? Platform::kSim : Platform::kHardware;
          settings.quote_helper = helper;
          settings.in_proc_attestation = in_proc;
          if (service == std::string("pccs")) settings.pccs_url = "https://service.example:1/";
          if (service == std::string("qcnl")) settings.qcnl_conf = "{\n  \"pccs_url\": \"x\", // comment\n}\n";
          settings.workers = 3;
          settings.quote_slots = 55;
          settings.sim_epc = "2Gi";
          settings.metrics_port = 9500;
          settings.priority_class = "system-node-critical";
          settings.log_level = "warn";
          settings.epc_cap = "3Gi";
          settings.epc_reserve = "5Mi";
          if (in_proc || is_sim) settings.dra_epc = helper ? "1Gi" : "75%";
          settings.dra_above = in_proc ? 4096 : 0;
          settings.provision_limit = 20;
          settings.numa = settings.cdi = in_proc;
          settings.account_mapped = settings.provision_with_epc = in_proc && !is_sim;
          settings.metrics = !in_proc || is_sim;
          settings.monitoring = settings.metrics;
          if (helper) {
            settings.tolerations = {{{"key", "dedicated"}, {"operator", "Equal"}, {"value", "sgx"}}};
            settings.node_selector = {{"pool", "yes"}}, settings.pod_labels = {{"team", "no"}};
            settings.image_pull_secrets = {{{"name", "0"}}}, settings.metrics_from = {{"name", "true"}};
            settings.pod_annotations = {{"note", "a: b"}};
            for (const char* container :
                 {"attest", "claim-templates", "device-plugin", "detect", "dra-driver", "quote-helper"})
              settings.resources[container]["limits"]["cpu"] = "2";
            settings.selinux_type = "spc_t";
            settings.attestation_service = true;
            settings.attestation_policy = "version=1.0;\nauthorizationrules {};\nissuancerules {};\n";
            settings.attestation_issuer = is_sim ? "https://attest.example/simulated" : "https://attest.example";
            settings.attestation_verify_policy = "{\"min_isv_svn\": 1}";
            if (is_sim || in_proc) {
              settings.attestation_collateral = "{\"a\": \"b\"}\n";
            } else {
              settings.attestation_fmspc = "00606A000000,00906ED50000";
            }
            if (is_sim) settings.attestation_simulated_root = "-----BEGIN CERTIFICATE-----\n";
            if (in_proc) {
              settings.attestation_tls_secret = "yes";
              settings.attestation_audiences = "vault,https://b.example";
            } else {
              settings.attestation_secrets = "no", settings.attestation_release_policies = "true";
              settings.attestation_release_accounts = "bank/app,bank/job";
              settings.attestation_vault_url = "https://vault.bank", settings.attestation_vault_secret = "yes";
              settings.attestation_vault_key = "a/b";
            }
          }
          out.push_back(settings);
          if (!helper) continue;
          settings.standby = false;
          settings.quotes_per_minute = 7;
          out.push_back(settings);
        }
  return out;
}

std::vector<Document> documents(const Settings& settings) {
  auto out = render(settings);
  EXPECT_TRUE(out) << out.error().message();
  return out ? *out : std::vector<Document>();
}

YAML::Node parsed(const std::vector<Document>& all, const std::string& kind, const std::string& name) {
  for (const Document& one : all)
    if (one.kind == kind && one.name == name) return YAML::Load(one.text);
  ADD_FAILURE() << "no " << kind << " " << name;
  return {};
}

YAML::Node pod_of(const Settings& settings, const std::string& name) {
  return parsed(documents(settings), "DaemonSet", name)["spec"]["template"]["spec"];
}

std::vector<std::string> args(const YAML::Node& pod) {
  return pod["containers"][0]["args"].as<std::vector<std::string>>();
}

std::string text_of(const YAML::Node& node) { return YAML::Dump(node); }

TEST(Manifests, all_files_of_the_folder_are_compiled_in) {
  std::set<std::string> on_disk, compiled_in;
  for (const auto& entry : fs::recursive_directory_iterator(kFolder))
    if (entry.path().extension() == ".yaml" && entry.path().filename() != "kustomization.yaml")
      on_disk.insert(fs::relative(entry.path(), kFolder));
  for (const ManifestFile& file : manifest_files()) {
    compiled_in.insert(std::string(file.path));
    EXPECT_EQ(file.text, base::read_text(kFolder / file.path, 1 << 20).value()) << file.path;
  }
  EXPECT_EQ(on_disk, compiled_in);
}

// The files that a kustomization.yaml lists, below deploy/manifests.
std::set<std::string> listed_in(const fs::path& folder) {
  std::set<std::string> out;
  for (const YAML::Node& one : YAML::LoadFile(kFolder / folder / "kustomization.yaml")["resources"])
    out.insert(folder / one.as<std::string>());
  return out;
}

TEST(Manifests, kustomize_takes_every_file_that_is_there_by_default_the_detector_with_its_policy_apart) {
  std::set<std::string> listed = listed_in(""), detect = listed_in("detect"), expected;
  EXPECT_EQ(detect, (std::set<std::string>{"detect/detect.yaml", "detect/detect-policy.yaml"}));
  EXPECT_EQ(YAML::LoadFile(kFolder / "detect" / "kustomization.yaml")["kind"].as<std::string>(), "Component");
  listed.merge(detect);
  for (const ManifestFile& file : manifest_files())
    if (hold(parse_manifest(file)->only, {})) expected.insert(std::string(file.path));
  EXPECT_EQ(listed, expected);
}

TEST(Manifests, a_cluster_is_given_what_its_version_knows_and_no_right_that_nothing_bounds) {
  Settings settings;
  settings.quote_helper = true;
  auto kinds = [&](unsigned kubernetes) {
    std::set<std::string> out;
    const auto documents = render(settings, kubernetes).value();
    for (const Document& one : documents) out.insert(one.kind);
    return out;
  };
  const std::set<std::string> newest = kinds(kNewestKubernetes);
  EXPECT_EQ(kinds(36), newest);
  for (const char* kind : {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"}) {
    EXPECT_TRUE(newest.contains(kind));
    EXPECT_FALSE(kinds(35).contains(kind));
  }
  EXPECT_TRUE(kinds(30).contains("ValidatingAdmissionPolicy"));
  const auto old = render(settings, 29).value();
  for (const Document& one : old) {
    EXPECT_THAT(one.kind, Not(HasSubstr("AdmissionPolicy"))) << one.name;
    EXPECT_NE(one.kind, "ClusterRoleBinding") << "nothing says that it is for one's own node only";
    if (one.kind == "ClusterRole") {
      EXPECT_EQ(one.name, "enclayer-show") << "which nobody has, and which changes nothing";
    }
    EXPECT_NE(one.component, "detect") << one.kind;
    EXPECT_THAT(one.text, Not(HasSubstr("recursiveReadOnly:"))) << "a field that it does not know, and refuses";
  }
  EXPECT_TRUE(kinds(29).contains("DaemonSet"));
}

TEST(Manifests, both_doors_are_told_the_same_parts_where_claims_have_amounts) {
  auto epc_flags = [](const YAML::Node& pod) {
    std::set<std::string> out;
    for (const std::string& arg : args(pod))
      if (arg.find("-epc=") != std::string::npos) out.insert(arg);
    return out;
  };
  for (const Settings& settings : combinations()) {
    SCOPED_TRACE(to_json(settings));
    const auto all = documents(settings);
    const YAML::Node plugin = parsed(all, "DaemonSet", "enclayer-device-plugin")["spec"]["template"]["spec"];
    if (settings.dra_epc.empty()) {
      EXPECT_THAT(text_of(plugin), Not(HasSubstr("--dra-epc")));
      for (const Document& one : all) EXPECT_NE(one.component, "dra-driver");
      continue;
    }
    const YAML::Node driver = parsed(all, "DaemonSet", "enclayer-dra-driver")["spec"]["template"]["spec"];
    EXPECT_EQ(epc_flags(driver), epc_flags(plugin));
    EXPECT_THAT(args(driver), Contains("--dra-epc=" + settings.dra_epc));
    EXPECT_EQ(text_of(driver).find("--provision") != std::string::npos, settings.in_proc_attestation);
  }
  Settings settings;
  settings.dra_epc = "100%", settings.quote_helper = true, settings.workers = 2;
  EXPECT_THAT(args(pod_of(settings, "enclayer-dra-driver")), Contains("--helper-epc=40"))
      << "two workers of 5 MiB, their standby, and both successors";
  settings.standby = false;
  EXPECT_THAT(args(pod_of(settings, "enclayer-device-plugin")), Contains("--helper-epc=20"));
}

TEST(Manifests, amounts_become_claims_above_a_limit_only_where_one_was_said) {
  for (const Settings& settings : combinations()) {
    SCOPED_TRACE(to_json(settings));
    const auto all = documents(settings);
    const YAML::Node translate = parsed(all, "MutatingAdmissionPolicy", "enclayer-translate")["spec"];
    ASSERT_EQ(translate["variables"][0]["name"].as<std::string>(), "above");
    const auto above = translate["variables"][0]["expression"].as<std::string>();
    const auto condition = translate["matchConditions"][0]["expression"].as<std::string>();
    std::set<std::string> kinds;
    for (const Document& one : all)
      if (one.component == "claim-templates") kinds.insert(one.kind);
    if (settings.dra_above == 0) {
      EXPECT_EQ(above, "9223372036854775807");
      EXPECT_THAT(condition, HasSubstr("tolerations")) << "pods that need nothing are not looked at again";
      EXPECT_EQ(kinds, std::set<std::string>());
      continue;
    }
    EXPECT_THAT(above, HasSubstr(" ? " + std::to_string(settings.dra_above) + " : 9223372036854775807"));
    EXPECT_THAT(condition, Not(HasSubstr("tolerations"))) << "an amount above the limit is something to do";
    EXPECT_EQ(kinds, (std::set<std::string>{"ClusterRole", "ClusterRoleBinding", "Deployment", "ServiceAccount",
                                            "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}));
    const YAML::Node pod = parsed(all, "Deployment", "enclayer-claim-templates")["spec"]["template"]["spec"];
    EXPECT_TRUE(pod["securityContext"]["runAsNonRoot"].as<bool>());
    EXPECT_FALSE(pod["volumes"]) << "it needs nothing of its node";
  }
}

TEST(Manifests, before_claims_have_amounts_all_epc_is_the_device_plugins) {
  Settings settings;
  settings.dra_epc = "50%";
  settings.dra_above = 8192;
  const auto before = render(settings, kClaimAmountsSince - 1).value();
  for (const Document& one : before) {
    EXPECT_NE(one.component, "dra-driver") << one.kind << " " << one.name;
    EXPECT_NE(one.component, "claim-templates") << one.kind << " " << one.name;
    EXPECT_THAT(one.text, Not(HasSubstr("--dra-epc"))) << one.name;
  }
  std::set<std::string> kinds;
  const auto since = render(settings, kClaimAmountsSince).value();
  for (const Document& one : since)
    if (one.component == "dra-driver") kinds.insert(one.kind);
  EXPECT_EQ(kinds,
            (std::set<std::string>{"ClusterRole", "ClusterRoleBinding", "DaemonSet", "DeviceClass", "ServiceAccount",
                                   "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}));
}

class AttestationManifests : public testing::Test {
 protected:
  AttestationManifests() {
    settings_.attestation_service = true;
    settings_.attestation_fmspc = "00606a000000";
  }
  YAML::Node of(const std::string& kind, const std::string& name = "enclayer-attest") const {
    return parsed(documents(settings_), kind, name);
  }
  YAML::Node pod() const { return of("Deployment")["spec"]["template"]["spec"]; }

  Settings settings_;
};

TEST_F(AttestationManifests, it_is_there_when_it_is_asked_for_and_holds_no_key) {
  for (const Document& one : documents(Settings())) EXPECT_NE(one.component, "attestation-service") << one.name;
  std::set<std::string> kinds;
  for (const Document& one : documents(settings_))
    if (one.component == "attestation-service") kinds.insert(one.kind);
  EXPECT_EQ(kinds, (std::set<std::string>{"ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Role",
                                          "RoleBinding", "Secret", "Service", "ServiceAccount"}));
  EXPECT_EQ(of("Deployment")["spec"]["replicas"].as<int>(), 2);
  const YAML::Node secret = of("Secret", "enclayer-attest-keys");
  EXPECT_FALSE(secret["data"]);
  EXPECT_FALSE(secret["stringData"]);
}

TEST_F(AttestationManifests, its_rights_are_its_own_keys_and_what_clients_trust) {
  std::set<std::string> names;
  for (const YAML::Node& rule : of("Role")["rules"]) {
    EXPECT_EQ(text_of(rule["verbs"]), "[get, patch]");
    for (const YAML::Node& name : rule["resourceNames"]) names.insert(name.as<std::string>());
  }
  EXPECT_EQ(names, (std::set<std::string>{"enclayer-attest-keys", "enclayer-attest-authority"}));
  for (const Document& one : documents(settings_))
    EXPECT_FALSE(one.kind == "ClusterRoleBinding" && one.component == "attestation-service");
  settings_.attestation_secrets = settings_.attestation_release_policies = "a";
  settings_.attestation_release_accounts = "bank/app";
  EXPECT_EQ(of("ClusterRoleBinding", "enclayer-attest-review")["roleRef"]["name"].as<std::string>(),
            "system:auth-delegator");
  EXPECT_TRUE(pod()["securityContext"]["runAsNonRoot"].as<bool>());
  for (const YAML::Node& volume : pod()["volumes"]) EXPECT_FALSE(volume["hostPath"]);
}

TEST_F(AttestationManifests, issuer_and_certificate_follow_the_namespace_and_the_platform) {
  settings_.name_space = "attest";
  EXPECT_THAT(args(pod()), IsSupersetOf({"--issuer=https://enclayer-attest.attest.svc",
                                         "--tls-name=enclayer-attest.attest.svc,enclayer-attest.attest",
                                         "--keys-secret=attest/enclayer-attest-keys", "--fmspc=00606a000000",
                                         "--pccs-url=https://api.trustedservices.intel.com/sgx/certification/v4/"}));
  settings_.attestation_issuer = "https://attest.bank.example:8443/a";
  settings_.pccs_url = "https://pccs.bank.example/";
  EXPECT_THAT(args(pod()),
              IsSupersetOf({"--issuer=https://attest.bank.example:8443/a", "--pccs-url=https://pccs.bank.example/",
                            "--tls-name=enclayer-attest.attest.svc,enclayer-attest.attest,attest.bank.example"}));
  settings_ = Settings();
  settings_.attestation_service = true;
  settings_.platform = Platform::kSim;
  settings_.attestation_collateral = "{}", settings_.attestation_simulated_root = "-----BEGIN";
  EXPECT_THAT(args(pod()), IsSupersetOf({"--issuer=https://enclayer-attest.enclayer-system.svc/simulated",
                                         "--simulated-root=/etc/enclayer-attest/config/root.pem",
                                         "--collateral=/etc/enclayer-attest/config/collateral.json"}));
  EXPECT_THAT(text_of(pod()), Not(HasSubstr("--pccs-url")));
  settings_.attestation_tls_secret = "attest-tls";
  EXPECT_THAT(text_of(pod()), Not(HasSubstr("--tls-name")));
  EXPECT_THAT(args(pod()), Contains("--tls-cert=/etc/enclayer-attest/tls/tls.crt"));
}

TEST_F(AttestationManifests, what_is_read_at_the_start_starts_it_again_and_the_policy_does_not) {
  auto stamp = [&] {
    return of("Deployment")["spec"]["template"]["metadata"]["annotations"]["enclayer.io/attestation-sha256"]
        .as<std::string>();
  };
  const std::string before = stamp();
  settings_.attestation_policy = "version=1.0; authorizationrules {}; issuancerules {};";
  EXPECT_EQ(stamp(), before);
  EXPECT_EQ(of("ConfigMap")["data"]["policy.txt"].as<std::string>(), settings_.attestation_policy);
  settings_.attestation_verify_policy = "{\"min_isv_svn\": 1}";
  EXPECT_NE(stamp(), before);
}

TEST(Manifests, the_role_for_show_reads_and_is_nobodys) {
  const auto all = documents({});
  std::set<std::string> verbs;
  for (const YAML::Node& rule : parsed(all, "ClusterRole", "enclayer-show")["rules"])
    for (const YAML::Node& verb : rule["verbs"]) verbs.insert(verb.as<std::string>());
  EXPECT_EQ(verbs, (std::set<std::string>{"get", "list", "watch"}));
  for (const Document& one : all) EXPECT_FALSE(one.kind == "ClusterRoleBinding" && one.name == "enclayer-show");
}

TEST(Manifests, a_folder_that_is_read_only_is_so_with_all_that_is_mounted_below_it) {
  for (const Settings& settings : combinations())
    for (const Document& one : documents(settings)) {
      if (one.kind != "DaemonSet") continue;
      SCOPED_TRACE(one.name + ", " + to_json(settings));
      const YAML::Node pod = YAML::Load(one.text)["spec"]["template"]["spec"];
      std::set<std::string> of_the_host;
      for (const YAML::Node& volume : pod["volumes"])
        if (volume["hostPath"]) of_the_host.insert(volume["name"].as<std::string>());
      for (const YAML::Node& container : pod["containers"])
        for (const YAML::Node& mount : container["volumeMounts"]) {
          const bool here = mount["readOnly"].as<bool>(false) && of_the_host.contains(mount["name"].as<std::string>());
          EXPECT_EQ(mount["recursiveReadOnly"].as<std::string>(""), here ? "IfPossible" : "") << text_of(mount);
        }
    }
}

TEST(Manifests, what_platform_teams_say_of_pods_is_said_of_all_of_ours_beside_what_we_say) {
  Settings settings;
  settings.quote_helper = true;
  settings.tolerations = {{{"key", "dedicated"}, {"operator", "Exists"}}};
  settings.node_selector = {{"pool", "true"}}, settings.pod_labels = {{"team", "1"}};
  settings.pod_annotations = {{"a.example/b", "x: y"}}, settings.image_pull_secrets = {{{"name", "registry"}}};
  settings.selinux_type = "spc_t";
  settings.dra_epc = "50%";
  const std::vector<Document> plain = documents([] {
    Settings out;
    out.quote_helper = true;
    out.dra_epc = "50%";
    return out;
  }());
  const std::vector<Document> all = documents(settings);
  for (const char* name :
       {"enclayer-device-plugin", "enclayer-detect", "enclayer-dra-driver", "enclayer-quote-helper"}) {
    SCOPED_TRACE(name);
    const YAML::Node spec = parsed(all, "DaemonSet", name)["spec"], before = parsed(plain, "DaemonSet", name)["spec"];
    const YAML::Node pod = spec["template"]["spec"], was = before["template"]["spec"];
    EXPECT_EQ(pod["tolerations"].size(), was["tolerations"].size() + 1);
    EXPECT_EQ(pod["nodeSelector"].size(), was["nodeSelector"].size() + 1);
    EXPECT_EQ(pod["nodeSelector"]["pool"].as<std::string>(), "true");
    EXPECT_EQ(pod["imagePullSecrets"][0]["name"].as<std::string>(), "registry");
    EXPECT_FALSE(was["imagePullSecrets"]);
    EXPECT_EQ(pod["securityContext"]["seLinuxOptions"]["type"].as<std::string>(), "spc_t");
    EXPECT_FALSE(was["securityContext"]["seLinuxOptions"]);
    const YAML::Node metadata = spec["template"]["metadata"];
    EXPECT_EQ(metadata["labels"].size(), before["template"]["metadata"]["labels"].size() + 1);
    EXPECT_EQ(metadata["labels"]["team"].as<std::string>(), "1");
    EXPECT_EQ(metadata["annotations"]["a.example/b"].as<std::string>(), "x: y");
    EXPECT_EQ(text_of(spec["selector"]), text_of(before["selector"]));
  }
}

TEST(Manifests, a_container_s_resources_are_what_was_measured_unless_somebody_says_otherwise) {
  Settings settings;
  settings.quote_helper = true;
  settings.dra_epc = "50%";
  auto of = [&](const char* name) { return pod_of(settings, name)["containers"][0]["resources"]; };
  EXPECT_EQ(of("enclayer-device-plugin")["limits"]["memory"].as<std::string>(), "64Mi");
  EXPECT_FALSE(of("enclayer-device-plugin")["limits"]["cpu"]);
  EXPECT_EQ(of("enclayer-quote-helper")["requests"]["memory"].as<std::string>(), "96Mi");
  settings.platform = Platform::kSim;
  EXPECT_EQ(of("enclayer-quote-helper")["requests"]["memory"].as<std::string>(), "32Mi");
  EXPECT_EQ(of("enclayer-quote-helper")["limits"]["memory"].as<std::string>(), "128Mi");
  for (const char* name : {"device-plugin", "detect", "dra-driver", "quote-helper"}) {
    settings.resources[name]["requests"] = {{"cpu", "3"}, {"memory", "1Gi"}};
    settings.resources[name]["limits"] = {{"cpu", "4"}, {"memory", "2Gi"}};
    const YAML::Node resources = of((std::string("enclayer-") + name).c_str());
    EXPECT_EQ(resources["requests"]["cpu"].as<std::string>(), "3") << name;
    EXPECT_EQ(resources["requests"]["memory"].as<std::string>(), "1Gi") << name;
    EXPECT_EQ(resources["limits"]["cpu"].as<std::string>(), "4") << name;
    EXPECT_EQ(resources["limits"]["memory"].as<std::string>(), "2Gi") << name;
  }
}

TEST(Manifests, metrics_are_for_whom_they_are_meant_and_can_be_switched_off_without_the_probes) {
  Settings settings;
  settings.quote_helper = true;
  auto policy = [&] { return parsed(documents(settings), "NetworkPolicy", "enclayer-metrics")["spec"]; };
  EXPECT_EQ(policy()["policyTypes"][0].as<std::string>(), "Ingress");
  EXPECT_FALSE(policy()["ingress"]) << "nobody but the kubelet";
  settings.metrics_from = {{"kubernetes.io/metadata.name", "monitoring"}};
  const YAML::Node from = policy()["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"];
  EXPECT_EQ(from["kubernetes.io/metadata.name"].as<std::string>(), "monitoring");
  settings.metrics = false;
  EXPECT_FALSE(policy()["ingress"]);
  for (const char* name : {"enclayer-device-plugin", "enclayer-quote-helper"}) {
    const YAML::Node containers = pod_of(settings, name)["containers"];
    for (std::size_t i = 0; i < containers.size(); ++i) {
      EXPECT_FALSE(containers[i]["ports"]);
      EXPECT_THAT(text_of(containers[i]["args"]), Not(HasSubstr("POD_IP")));
      for (const auto& [kind, path] : {std::pair{"readinessProbe", "/readyz"}, {"livenessProbe", "/healthz"}}) {
        const auto command = containers[i][kind]["exec"]["command"].as<std::vector<std::string>>();
        EXPECT_THAT(command, ElementsAre("/usr/bin/" + std::string(name),
                                         "--metrics-listen=127.0.0.1:" + std::to_string(9410 + i),
                                         "--probe=" + std::string(path)));
        EXPECT_FALSE(containers[i][kind]["httpGet"]);
      }
    }
  }
}

TEST(Manifests, the_files_as_they_are_say_what_the_default_settings_render) {
  Settings with_helper;
  with_helper.quote_helper = true;
  for (const ManifestFile& file : manifest_files()) {
    const auto manifest = parse_manifest(file);
    ASSERT_TRUE(manifest) << manifest.error().message();
    const bool by_default = hold(manifest->only, {});
    if (!by_default && !hold(manifest->only, with_helper)) continue;  // a file of a setting that has no default
    auto made = render(by_default ? Settings{} : with_helper, {&file, 1});
    ASSERT_TRUE(made) << made.error().message();
    std::multiset<std::string> from_render, as_it_is;
    for (const Document& one : *made) from_render.insert(text_of(YAML::Load(one.text)));
    for (const YAML::Node& one : YAML::LoadAll(std::string(file.text))) as_it_is.insert(text_of(one));
    EXPECT_EQ(from_render, as_it_is) << file.path;
  }
}

TEST(Manifests, a_yaml_parser_sees_the_same_objects_for_every_combination_of_settings) {
  for (const Settings& settings : combinations()) {
    SCOPED_TRACE(to_json(settings));
    std::set<std::string> seen;
    for (const Document& one : documents(settings)) {
      SCOPED_TRACE(one.kind + " " + one.name);
      const YAML::Node node = YAML::Load(one.text);
      EXPECT_EQ(node["apiVersion"].as<std::string>(), one.api_version);
      EXPECT_EQ(node["kind"].as<std::string>(), one.kind);
      EXPECT_EQ(node["metadata"]["name"].as<std::string>(), one.name);
      EXPECT_EQ(node["metadata"]["namespace"].as<std::string>(""), one.name_space);
      const YAML::Node labels = node["metadata"]["labels"];
      EXPECT_EQ(labels["app.kubernetes.io/component"].as<std::string>(), one.component);
      EXPECT_EQ(labels["app.kubernetes.io/part-of"].as<std::string>(), "enclayer");
      EXPECT_EQ(labels["app.kubernetes.io/managed-by"].as<std::string>(), "enclayer");
      EXPECT_TRUE(seen.insert(one.kind + "/" + one.name_space + "/" + one.name).second) << "twice";
      EXPECT_EQ(YAML::LoadAll(one.text).size(), 1U);
    }
    std::vector<Document> all = documents(settings);
    EXPECT_EQ(YAML::LoadAll(to_yaml(all)).size(), all.size());
  }
}

TEST(Manifests, no_default_survives_where_a_setting_says_otherwise) {
  for (const Settings& settings : combinations())
    for (const Document& one : documents(settings)) {
      SCOPED_TRACE(one.file + ", " + to_json(settings));
      std::string values;  // without the comments for people
      std::istringstream in(one.text);
      for (std::string line; std::getline(in, line);)
        if (line.find_first_not_of(' ') == std::string::npos || line[line.find_first_not_of(' ')] != '#')
          values += line + "\n";
      for (const char* word : {"enclayer-system",
                               "localhost/",
                               "IfNotPresent",
                               "8Gi",
                               "pccs.example",
                               "per-minute=60",
                               "quote-limit=110",
                               "? 8192 :",
                               "provision-limit=110",
                               ":9410",
                               "9411",
                               "max-epc=64Gi",
                               "reserve-epc=64Mi",
                               "log-level=debug",
                               "500m",
                               "container_device_plugin_t",
                               "attest-tls",
                               "attested-secrets",
                               "attested-policies",
                               "vault.example",
                               ": vault-token",
                               "00606a000000",
                               "=> permit()",
                               "# set",
                               "# when",
                               "# end",
                               "#+"})
        EXPECT_THAT(values, Not(HasSubstr(word)));
    }
}

TEST(Manifests, everything_that_can_be_set_is_set_somewhere_and_every_condition_is_used) {
  std::set<std::string> used;
  for (const ManifestFile& file : manifest_files()) {
    const auto manifest = parse_manifest(file);
    for (const Condition& one : manifest->only) used.insert(std::string(one.name));
    for (const Line& line : manifest->lines) {
      for (const Place& place : line.places) used.insert(std::string(place.value->name));
      for (const Condition& one : line.when) used.insert(std::string(one.name));
    }
  }
  for (const Value& value : values()) EXPECT_TRUE(used.contains(std::string(value.name))) << value.name;
  used.merge(std::set<std::string>{"dcapImage", "resources", "attestationIssuer"});  // in helperImage, ...
  for (const Setting& rule : setting_table()) EXPECT_TRUE(used.contains(std::string(rule.name))) << rule.name;
}

TEST(Manifests, what_others_need_comes_first) {
  Settings settings;
  settings.quote_helper = true;
  settings.qcnl_conf = "{}";
  std::vector<std::string> kinds;
  for (const Document& one : documents(settings)) kinds.push_back(one.kind);
  auto first = [&](const char* kind) { return std::find(kinds.begin(), kinds.end(), kind) - kinds.begin(); };
  EXPECT_EQ(first("Namespace"), 0);
  EXPECT_EQ(first("PriorityClass"), 1);
  EXPECT_LT(first("ServiceAccount"), first("ConfigMap"));
  EXPECT_LT(first("ConfigMap"), first("DaemonSet"));
  EXPECT_EQ(kinds.back(), "DaemonSet");
}

TEST(Manifests, the_quote_helper_is_there_when_it_was_asked_for_only) {
  Settings settings;
  for (const Document& one : documents(settings)) EXPECT_NE(one.component, "quote-helper");
  settings.quote_helper = true;
  const YAML::Node pod = pod_of(settings, "enclayer-quote-helper");
  EXPECT_EQ(pod["containers"][0]["image"].as<std::string>(), helper_image(settings));
}

TEST(Manifests, mounts_become_quotes_where_there_is_a_helper_also_for_kustomize) {
  auto helper = [](bool on) {
    Settings settings;
    settings.quote_helper = on;
    return parsed(documents(settings), "MutatingAdmissionPolicy", "enclayer-quote")["spec"]["variables"][0];
  };
  EXPECT_EQ(helper(false)["name"].as<std::string>(), "helper");
  EXPECT_EQ(helper(false)["expression"].as<std::string>(), "false");
  EXPECT_EQ(helper(true)["expression"].as<std::string>(), "true");
  const std::string patches = base::read_text(kFolder / "quote-helper" / "kustomization.yaml", 1 << 20).value();
  EXPECT_THAT(patches, HasSubstr("name: enclayer-quote}\n    patch: |-\n"
                                 "      - {op: replace, path: /spec/variables/0/expression, value: \"true\"}\n"));
}

TEST(Manifests, the_helper_asks_for_epc_by_worker_and_for_a_provisioning_device_of_its_own) {
  Settings settings;
  settings.quote_helper = true;
  settings.workers = 4;
  const YAML::Node limits = pod_of(settings, "enclayer-quote-helper")["containers"][0]["resources"]["limits"];
  EXPECT_EQ(limits["kubernetes.azure.com/sgx_epc_mem_in_MiB"].as<int>(), 20);
  EXPECT_EQ(limits["enclayer.io/quote-helper-provision"].as<int>(), 1);
  EXPECT_FALSE(limits["sgx.intel.com/provision"]) << "pods could take it away";
  EXPECT_EQ(limits["memory"].as<std::string>(), "896Mi");
}

TEST(Manifests, a_standby_is_the_same_container_once_more_but_for_its_port) {
  for (Settings settings : combinations()) {
    if (!settings.quote_helper) continue;
    SCOPED_TRACE(to_json(settings));
    const YAML::Node containers = pod_of(settings, "enclayer-quote-helper")["containers"];
    ASSERT_EQ(containers.size(), settings.standby ? 2U : 1U);
    const YAML::Node helper = containers[0];
    EXPECT_EQ(helper["name"].as<std::string>(), "quote-helper");
    if (!settings.standby) continue;
    const YAML::Node standby = containers[1];
    EXPECT_EQ(standby["name"].as<std::string>(), "standby");
    EXPECT_EQ(helper.size(), standby.size());
    for (const auto& field : helper) {
      const auto key = field.first.as<std::string>();
      const std::string one = text_of(field.second);
      std::string other = text_of(standby[key]);
      if (key == "name") continue;
      for (const auto& [theirs, ours] : {std::pair{"9501", "9500"}, {"metrics-2", "metrics"}})
        for (std::size_t at; (at = other.find(theirs)) != other.npos;)
          other.replace(at, std::string(theirs).size(), ours);
      EXPECT_EQ(one, other) << key;
      EXPECT_EQ(one == text_of(standby[key]), key != "env" && key != "ports" && !key.ends_with("Probe")) << key;
    }
  }
}

TEST(Manifests, how_many_may_have_quotes_and_how_often_reaches_plugin_and_helper) {
  Settings settings;
  settings.quote_helper = true;
  EXPECT_THAT(args(pod_of(settings, "enclayer-device-plugin")), Contains("--quote-limit=110"));
  EXPECT_THAT(args(pod_of(settings, "enclayer-quote-helper")), Contains("--slots-dir=/var/run/enclayer/quotes"));
  EXPECT_THAT(args(pod_of(settings, "enclayer-quote-helper")), Not(Contains(HasSubstr("quotes-per-minute"))));
  settings.quote_slots = 7, settings.quotes_per_minute = 60;
  EXPECT_THAT(args(pod_of(settings, "enclayer-device-plugin")), Contains("--quote-limit=7"));
  EXPECT_THAT(args(pod_of(settings, "enclayer-quote-helper")), Contains("--quotes-per-minute=60"));
}

TEST(Manifests, the_provisioning_device_is_offered_to_nobody_unless_somebody_was_meant_to_have_it) {
  auto offered = [](bool helper, bool in_proc) {
    Settings settings;
    settings.quote_helper = helper, settings.in_proc_attestation = in_proc;
    std::vector<std::string> out;
    for (const std::string& arg : args(pod_of(settings, "enclayer-device-plugin")))
      if (arg.find("provision") != std::string::npos) out.push_back(arg);
    return out;
  };
  const std::string own = "--helper-provision-limit=4";  // helper and standby, and both again in an update
  EXPECT_THAT(offered(false, false), IsEmpty());
  EXPECT_THAT(offered(true, false), ElementsAre(own));
  EXPECT_THAT(offered(false, true), ElementsAre("--provision-limit=110"));
  EXPECT_THAT(offered(true, true), ElementsAre(own, "--provision-limit=110"));
}

TEST(Manifests, what_is_said_of_a_node_s_epc_reaches_the_plugin_and_by_default_nothing_is) {
  Settings settings;
  const auto by_default = args(pod_of(settings, "enclayer-device-plugin"));
  for (const char* flag : {"--max-epc", "--reserve-epc", "--numa", "--cdi", "--account-mapped", "--log-level"})
    EXPECT_THAT(by_default, Not(Contains(HasSubstr(flag))));
  settings.epc_cap = "3Gi", settings.epc_reserve = "5Mi", settings.log_level = "error";
  settings.numa = settings.cdi = settings.account_mapped = settings.provision_with_epc = true;
  settings.in_proc_attestation = true, settings.provision_limit = 8;
  const auto all = args(pod_of(settings, "enclayer-device-plugin"));
  for (const char* flag : {"--max-epc=3Gi", "--reserve-epc=5Mi", "--numa", "--cdi", "--account-mapped",
                           "--log-level=error", "--provision-with-epc", "--provision-limit=8"})
    EXPECT_THAT(all, Contains(flag));
}

TEST(Manifests, probes_find_the_port_of_the_metrics_wherever_it_is) {
  Settings settings;
  settings.quote_helper = true, settings.metrics_port = 9500;
  const YAML::Node plugin = pod_of(settings, "enclayer-device-plugin");
  EXPECT_THAT(args(plugin), Contains("--metrics-listen=[$(POD_IP)]:9500"));
  EXPECT_EQ(plugin["containers"][0]["ports"][0]["containerPort"].as<int>(), 9500);
  const YAML::Node helper = pod_of(settings, "enclayer-quote-helper")["containers"];
  for (int i : {0, 1}) {
    EXPECT_EQ(helper[i]["ports"][0]["containerPort"].as<int>(), 9500 + i);
    EXPECT_THAT(text_of(helper[i]["env"]), HasSubstr(std::to_string(9500 + i)));
  }
}

TEST(Manifests, containers_get_slots_and_an_aesmds_folder_only_where_somebody_says_that_there_is_one) {
  using testing::Contains, testing::Not;
  Settings settings;
  settings.external_aesmd = true;
  YAML::Node plugin = pod_of(settings, "enclayer-device-plugin");
  EXPECT_THAT(args(plugin), Contains("--aesmd-dir=/var/run/aesmd"));
  EXPECT_THAT(args(plugin), Not(Contains(HasSubstr("--slots-dir"))));
  EXPECT_FALSE(plugin["securityContext"]["supplementalGroups"]);
  settings.external_aesmd = false;
  plugin = pod_of(settings, "enclayer-device-plugin");
  EXPECT_THAT(args(plugin), Contains("--slots-dir=/var/run/enclayer/quotes"));
  EXPECT_THAT(args(plugin), Not(Contains(HasSubstr("--aesmd-dir"))));
  EXPECT_EQ(text_of(plugin["securityContext"]["supplementalGroups"]), "[64213]");
}

TEST(Manifests, daemons_land_where_sgx_is_and_on_a_simulated_node_only_where_a_person_said_so) {
  auto terms = [](Platform platform, const char* name) {
    Settings settings;
    settings.platform = platform, settings.quote_helper = true;
    const YAML::Node pod = pod_of(settings, name);
    EXPECT_EQ(pod["nodeSelector"]["kubernetes.io/os"].as<std::string>(), "linux");
    std::vector<std::string> out;
    for (const YAML::Node& term :
         pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]) {
      std::string text;
      for (const YAML::Node& one : term["matchExpressions"]) {
        text += text.empty() ? "" : " & ";
        text += one["key"].as<std::string>() + " " + one["operator"].as<std::string>();
        for (const YAML::Node& value : one["values"]) text += " " + value.as<std::string>();
      }
      out.push_back(text);
    }
    return out;
  };
  for (const char* name : {"enclayer-device-plugin", "enclayer-quote-helper"}) {
    EXPECT_THAT(terms(Platform::kHardware, name),
                ElementsAre("enclayer.io/sgx In true & enclayer.io/platform NotIn sim",
                            "intel.feature.node.kubernetes.io/sgx In true", "sgx.intel.com/capable In true",
                            "feature.node.kubernetes.io/cpu-security.sgx.enabled In true",
                            "alibabacloud.com/tee-hardware-category In intel-sgx1 intel-sgx2", "tee In sgx"));
    EXPECT_THAT(terms(Platform::kSim, name),
                ElementsAre("enclayer.io/sim In true & enclayer.io/sgx In true & enclayer.io/platform In sim"));
  }
}

TEST(Manifests, plugin_and_helper_tolerate_the_same_taints) {
  Settings settings;
  settings.quote_helper = true;
  const std::string plugin = text_of(pod_of(settings, "enclayer-device-plugin")["tolerations"]);
  EXPECT_EQ(plugin, text_of(pod_of(settings, "enclayer-quote-helper")["tolerations"]));
  for (const char* key : {"kubernetes.azure.com/sgx_epc_mem_in_MiB", "openenclave.io/sgx_epc_MiB",
                          "alibabacloud.com/sgx_epc_MiB", "sgx.intel.com/epc", "kubernetes.azure.com/scalesetpriority"})
    EXPECT_THAT(plugin, HasSubstr(std::string(key) + ", operator: Exists, effect: NoSchedule"));
}

TEST(Manifests, selectors_are_the_name_alone_and_pods_say_whose_they_are) {
  for (const Settings& settings : combinations())
    for (const Document& one : documents(settings)) {
      if (one.kind != "DaemonSet" && one.kind != "Deployment") continue;
      const YAML::Node spec = YAML::Load(one.text)["spec"];
      EXPECT_EQ(spec["selector"]["matchLabels"].size(), 1U) << "it can never be changed: as little as possible";
      EXPECT_EQ(spec["selector"]["matchLabels"]["app.kubernetes.io/name"].as<std::string>(), one.name);
      const YAML::Node labels = spec["template"]["metadata"]["labels"];
      EXPECT_EQ(labels["app.kubernetes.io/name"].as<std::string>(), one.name);
      EXPECT_EQ(labels["app.kubernetes.io/managed-by"].as<std::string>(), "enclayer");
      EXPECT_EQ(labels["app.kubernetes.io/component"].as<std::string>(), one.component);
    }
}

TEST(Manifests, policies_and_images_are_of_this_version) {
  int policies = 0;
  const auto all = render(Settings()).value();
  for (const Document& document : all) {
    if (!document.kind.ends_with("AdmissionPolicy")) continue;
    policies++;
    EXPECT_EQ(YAML::Load(document.text)["metadata"]["annotations"]["enclayer.io/version"].as<std::string>(""),
              base::kVersion)
        << document.name;
  }
  EXPECT_EQ(policies, 7);
  EXPECT_TRUE(Settings().image.ends_with(":" + std::string(base::kVersion))) << Settings().image;
}

TEST(Manifests, a_priority_class_of_ours_preempts_nobody) {
  const YAML::Node priority = parsed(documents({}), "PriorityClass", "enclayer-node");
  EXPECT_EQ(priority["preemptionPolicy"].as<std::string>(), "Never");
  EXPECT_FALSE(priority["globalDefault"].as<bool>());
}

TEST(Manifests, the_plugin_leaves_before_its_successor_and_the_helper_after) {
  Settings settings;
  settings.quote_helper = true;
  auto rolling = [&](const char* name) {
    return parsed(documents(settings), "DaemonSet", name)["spec"]["updateStrategy"]["rollingUpdate"];
  };
  EXPECT_EQ(rolling("enclayer-device-plugin")["maxSurge"].as<int>(), 0);
  EXPECT_EQ(rolling("enclayer-device-plugin")["maxUnavailable"].as<int>(), 1);
  EXPECT_EQ(rolling("enclayer-quote-helper")["maxSurge"].as<int>(), 1);
  EXPECT_EQ(rolling("enclayer-quote-helper")["maxUnavailable"].as<int>(), 0);
}

// ---- Rights: nothing that the documents do not list. ----

struct Rights {
  std::set<std::string> host_paths;  // "PATH" or "PATH read-only"
  std::set<std::string> capabilities;
};

Rights rights_of(const YAML::Node& pod) {
  Rights out;
  std::map<std::string, bool> writable;
  for (const char* kind : {"containers", "initContainers"})
    for (const YAML::Node& container : pod[kind]) {
      for (const YAML::Node& mount : container["volumeMounts"])
        if (!mount["readOnly"].as<bool>(false)) writable[mount["name"].as<std::string>()] = true;
      for (const YAML::Node& one : container["securityContext"]["capabilities"]["add"])
        out.capabilities.insert(one.as<std::string>());
    }
  for (const YAML::Node& volume : pod["volumes"])
    if (volume["hostPath"])
      out.host_paths.insert(volume["hostPath"]["path"].as<std::string>() +
                            (writable[volume["name"].as<std::string>()] ? "" : " read-only"));
  return out;
}

TEST(ManifestRights, plugin_and_helper_take_from_the_host_what_the_documents_list) {
  for (const Settings& settings : combinations()) {
    SCOPED_TRACE(to_json(settings));
    const Rights plugin = rights_of(pod_of(settings, "enclayer-device-plugin"));
    std::set<std::string> expected = {"/var/lib/kubelet/device-plugins", "/dev read-only", "/var/run/enclayer",
                                      "/var/lib/kubelet/pod-resources read-only",
                                      "/var/lib/kubelet/plugins/sgx.enclayer.io"};
    if (settings.external_aesmd) expected.insert("/var/run/aesmd read-only");
    if (settings.cdi) expected.insert("/var/run/cdi");
    EXPECT_EQ(plugin.host_paths, expected);
    EXPECT_EQ(plugin.capabilities,
              settings.account_mapped ? std::set<std::string>{"SYS_PTRACE"} : std::set<std::string>());
    if (!settings.dra_epc.empty()) {
      const Rights driver = rights_of(pod_of(settings, "enclayer-dra-driver"));
      EXPECT_THAT(driver.host_paths,
                  UnorderedElementsAre("/var/lib/kubelet/plugins_registry", "/var/lib/kubelet/plugins/sgx.enclayer.io",
                                       "/var/run/cdi", "/var/run/enclayer", "/dev read-only"));
      EXPECT_EQ(driver.capabilities, std::set<std::string>());
    }
    if (!settings.quote_helper) continue;
    const Rights helper = rights_of(pod_of(settings, "enclayer-quote-helper"));
    EXPECT_THAT(helper.host_paths, UnorderedElementsAre("/var/run/aesmd", "/var/run/enclayer", "/var/lib/enclayer"));
    EXPECT_THAT(helper.capabilities, UnorderedElementsAre("SETUID", "SETGID"));
    EXPECT_EQ(text_of(pod_of(settings, "enclayer-quote-helper")["securityContext"]["supplementalGroups"]), "[64213]")
        << "without CHOWN, folders are given to a group that user 0 is in";
  }
  const std::string plugin_page =
      base::read_text(fs::path(ENCLAYER_SOURCE_DIR) / "docs/device-plugin.md", 1 << 20).value();
  for (const char* path :
       {"/var/lib/kubelet/device-plugins", "`/dev`", "`/var/run/enclayer`", "`/var/run/aesmd`",
        "/var/lib/kubelet/pod-resources", "`/var/run/cdi`", "/var/lib/kubelet/plugins/sgx.enclayer.io",
        "`hostPID: true` and `CAP_SYS_PTRACE`", "supplementalGroups: [64213]"})
    EXPECT_THAT(plugin_page, HasSubstr(path));
  const std::string helper_page =
      base::read_text(fs::path(ENCLAYER_SOURCE_DIR) / "docs/quote-helper.md", 1 << 20).value();
  for (const char* word : {"/var/run/aesmd", "/var/lib/enclayer", "SETUID and SETGID"})
    EXPECT_THAT(helper_page, HasSubstr(word));
}

TEST(ManifestRights, detector_looks_at_the_host_and_has_two_rights_that_policies_bound) {
  const Rights detector = rights_of(pod_of({}, "enclayer-detect"));
  EXPECT_THAT(detector.host_paths, UnorderedElementsAre("/dev read-only", "/var/run/enclayer/troubles read-only"));
  EXPECT_EQ(detector.capabilities, std::set<std::string>());
  const auto all = documents({});
  std::set<std::string> rights;
  for (const YAML::Node& rule : parsed(all, "ClusterRole", "enclayer-detect")["rules"])
    for (const YAML::Node& resource : rule["resources"])
      rights.insert(resource.as<std::string>() + " " + text_of(rule["verbs"]));
  EXPECT_THAT(rights, UnorderedElementsAre("nodes [get, patch]", "events [create, patch]"));
  for (const char* policy : {"enclayer-own-node", "enclayer-own-events"}) {
    EXPECT_EQ(parsed(all, "ValidatingAdmissionPolicy", policy)["spec"]["failurePolicy"].as<std::string>(), "Fail");
    EXPECT_EQ(text_of(parsed(all, "ValidatingAdmissionPolicyBinding", policy)["spec"]["validationActions"]), "[Deny]");
  }
}

TEST(ManifestRights, what_is_wrong_is_left_where_the_detector_looks) {
  Settings settings;
  settings.quote_helper = true;
  for (const char* name : {"enclayer-device-plugin", "enclayer-quote-helper", "enclayer-detect"})
    EXPECT_THAT(args(pod_of(settings, name)), testing::Contains("--troubles-dir=/var/run/enclayer/troubles")) << name;
}

TEST(ManifestRights, no_pod_of_ours_is_privileged_or_shares_what_belongs_to_the_host) {
  for (const Settings& settings : combinations())
    for (const Document& one : documents(settings)) {
      if (one.kind != "DaemonSet" && one.kind != "Deployment") continue;
      SCOPED_TRACE(one.name);
      const YAML::Node pod = YAML::Load(one.text)["spec"]["template"]["spec"];
      for (const char* shared : {"hostNetwork", "hostIPC"}) EXPECT_FALSE(pod[shared].as<bool>(false)) << shared;
      EXPECT_EQ(pod["hostPID"].as<bool>(false), settings.account_mapped && one.component == "device-plugin");
      EXPECT_EQ(pod["securityContext"]["seccompProfile"]["type"].as<std::string>(), "RuntimeDefault");
      EXPECT_EQ(pod["priorityClassName"].as<std::string>(), settings.priority_class);
      if (one.component != "claim-templates" && one.component != "detect" && one.component != "dra-driver" &&
          one.component != "attestation-service") {
        EXPECT_FALSE(pod["automountServiceAccountToken"].as<bool>(true));
      }
      for (const char* kind : {"containers", "initContainers"})
        for (const YAML::Node& container : pod[kind]) {
          const YAML::Node security = container["securityContext"];
          EXPECT_FALSE(security["privileged"].as<bool>(false));
          EXPECT_FALSE(security["allowPrivilegeEscalation"].as<bool>(true));
          EXPECT_TRUE(security["readOnlyRootFilesystem"].as<bool>(false));
          EXPECT_EQ(text_of(security["capabilities"]["drop"]), "[ALL]");
          for (const YAML::Node& port : container["ports"]) EXPECT_FALSE(port["hostPort"]);
          EXPECT_TRUE(container["resources"]["requests"]["cpu"]);
          EXPECT_TRUE(container["resources"]["requests"]["memory"]);
          EXPECT_TRUE(container["resources"]["limits"]["memory"]);
        }
    }
}

}  // namespace
}  // namespace enclayer::manifests
