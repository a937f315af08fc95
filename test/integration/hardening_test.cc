// SPDX-License-Identifier: Apache-2.0
// What the compiler and the linker were told for everybody's safety (cmake/EnclayerTargets.cmake), found in the programs
// themselves.
#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace enclayer {
namespace {

namespace fs = std::filesystem;

class Program {
 public:
  explicit Program(const std::string& name)
      : bytes_(base::read_text(fs::path(ENCLAYER_BIN_DIR) / name, 256 << 20).value()), header_(at<Elf64_Ehdr>(0)) {
    for (unsigned i = 0; i < header_.e_phnum; ++i) {
      auto segment = at<Elf64_Phdr>(header_.e_phoff + i * sizeof(Elf64_Phdr));
      if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0)
        code_ += bytes_.substr(segment.p_offset, segment.p_filesz);
      if (segment.p_type == PT_DYNAMIC)
        for (auto offset = segment.p_offset; at<Elf64_Dyn>(offset).d_tag != DT_NULL; offset += sizeof(Elf64_Dyn))
          if (auto entry = at<Elf64_Dyn>(offset); entry.d_tag == DT_FLAGS_1) flags_ = entry.d_un.d_val;
      segments_.push_back(segment);
    }
  }

  bool loads_anywhere() const { return header_.e_type == ET_DYN; }
  bool binds_at_start() const { return (flags_ & DF_1_NOW) != 0; }
  const Elf64_Phdr* segment(Elf64_Word type) const {
    for (const Elf64_Phdr& each : segments_)
      if (each.p_type == type) return &each;
    return nullptr;
  }
  bool names(std::string_view symbol) const { return bytes_.find(symbol) != std::string::npos; }
  int instructions(std::string_view encoded) const {
    int count = 0;
    for (auto found = code_.find(encoded); found != std::string::npos; found = code_.find(encoded, found + 1)) ++count;
    return count;
  }

 private:
  template <class T>
  T at(std::size_t offset) const {
    T value{};
    std::memcpy(&value, bytes_.substr(offset, sizeof value).c_str(), sizeof value);
    return value;
  }

  const std::string bytes_;
  const Elf64_Ehdr header_;
  std::string code_;
  std::vector<Elf64_Phdr> segments_;
  Elf64_Xword flags_ = 0;
};

class HardeningTest : public testing::TestWithParam<const char*> {};

TEST_P(HardeningTest, program_is_as_hard_to_exploit_as_the_compiler_makes_it) {
  Program program(GetParam());
  EXPECT_TRUE(program.loads_anywhere());
  EXPECT_NE(program.segment(PT_GNU_RELRO), nullptr);
  ASSERT_NE(program.segment(PT_GNU_STACK), nullptr);
  EXPECT_EQ(program.segment(PT_GNU_STACK)->p_flags & PF_X, 0u);
  EXPECT_TRUE(program.binds_at_start());
  EXPECT_TRUE(program.names("__stack_chk_fail")) << "-fstack-protector-strong";
  EXPECT_TRUE(program.names("__glibcxx_assert_fail")) << "_GLIBCXX_ASSERTIONS";
  // endbr64, where an indirect jump may land; `or qword ptr [rsp], 0`, which touches each page of a large stack frame.
  EXPECT_GT(program.instructions(std::string_view("\xf3\x0f\x1e\xfa", 4)), 100) << "-fcf-protection";
  EXPECT_GT(program.instructions(std::string_view("\x48\x83\x0c\x24\x00", 5)), 0) << "-fstack-clash-protection";
}

INSTANTIATE_TEST_SUITE_P(programs, HardeningTest,
                         testing::Values("enclayer", "enclayer-attest", "enclayer-claim-templates", "enclayer-detect",
                                         "enclayer-device-plugin", "enclayer-dra-driver", "enclayer-quote-helper"),
                         [](const auto& program) {
                           std::string name = program.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace enclayer
