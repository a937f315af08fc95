// SPDX-License-Identifier: Apache-2.0
// `enclayer render`, the real binary: manifests and chart on standard output and in folders, without a cluster.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "fake/process.h"
#include "fake/temp_folder.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;
using fake::Finished;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Finished render(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {ENCLAYER_BIN_DIR "/enclayer", "render"});
  return fake::run(arguments);
}

std::string text(const fs::path& path) {
  auto read = base::read_text(path, 1 << 20);
  EXPECT_TRUE(read) << read.error().message();
  return read ? *read : "";
}

std::set<std::string> files_in(const fs::path& folder) {
  std::set<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) out.insert(fs::relative(entry.path(), folder));
  return out;
}

TEST(RenderCommand, manifests_for_the_default_settings_go_to_standard_output) {
  const Finished done = render({});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(done.err, "");
  EXPECT_THAT(done.out, StartsWith("---\napiVersion: v1\nkind: Namespace\n"));
  EXPECT_THAT(done.out, HasSubstr("\n  name: enclayer-device-plugin\n"));
  EXPECT_THAT(done.out, Not(HasSubstr("\n  name: enclayer-quote-helper\n"))) << "nobody asked for it";
  EXPECT_EQ(render({}).out, done.out) << "the same settings, the same text";
}

