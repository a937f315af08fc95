// SPDX-License-Identifier: Apache-2.0
#include "dra/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <random>

#include "base/digest.h"
#include "fake/temp_folder.h"

namespace enclayer::dra {
namespace {

using testing::HasSubstr;

std::string uuid(unsigned number) {
  char text[37];
  std::snprintf(text, sizeof text, "%08x-0000-4000-8000-000000000000", number);
  return text;
}

NodeDevices node() {
  NodeDevices devices;
  devices.node = "n1";
  devices.sections = {{"epc-numa0", 0, 100}, {"epc-numa1", 1, 50}};
  devices.provision = true;
  return devices;
}

Allocation allocation(unsigned claim, std::vector<Share> shares) {
  return {{"bank", "c" + std::to_string(claim), uuid(claim)}, "pod", std::move(shares)};
}
Share epc(unsigned share, std::uint64_t mib, const char* device = "epc-numa0") {
  return {"epc", device, uuid(share), mib, false};
}

TEST(Ledger, holds_what_fits_to_the_last_mib) {
  Ledger ledger;
  EXPECT_TRUE(ledger.hold(allocation(1, {epc(11, 60)}), node()));
  auto refused = ledger.hold(allocation(2, {epc(12, 41)}), node());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kExhausted);
  EXPECT_EQ(
      refused.error().message(),
      "claim bank/c2 wants 41 MiB of device epc-numa0, which has 100 MiB, 60 MiB of them held by other claims: end "
      "some of their pods first");
  EXPECT_TRUE(ledger.hold(allocation(2, {epc(12, 40)}), node()));
  EXPECT_EQ(ledger.held_mib("epc-numa0"), 100u);
  EXPECT_FALSE(ledger.hold(allocation(3, {epc(13, 1)}), node()));
  ledger.release(uuid(1));
  EXPECT_TRUE(ledger.hold(allocation(3, {epc(13, 60)}), node()));
}

TEST(Ledger, adds_up_the_shares_of_one_claim) {
  Ledger ledger;
  EXPECT_FALSE(ledger.hold(allocation(1, {epc(11, 60), epc(12, 41)}), node()));
  EXPECT_FALSE(ledger.hold(allocation(1, {epc(11, ~std::uint64_t{0} >> 21), epc(12, 41)}), node()));
  EXPECT_TRUE(ledger.hold(allocation(1, {epc(11, 60), epc(12, 40), epc(13, 50, "epc-numa1")}), node()));
}

TEST(Ledger, prepared_twice_is_prepared_once) {
  Ledger ledger;
  ASSERT_TRUE(ledger.hold(allocation(1, {epc(11, 60)}), node()));
  const Ledger before = ledger;
  EXPECT_TRUE(ledger.hold(allocation(1, {epc(11, 60)}), node()));
  EXPECT_EQ(ledger, before);
  // Allocated anew under the same UID, after the first allocation was given up.
  EXPECT_TRUE(ledger.hold(allocation(1, {epc(12, 100)}), node()));
  EXPECT_EQ(ledger.held_mib("epc-numa0"), 100u);
}

TEST(Ledger, a_share_has_one_claim) {
  Ledger ledger;
  ASSERT_TRUE(ledger.hold(allocation(1, {epc(11, 1)}), node()));
  auto refused = ledger.hold(allocation(2, {epc(11, 1)}), node());
  EXPECT_EQ(refused.error().kind(), ErrorKind::kConflict);
  EXPECT_THAT(refused.error().message(), HasSubstr("held by claim bank/c1"));
  EXPECT_EQ(ledger.hold(allocation(2, {epc(12, 1), epc(12, 1)}), node()).error().kind(), ErrorKind::kConflict);
  EXPECT_TRUE(ledger.hold(allocation(2, {epc(11, 1, "epc-numa1")}), node()));  // an ID is the device's
  EXPECT_EQ(ledger.claims().size(), 2u);
}

TEST(Ledger, what_a_smaller_section_gave_before_stays_given) {
  Ledger ledger;
  ASSERT_TRUE(ledger.hold(allocation(1, {epc(11, 80)}), node()));
  NodeDevices smaller = node();
  smaller.sections[0].mib = 70;
  EXPECT_EQ(ledger.hold(allocation(2, {epc(12, 1)}), smaller).error().kind(), ErrorKind::kExhausted);
  EXPECT_EQ(ledger.held_mib("epc-numa0"), 80u);
  smaller.sections.clear();
  EXPECT_EQ(ledger.hold(allocation(2, {epc(12, 1)}), smaller).error().kind(), ErrorKind::kExhausted);
}

TEST(Ledger, generations_are_never_given_twice) {
  Ledger ledger;
  ASSERT_TRUE(ledger.hold(allocation(1, {epc(11, 1)}), node()));
  ledger.release(uuid(1));
  ASSERT_TRUE(ledger.hold(allocation(1, {epc(11, 1)}), node()));
  EXPECT_EQ(ledger.claims().at(uuid(1)).generation, 2u);
}

TEST(Ledger, has_an_end) {
  NodeDevices large = node();
  large.sections[0].mib = 2 * Ledger::kMostClaims;
  Ledger ledger;
  for (unsigned i = 0; i < Ledger::kMostClaims; ++i) ASSERT_TRUE(ledger.hold(allocation(i, {epc(i, 1)}), large));
  EXPECT_EQ(ledger.hold(allocation(9'999, {epc(9'999, 1)}), large).error().kind(), ErrorKind::kExhausted);
  EXPECT_TRUE(ledger.hold(allocation(5, {epc(5, 2)}), large));
  EXPECT_TRUE(parse_checkpoint(checkpoint_text(ledger)));
}

