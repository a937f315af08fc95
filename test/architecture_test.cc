// Guards the arrows between the libraries (ARCHITECTURE.md): a library may use what stands to its left, never to its
// right.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
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
      {"net", {"enclayer", "base"}},
      {"sgx", {"enclayer", "base"}},
      {"attestation", {"enclayer", "base", "sgx"}},
      {"http", {"enclayer", "base"}},
      {"detect", {"enclayer", "base", "sgx", "http"}},
      {"collateral", {"enclayer", "base", "attestation", "http"}},
      {"quoting", {"enclayer", "base", "sgx", "attestation"}},
      {"aesm", {"enclayer", "base", "sgx", "attestation", "quoting"}},
      {"helper", {"enclayer", "base", "slots", "http", "net", "sgx", "attestation", "quoting", "aesm"}},
      {"kubelet", {"enclayer", "base", "net"}},
      {"addon", {"enclayer", "base"}},
  };
  return kArrows;
}

// Headers too heavy for our headers: only .cc files include them.
const std::set<std::string>& heavy() {
  static const std::set<std::string> kHeavy = {"grpcpp", "grpc", "boost", "nlohmann", "CLI", "google"};
  return kHeavy;
}

bool is_test(const fs::path& file) { return file.filename().string().ends_with("_test.cc"); }

std::vector<std::string> broken_arrows(const fs::path& root) {
  std::vector<std::string> broken;
  for (const fs::path& top : {root / "src", root / "include", root / "apps"}) {
    if (!fs::exists(top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(top)) {
      const fs::path& file = entry.path();
      if (file.extension() != ".h" && file.extension() != ".cc") continue;
      std::string from = *fs::relative(file, top).begin();
      bool is_app = top.filename() == "apps";
      std::ifstream in(file);
      int number = 0;
      for (std::string line; std::getline(in, line);) {
        ++number;
        if (!line.starts_with("#include ") || line.size() < 12) continue;
        bool ours = line[9] == '"';
        std::string target = line.substr(10, line.find_first_of("\">", 10) - 10);
        std::string folder = target.substr(0, target.find('/'));
        std::string where = fs::relative(file, root).string() + ":" + std::to_string(number) + " includes " + target;
        if (!ours) {
          if (file.extension() == ".h" && heavy().contains(folder))
            broken.push_back(where + ", too heavy for a header");
          continue;
        }
        if (is_app || folder == from || folder == "proto" || folder == target) continue;
        if (folder == "fake" && is_test(file)) continue;
        auto allowed = arrows().find(from);
        if (allowed == arrows().end())
          broken.push_back(where + ", but src/" + from + " has no arrows in architecture_test.cc");
        else if (!allowed->second.contains(folder))
          broken.push_back(where + ", but no arrow leads from " + from + " to " + folder);
      }
    }
  }
  return broken;
}

TEST(Architecture, every_include_follows_an_arrow) {
  for (const std::string& line : broken_arrows(ENCLAYER_SOURCE_DIR)) ADD_FAILURE() << line;
}

TEST(Architecture, a_broken_arrow_and_a_heavy_header_would_be_found) {
  fake::TempFolder tree;
  auto write = [&](const char* name, const char* text) {
    fs::create_directories((tree.path() / name).parent_path());
    std::ofstream(tree.path() / name) << text;
  };
  write("src/base/a.h", "#include \"http/server.h\"\n");
  write("src/base/b.h", "#include <nlohmann/json.hpp>\n");
  write("src/base/c.cc", "#include <nlohmann/json.hpp>\n#include \"base/hex.h\"\n#include \"enclayer/error.h\"\n");
  write("src/elsewhere/d.h", "#include \"base/hex.h\"\n");
  write("include/enclayer/e.h", "#include \"base/hex.h\"\n");
  EXPECT_EQ(broken_arrows(tree.path()).size(), 4u);
}

TEST(Architecture, libraries_read_no_clock_and_no_environment) {
  // steady_clock is for deadlines and fine; what the wall clock says is passed in. Only the log says when a line was
  // written.
  for (const char* top : {"src", "include"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(ENCLAYER_SOURCE_DIR) / top)) {
      if ((entry.path().extension() != ".cc" && entry.path().extension() != ".h") || is_test(entry.path())) continue;
      if (entry.path().filename() == "log.cc") continue;
      std::ifstream in(entry.path());
      std::string text{std::istreambuf_iterator<char>(in), {}};
      for (const char* word : {"system_clock::now", "getenv(", "::time(nullptr)", "gettimeofday", "CLOCK_REALTIME"})
        EXPECT_EQ(text.find(word), std::string::npos)
            << entry.path() << " uses " << word << "; main passes such things in";
    }
}

}  // namespace
}  // namespace enclayer