TEST(RenderCommand, every_flag_reaches_the_manifests) {
  const Finished done =
      render({"--enable-sgxquotehelper", "--in-proc-attestation", "--namespace", "sgx", "--image",
              "r.example/enclayer:7", "--dcap-image", "r.example/mine:8", "--image-pull-policy", "Never", "--pccs-url",
              "https://pccs.example/", "--workers", "2", "--quotes-per-minute", "30", "--quote-slots", "200"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  for (const char* word : {"name: enclayer-quote-helper\n", "--provision-limit=110\n", "namespace: sgx\n",
                           "image: r.example/enclayer:7\n", "image: r.example/mine:8\n", "imagePullPolicy: Never\n",
                           "--pccs-url=https://pccs.example/\"\n", "--workers=2\n", "sgx_epc_mem_in_MiB: 10\n",
                           "--quotes-per-minute=30\n", "--quote-limit=200\n", "name: standby\n"})
    EXPECT_THAT(done.out, HasSubstr(word));
  const Finished alone = render({"--enable-sgxquotehelper", "--disable-standby"});
  EXPECT_THAT(alone.out, HasSubstr("name: enclayer-quote-helper\n"));
  EXPECT_THAT(alone.out, Not(HasSubstr("name: standby\n")));
  const Finished plugin = render({"--epc-cap", "9Gi", "--epc-reserve", "1Gi", "--numa", "--cdi", "--account-mapped",
                                  "--metrics-port", "9999", "--log-level", "warn", "--priority-class", "mine",
                                  "--in-proc-attestation", "--provision-limit", "9", "--provision-with-epc"});
  for (const char* word : {"- --max-epc=9Gi\n", "- --reserve-epc=1Gi\n", "- --numa\n", "- --cdi\n",
                           "- --account-mapped\n", "]:9999\n", "- --log-level=warn\n", "priorityClassName: mine\n",
                           "--provision-limit=9\n", "- --provision-with-epc\n", "hostPID: true\n", "add: [SYS_PTRACE]"})
    EXPECT_THAT(plugin.out, HasSubstr(word));
  const Finished pods = render(
      {"--toleration", "dedicated=sgx:NoSchedule", "--toleration", ":NoExecute", "--node-selector", "pool=a",
       "--image-pull-secret", "registry", "--pod-label", "team=x", "--pod-annotation", "note=a: \"b\"\n{{ c }}",
       "--resources", "device-plugin.limits.memory=256Mi", "--selinux-type", "spc_t", "--metrics-from", "name=mon"});
  EXPECT_EQ(pods.exit_code, 0) << pods.err;
  for (const char* word : {"{effect: \"NoSchedule\", key: \"dedicated\", operator: \"Equal\", value: \"sgx\"}\n",
                           "{effect: \"NoExecute\", operator: \"Exists\"}\n", "\"pool\": \"a\"\n",
                           "{name: \"registry\"}\n", "\"team\": \"x\"\n", "\"note\": \"a: \\\"b\\\"\\n{{ c }}\"\n",
                           "memory: \"256Mi\"\n", "type: spc_t\n", "\"name\": \"mon\"\n"})
    EXPECT_THAT(pods.out, HasSubstr(word));
  const std::string digest = "@sha256:" + std::string(64, 'a');
  for (const std::string& image : {"r.example/enclayer" + digest, "r.example/enclayer:1" + digest})
    EXPECT_THAT(render({"--image", image}).out, HasSubstr("image: " + image + "\n"));
  const Finished off = render({"--disable-metrics", "--enable-sgxquotehelper"});
  EXPECT_THAT(off.out, HasSubstr("--metrics-listen=127.0.0.1:9410"));
  EXPECT_THAT(off.out, Not(HasSubstr("containerPort")));
  const Finished sim = render({"--platform", "sim", "--sim-epc", "3Gi"});
  EXPECT_THAT(sim.out, HasSubstr("--sim-epc=3Gi\n"));
}

TEST(RenderCommand, a_configuration_of_the_provider_becomes_a_config_map) {
  fake::TempFolder folder;
  std::ofstream(folder.path() / "qcnl.conf") << "{\n  \"use_secure_cert\": false\n}\n";
  const Finished done = render({"--enable-sgxquotehelper", "--qcnl-conf", folder.path() / "qcnl.conf"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("sgx_default_qcnl.conf: \"{\\n  \\\"use_secure_cert\\\": false\\n}\\n\"\n"));
}

TEST(RenderCommand, a_folder_gets_a_file_for_each_part_and_a_kustomization_that_lists_them) {
  fake::TempFolder folder;
  const fs::path out = folder.path() / "new" / "enclayer";
  const Finished done = render({"--enable-sgxquotehelper", "--output-dir", out});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(done.out, "");
  std::set<std::string> names = files_in(out);
  EXPECT_TRUE(names.contains("device-plugin.yaml"));
  EXPECT_TRUE(names.contains("quote-helper.yaml"));
  const std::string list = text(out / "kustomization.yaml");
  names.erase("kustomization.yaml");
  for (const std::string& name : names) EXPECT_THAT(list, HasSubstr("  - " + name + "\n"));
  EXPECT_EQ(static_cast<std::size_t>(std::count(list.begin(), list.end(), '\n')), names.size() + 3) << "nothing else";
}

TEST(RenderCommand, what_the_cluster_does_not_know_is_left_out) {
  for (const char* version : {"1.35", "v1.35.4", "1.35.2-eks-1"}) {
    const Finished done = render({"--kubernetes", version});
    EXPECT_EQ(done.exit_code, 0) << done.err;
    EXPECT_THAT(done.out, Not(HasSubstr("kind: MutatingAdmissionPolicy")));
    EXPECT_THAT(done.out, HasSubstr("kind: ValidatingAdmissionPolicy\n"));
  }
  EXPECT_THAT(render({"--kubernetes", "1.29"}).out, Not(HasSubstr("kind: ClusterRoleBinding")));
  EXPECT_EQ(render({"--kubernetes", "1.36"}).out, render({}).out);
}

TEST(RenderCommand, the_chart_in_the_repository_is_what_it_writes) {
  fake::TempFolder folder;
  const Finished done = render({"--chart", folder.path() / "chart"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  const fs::path ours = fs::path(ENCLAYER_SOURCE_DIR) / "deploy" / "chart";
  EXPECT_EQ(files_in(folder.path() / "chart"), files_in(ours));
  for (const std::string& name : files_in(ours)) EXPECT_EQ(text(folder.path() / "chart" / name), text(ours / name));
}

TEST(RenderCommand, what_makes_no_sense_is_refused_with_flag_value_and_remedy) {
  struct Case {
    std::vector<std::string> flags;
    int exit_code;
    std::string word;
  };
  for (const auto& [flags, exit_code, word] : std::vector<Case>{
           {{"--namespace", "SGX"}, 1, "--namespace SGX is no namespace"},
           {{"--platform", "tdx"}, 1, "--platform tdx"},
           {{"--image", "enclayer"}, 1, "--image enclayer"},
           {{"--image", "UPPER/x:1"}, 1, "--image UPPER/x:1 is no image reference"},
           {{"--kubernetes", "new"}, 1, "--kubernetes new is no version"},
           {{"--kubernetes", "2.1"}, 1, "--kubernetes 2.1 is no version"},
           {{"--pod-label", "app.kubernetes.io/name=x"}, 1, "is one of the add-on's own labels"},
           {{"--toleration", "a:Never"}, 1, "--toleration Never is none of: NoSchedule"},
           {{"--resources", "detect.limits.cpu"}, 1, "--resources detect.limits.cpu is not of the form"},
           {{"--workers", "0"}, 1, "--workers 0"},
           {{"--workers", "many"}, 1, "--workers"},
           {{"--quotes-per-minute", "100001"}, 1, "--quotes-per-minute 100001 is no number from 0 to 100000"},
           {{"--quote-slots", "0"}, 1, "--quote-slots 0 is no number from 1 to 1000"},
           {{"--standby", "--disable-standby"}, 1, "--disable-standby"},
           {{"--pccs-url", "https://a/", "--qcnl-conf", "x"}, 1, "--qcnl-conf"},
           {{"--qcnl-conf", "/nowhere/qcnl.conf"}, 3, "/nowhere/qcnl.conf"},
           {{"--output-dir", "/proc/enclayer"}, 3, "/proc/enclayer"},
           {{"--disable-sgxquotehelper"}, 1, "--disable-sgxquotehelper"},
           {{"--output-dir", "a", "--chart", "b"}, 1, "--chart"},
       }) {
    const Finished done = render(flags);
    EXPECT_EQ(done.exit_code, exit_code) << word << ": " << done.err;
    EXPECT_EQ(done.out, "");
    EXPECT_THAT(done.err, HasSubstr(word));
  }
}

}  // namespace
}  // namespace enclayer