// The sum never exceeds the section, and what fits is never refused: against a sum of the test's own, through restarts.
TEST(Ledger, of_random_claims_never_exceeds_a_section) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    std::mt19937 random(seed);
    auto below = [&](unsigned end) { return static_cast<unsigned>(random() % end); };
    Ledger ledger;
    std::map<unsigned, std::map<std::string, std::uint64_t>> model;  // claim -> device -> MiB
    int held = 0, refused = 0;
    for (unsigned step = 0; step < 400; ++step) {
      const unsigned claim = below(20);
      if (below(3) == 0) {
        ledger.release(uuid(claim));
        model.erase(claim);
      } else {
        std::vector<Share> shares;
        std::map<std::string, std::uint64_t> wanted;
        for (unsigned i = 0, count = 1 + below(4); i < count; ++i) {
          const char* device = below(2) == 0 ? "epc-numa0" : "epc-numa1";
          shares.push_back(epc(1'000 * step + i + 1, 1 + below(25), device));
          wanted[device] += shares.back().mib;
        }
        bool fits = true;
        for (const Section& section : node().sections) {
          std::uint64_t sum = wanted.contains(section.device) ? wanted[section.device] : 0;
          for (auto& [other, of] : model)
            if (other != claim && of.contains(section.device)) sum += of[section.device];
          fits = fits && (sum <= section.mib || !wanted.contains(section.device));
        }
        const bool done = ledger.hold(allocation(claim, shares), node()).has_value();
        ASSERT_EQ(done, fits) << "seed " << seed << ", step " << step;
        if (done) model[claim] = wanted;
        ++(done ? held : refused);
      }
      if (below(5) == 0) ledger = parse_checkpoint(checkpoint_text(ledger)).value();
      for (const Section& section : node().sections) ASSERT_LE(ledger.held_mib(section.device), section.mib);
    }
    EXPECT_GT(held, 25);
    EXPECT_GT(refused, 25);
  }
}

Ledger some() {
  Ledger ledger;
  EXPECT_TRUE(ledger.hold(allocation(1, {epc(11, 60), {"pv", "provision", uuid(12), 0, false}}), node()));
  EXPECT_TRUE(ledger.hold(allocation(2, {{"epc", "epc-numa1", uuid(13), 7, true}}), node()));
  return ledger;
}

TEST(Checkpoint, is_read_as_it_was_written) {
  auto ledger = parse_checkpoint(checkpoint_text(some()));
  ASSERT_TRUE(ledger) << ledger.error().message();
  EXPECT_EQ(*ledger, some());
  EXPECT_EQ(parse_checkpoint(checkpoint_text(Ledger())).value(), Ledger());
}

TEST(Checkpoint, of_which_any_byte_is_another_is_damaged) {
  const std::string text = checkpoint_text(some());
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string damaged = text;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    ASSERT_FALSE(parse_checkpoint(damaged)) << i;
    ASSERT_FALSE(parse_checkpoint(text.substr(0, i))) << i;
  }
  EXPECT_FALSE(parse_checkpoint(text + "\n"));
}

TEST(Checkpoint, that_was_written_by_others_is_read_with_care) {
  auto with_sum = [](const std::string& json) { return json + "\n" + base::sha256_hex(json + "\n") + "\n"; };
  const std::string share =
      R"({"request":"epc","device":"epc","shareID":")" + uuid(1) + R"(","epcMiB":1,"quotes":"None"})";
  auto claims = [&](const std::string& uid, const std::string& name, const std::string& shares) {
    return with_sum(R"({"version":1,"generation":1,"claims":{")" + uid + R"(":{"namespace":"bank","name":")" + name +
                    R"(","pod":"p","generation":1,"shares":[)" + shares + "]}}}");
  };
  EXPECT_TRUE(parse_checkpoint(claims(uuid(1), "c", share)));
  EXPECT_FALSE(parse_checkpoint(claims("../x", "c", share)));
  EXPECT_FALSE(parse_checkpoint(claims(uuid(1), "../c", share)));
  EXPECT_FALSE(parse_checkpoint(claims(uuid(1), "c", "")));
  EXPECT_FALSE(parse_checkpoint(claims(uuid(1), "c", "{}")));
  EXPECT_FALSE(parse_checkpoint(with_sum("[]")));
  EXPECT_EQ(parse_checkpoint(with_sum(R"({"version":2})")).error().kind(), ErrorKind::kUnsupported);
}

TEST(Checkpoint, is_kept_in_a_file_as_a_whole) {
  fake::TempFolder folder;
  const Checkpoint checkpoint(folder.path());
  EXPECT_EQ(checkpoint.load().value(), Ledger());
  ASSERT_TRUE(checkpoint.save(some()));
  EXPECT_EQ(checkpoint.load().value(), some());

  folder.write("claims", "half of i");
  auto damaged = checkpoint.load();
  EXPECT_EQ(damaged.error().kind(), ErrorKind::kMalformed);
  EXPECT_THAT(damaged.error().message(), HasSubstr(folder.path().string()));
  ASSERT_TRUE(checkpoint.move_aside());
  EXPECT_EQ(checkpoint.load().value(), Ledger());
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "claims.damaged"));
}

TEST(Checkpoint, has_one_writer_at_a_time) {
  fake::TempFolder folder;
  const Checkpoint checkpoint(folder.path());
  auto first = checkpoint.lock(std::chrono::milliseconds(1));
  ASSERT_TRUE(first);
  EXPECT_EQ(checkpoint.lock(std::chrono::milliseconds(1)).error().kind(), ErrorKind::kTimedOut);
  first->reset();
  EXPECT_TRUE(checkpoint.lock(std::chrono::milliseconds(1)));
}

}  // namespace
}  // namespace enclayer::dra
