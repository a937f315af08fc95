// SPDX-License-Identifier: Apache-2.0
// Guards the arrows between the folders (ARCHITECTURE.md): a library may use what stands to its left, never to its
// right; a program uses libraries and what programs share; fuzzers, benchmarks and tests use no program. What users run
// knows no stand-in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "fake/temp_folder.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;

using Arrows = std::map<std::string, std::set<std::string>>;

// Folder -> the folders that it may include from. "enclayer" is include/enclayer, the public headers.
const Arrows& arrows() {
  static const Arrows kArrows = {
      {"enclayer", {}},
      {"base", {"enclayer"}},
      {"slots", {"enclayer", "base"}},
      {"troubles", {"enclayer", "base"}},
      {"net", {"enclayer", "base"}},
      {"sgx", {"enclayer", "base"}},
      {"attestation", {"enclayer", "base", "sgx"}},
      {"http", {"enclayer", "base"}},
      {"detect", {"enclayer", "base", "troubles", "sgx", "http"}},
      {"collateral", {"enclayer", "base", "attestation", "http"}},
      {"quoting", {"enclayer", "base", "sgx", "attestation"}},
      {"sim", {"enclayer", "base", "sgx", "attestation", "quoting"}},
      {"aesm", {"enclayer", "base", "sgx", "attestation", "quoting"}},
      {"helper",
       {"enclayer", "base", "slots", "troubles", "http", "net", "sgx", "attestation", "quoting", "sim", "aesm"}},
      {"kubelet", {"enclayer", "base", "net"}},
      {"device_plugin", {"enclayer", "base", "slots", "troubles", "net", "sgx", "kubelet"}},
      {"dra", {"enclayer", "base", "slots", "sgx", "http", "detect", "kubelet", "device_plugin"}},
      {"manifests", {"enclayer", "base"}},
      {"addon", {"enclayer", "base", "attestation", "http", "collateral", "manifests"}},
      {"translate", {"enclayer", "base"}},
      {"attest", {"enclayer", "base", "attestation", "http", "collateral"}},
  };
  return kArrows;
}

// Headers too heavy for our headers: only .cc files include them, and tests.
const std::set<std::string>& heavy() {
  static const std::set<std::string> kHeavy = {"grpcpp", "grpc", "boost", "nlohmann", "CLI", "google"};
  return kHeavy;
}

bool is_test(const fs::path& file) { return file.filename().string().ends_with("_test.cc"); }

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Why a file may not include "target"; empty when it may.
std::string why_not(const fs::path& root, const fs::path& file, const std::string& target) {
  const fs::path place = fs::relative(file, root);  // src/base/hex.cc
  const std::string top = *place.begin(), from = *std::next(place.begin());
  const std::string folder = target.substr(0, target.find('/'));
  const bool is_product = top == "src" || top == "include" || top == "apps";
  if (folder == target) {
    bool is_shared = (top == "apps" || from == "demo") && fs::exists(root / "apps" / target);
    is_shared |= from == "demo" && fs::exists(root / "apps/enclayer" / target);  // its commands are the program's own
    return is_shared || fs::exists(file.parent_path() / target) ? "" : "which is not beside it";
  }
  if (folder == "proto") return "";
  if (folder == "fake") return is_product && !is_test(file) ? "but the product knows no stand-ins" : "";
  if (!arrows().contains(folder)) return "but " + folder + " is no library";
  if (top != "src" && top != "include") return "";
  auto allowed = arrows().find(from);
  if (allowed == arrows().end()) return "but src/" + from + " has no arrows in architecture_test.cc";
  if (folder == "sim" && is_test(file)) return "";  // verifiers are tested with simulated evidence
  return folder == from || allowed->second.contains(folder) ? "" : "but no arrow leads from " + from + " to " + folder;
}

std::vector<std::string> broken_arrows(const fs::path& root) {
  std::vector<std::string> broken;
  for (const std::string top : {"src", "include", "apps", "fuzz", "bench", "test"}) {
    if (!fs::exists(root / top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      const fs::path& file = entry.path();
      if (file.extension() != ".h" && file.extension() != ".cc") continue;
      std::ifstream in(file);
      int number = 0;
      for (std::string line; std::getline(in, line);) {
        ++number;
        if (!line.starts_with("#include ") || line.size() < 12) continue;
        std::string target = line.substr(10, line.find_first_of("\">", 10) - 10), reason;
        if (target.ends_with(".cc"))
          reason = "a source";
        else if (line[9] == '"')
          reason = why_not(root, file, target);
        else if (file.extension() == ".h" && top != "test" && !target.ends_with("_fwd.hpp") &&
                 heavy().contains(target.substr(0, target.find('/'))))
          reason = "too heavy for a header";
        if (!reason.empty())
          broken.push_back(fs::relative(file, root).string() + ":" + std::to_string(number) + " includes " + target +
                           ", " + reason);
      }
    }
  }
  return broken;
}

// Lines of CMake by which something other than a test is built with stand-ins, in the folders of what users run.
std::vector<std::string> linked_stand_ins(const fs::path& root) {
  static const std::regex kCommand(R"((\w+)\s*\(([^()]*)\))"), kComment("#[^\n]*");
  std::vector<std::string> found;
  for (const char* top : {"src", "apps"})
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      if (entry.path().filename() != "CMakeLists.txt") continue;
      const std::string text = std::regex_replace(text_of(entry.path()), kComment, "");
      for (std::sregex_iterator it(text.begin(), text.end(), kCommand), end; it != end; ++it)
        if ((*it)[1] != "enclayer_test" && (*it)[2].str().find("enclayer_fake") != std::string::npos)
          found.push_back(fs::relative(entry.path(), root).string() + ": " + it->str());
    }
  return found;
}

