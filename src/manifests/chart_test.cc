// SPDX-License-Identifier: Apache-2.0
#include "manifests/chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "manifests/settings.h"

namespace enclayer::manifests {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

const fs::path kChart = fs::path(ENCLAYER_SOURCE_DIR) / "deploy" / "chart";

std::vector<ChartFile> files() {
  auto made = chart();
  EXPECT_TRUE(made) << made.error().message();
  return made ? *made : std::vector<ChartFile>();
}

std::string file(const std::string& path) {
  for (const ChartFile& one : files())
    if (one.path == path) return one.text;
  ADD_FAILURE() << "the chart has no " << path;
  return "";
}

TEST(Chart, what_lies_in_the_repository_is_what_the_manifests_make) {
  std::set<std::string> made, there;
  for (const ChartFile& one : files()) {
    made.insert(one.path);
    auto text = base::read_text(kChart / one.path, 1 << 20);
    EXPECT_TRUE(text && *text == one.text) << one.path << " is stale: enclayer render --chart deploy/chart";
  }
  for (const auto& entry : fs::recursive_directory_iterator(kChart))
    if (entry.is_regular_file()) there.insert(fs::relative(entry.path(), kChart));
  EXPECT_EQ(made, there);
}

TEST(Chart, every_setting_is_a_value_that_the_schema_knows) {
  const YAML::Node values = YAML::Load(file("values.yaml"));
  const auto schema = nlohmann::json::parse(file("values.schema.json"));
  const Settings defaults;
  for (const Setting& rule : setting_table()) {
    const std::string name(rule.name);
    if (name == "namespace") continue;
    EXPECT_TRUE(values[name]) << name;
    EXPECT_TRUE(schema["properties"].contains(name)) << name;
    if (rule.has_entries()) {
      EXPECT_TRUE(schema["definitions"].contains(name)) << name;
      EXPECT_EQ(values[name].size(), 0U) << name;
      continue;
    }
    const std::string pattern = schema["properties"][name].value("pattern", "");
    EXPECT_TRUE(pattern.empty() || std::regex_match(values[name].as<std::string>(), std::regex(pattern))) << name;
  }
  EXPECT_FALSE(schema["additionalProperties"].get<bool>());
  EXPECT_EQ(values["image"].as<std::string>(), defaults.image);
  EXPECT_EQ(values["platform"].as<std::string>(), "hardware");
  EXPECT_FALSE(values["quoteHelper"].as<bool>());
  EXPECT_TRUE(values["standby"].as<bool>());
  EXPECT_EQ(schema["properties"]["quotesPerMinute"]["minimum"], 0);
  EXPECT_EQ(schema["properties"]["quoteSlots"]["minimum"], 1);
}

TEST(Chart, templates_have_values_in_the_places_and_conditions_in_the_blocks_that_manifests_mark) {
  const std::string plugin = file("templates/device-plugin.yaml");
  EXPECT_THAT(plugin, HasSubstr("          image: {{ .Values.image | quote }}\n"));
  EXPECT_THAT(plugin, HasSubstr("  namespace: {{ .Release.Namespace | quote }}\n"));
  EXPECT_THAT(plugin, HasSubstr("            - --platform={{ .Values.platform }}\n"));
  EXPECT_THAT(plugin, HasSubstr("{{- if .Values.quoteHelper }}\n"));
  EXPECT_THAT(plugin, HasSubstr("--provision-limit={{ .Values.provisionLimit }}\n"));
  EXPECT_THAT(file("templates/quote-helper.yaml"), HasSubstr("{{- if .Values.quoteHelper }}\n"));
  EXPECT_THAT(file("templates/quote-helper.yaml"), HasSubstr("{{- if .Values.standby }}\n"));
  EXPECT_THAT(file("templates/quote-helper.yaml"),
              HasSubstr("{{- if .Values.quotesPerMinute }}\n"
                        "            - --quotes-per-minute={{ .Values.quotesPerMinute }}\n"));
  EXPECT_THAT(plugin, HasSubstr("{{- with .Values.tolerations }}{{ toYaml . | nindent 8 }}{{ end }}\n"));
  EXPECT_THAT(
      plugin,
      HasSubstr("memory: {{ dig \"device-plugin\" \"limits\" \"memory\" \"64Mi\" .Values.resources | quote }}\n"));
  EXPECT_THAT(file("templates/quote-helper.yaml"), HasSubstr("sgx_epc_mem_in_MiB: {{ mul 5 .Values.workers }}\n"));
  for (const ChartFile& one : files()) {
    if (!one.path.ends_with(".yaml")) continue;
    for (const char* left : {"# set:", "# when:", "# end\n", "#+", "enclayer-system"})
      EXPECT_THAT(one.text, Not(HasSubstr(left))) << one.path;
  }
}

TEST(Chart, the_namespace_is_the_release_s) {
  for (const ChartFile& one : files()) EXPECT_THAT(one.text, Not(HasSubstr("kind: Namespace"))) << one.path;
}

}  // namespace
}  // namespace enclayer::manifests