TEST(Architecture, every_include_follows_an_arrow) {
  for (const std::string& line : broken_arrows(ENCLAYER_SOURCE_DIR)) ADD_FAILURE() << line;
}

TEST(Architecture, what_users_run_links_no_stand_in) {
  for (const std::string& line : linked_stand_ins(ENCLAYER_SOURCE_DIR)) ADD_FAILURE() << line;
}

TEST(Architecture, whatever_breaks_the_rules_would_be_found) {
  fake::TempFolder tree;
  auto write = [&](const char* name, const char* text) {
    fs::create_directories((tree.path() / name).parent_path());
    std::ofstream(tree.path() / name) << text;
  };
  write("src/base/a.h", "#include \"http/server.h\"\n");
  write("src/base/b.h", "#include <nlohmann/json.hpp>\n");
  write("src/base/c.cc", "#include <nlohmann/json.hpp>\n#include \"base/hex.h\"\n#include \"enclayer/error.h\"\n");
  write("src/base/c_test.cc", "#include \"fake/process.h\"\n");
  write("src/base/d.cc", "#include \"fake/process.h\"\n");
  write("src/base/l.cc", "#include \"base/c.cc\"\n");
  write("src/elsewhere/e.h", "#include \"base/hex.h\"\n");
  write("include/enclayer/f.h", "#include \"base/hex.h\"\n");
  write("apps/shared.h", "");
  write("apps/one/one.h", "#include \"shared.h\"\n#include \"kubelet/plugin.h\"\n");
  write("apps/two/g.cc", "#include \"one.h\"\n");
  write("apps/two/h.cc", "#include \"fake/process.h\"\n");
  write("fuzz/i_fuzz.cc", "#include \"shared.h\"\n#include \"fake/framed.h\"\n#include \"net/frame.h\"\n");
  write("bench/load/j.cc", "#include \"one/one.h\"\n");
  write("test/integration/k_test.cc", "#include \"apps/one/one.h\"\n#include \"fake/process.h\"\n");
  std::vector<std::string> files;
  for (const std::string& line : broken_arrows(tree.path())) files.push_back(line.substr(0, line.find(" includes")));
  EXPECT_THAT(files, testing::UnorderedElementsAre("src/base/a.h:1", "src/base/b.h:1", "src/base/d.cc:1",
                                                   "src/base/l.cc:1", "src/elsewhere/e.h:1", "include/enclayer/f.h:1",
                                                   "apps/two/g.cc:1", "apps/two/h.cc:1", "fuzz/i_fuzz.cc:1",
                                                   "bench/load/j.cc:1", "test/integration/k_test.cc:1"));

  write("src/base/CMakeLists.txt",
        "# enclayer_fake\nenclayer_test(t SOURCES\n  t.cc DEPS enclayer_fake)\nenclayer_library(base DEPS "
        "enclayer_net)\n");
  write("apps/one/CMakeLists.txt", "target_link_libraries(one PRIVATE\n  enclayer_fake_kubelet)\n");
  EXPECT_THAT(linked_stand_ins(tree.path()),
              testing::ElementsAre(testing::StartsWith("apps/one/CMakeLists.txt: target_link_libraries")));
}

TEST(Architecture, libraries_read_no_clock_and_no_environment) {
  // steady_clock is for deadlines and fine; what the wall clock says is passed in. Only the log says when a line was
  // written.
  for (const char* top : {"src", "include"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(ENCLAYER_SOURCE_DIR) / top)) {
      if ((entry.path().extension() != ".cc" && entry.path().extension() != ".h") || is_test(entry.path())) continue;
      if (entry.path().filename() == "log.cc") continue;
      const std::string text = text_of(entry.path());
      for (const char* word : {"system_clock::now", "getenv(", "::time(nullptr)", "gettimeofday", "CLOCK_REALTIME"})
        EXPECT_EQ(text.find(word), std::string::npos)
            << entry.path() << " uses " << word << "; main passes such things in";
    }
}

}  // namespace
}  // namespace enclayer
