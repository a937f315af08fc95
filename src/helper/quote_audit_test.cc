// SPDX-License-Identifier: Apache-2.0
#include "helper/quote_audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "fake/logged.h"

namespace enclayer::helper {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const QuoteAudit::Clock::time_point kStart{1000h};
constexpr std::uint32_t kSlot = 5;

ReportBody report(std::uint8_t enclave = 0xe1) {
  ReportBody body;
  body.mr_enclave.fill(enclave);
  body.mr_signer.fill(0x51);
  body.report_data.fill(0xd7);
  body.attributes.flags = Attributes::kInit | Attributes::kDebug;
  return body;
}

class Audit : public testing::Test {
 protected:
  Audit() { identities_.set(kSlot, {"p3", {7, "bank", "ledger-0", "app", 64}}); }

  std::string made(std::uint8_t enclave = 0xe1, std::uint32_t group = kSlot, std::chrono::seconds after = 0s) {
    const ReportBody body = report(enclave);
    const net::Client client{{group, 12}, {1000, 12}};
    return fake::logged([&] { audit_.record({client, &body, "SUCCESS (0)", "", 250us, 1500us}, kStart + after); });
  }
  std::string refused(std::chrono::seconds after = 0s) {
    const net::Client client{{kSlot, 0}};
    return fake::logged([&] {
      audit_.record({client, nullptr, "BUSY (18)", "too many wait", 250us, 0us}, kStart + after);
    });
  }
  std::string sum(std::chrono::seconds after) {
    return fake::logged([&] { audit_.look_after(kStart + after); });
  }
  bool shows(const std::string& line) {
    audit_.publish();
    return metrics_.text().find(line) != std::string::npos;
  }

  base::Metrics metrics_;
  ClientIdentities identities_;
  QuoteAudit audit_{identities_, metrics_};
};

TEST_F(Audit, first_quote_of_an_enclave_has_a_line_that_says_who_and_what_but_no_report_data) {
  EXPECT_THAT(made(), AllOf(HasSubstr("quote made slot=p3 namespace=bank pod=ledger-0 container=app mr_enclave=e1e1"),
                            HasSubstr("mr_signer=5151"), HasSubstr("debug=true"), HasSubstr("waited_ms=0.25"),
                            HasSubstr("took_ms=1.5"), Not(HasSubstr("d7d7"))));
  EXPECT_EQ(made(), "");
  EXPECT_THAT(made(0xe2), HasSubstr("mr_enclave=e2e2"));
}

TEST_F(Audit, quotes_after_the_first_are_a_sum_a_minute) {
  for (int i = 0; i < 10; ++i) made();
  EXPECT_EQ(sum(59s), "");
  EXPECT_THAT(sum(60s),
              HasSubstr("quotes in a minute slot=p3 namespace=bank pod=ledger-0 container=app made=9 refused=0"));
  EXPECT_EQ(sum(200s), "") << "nothing was asked since";
  EXPECT_TRUE(shows("result=\"made\",slot=\"p3\"} 10\n"));
}

TEST_F(Audit, one_that_is_refused_without_end_has_thirty_lines_a_minute_and_a_sum) {
  int lines = 0;
  for (int i = 0; i < 100; ++i) lines += refused().empty() ? 0 : 1;
  EXPECT_EQ(lines, QuoteAudit::kRefusalsLogged);
  EXPECT_THAT(refused(59s), HasSubstr("quote refused slot=p3")) << "some are earned again";
  EXPECT_THAT(sum(60s), HasSubstr("made=0 refused=70"));
  EXPECT_TRUE(shows("result=\"refused\",slot=\"p3\"} 101\n"));
}

TEST_F(Audit, one_with_many_enclaves_has_a_bounded_number_of_lines) {
  int lines = 0;
  for (int i = 0; i < 200; ++i) lines += made(static_cast<std::uint8_t>(i)).empty() ? 0 : 1;
  EXPECT_EQ(lines, static_cast<int>(QuoteAudit::kMostEnclaves));
}

TEST_F(Audit, legacy_socket_is_called_so_and_says_the_process) {
  EXPECT_THAT(made(0xe1, kLegacy), AllOf(HasSubstr("slot=legacy namespace=\"\" pod=\"\" "),
                                         HasSubstr("client=\"legacy (process 12 of user 1000)\"")));
}

TEST_F(Audit, slot_without_a_name_is_called_by_its_number) {
  identities_.set(9, {"p7", {}});
  EXPECT_THAT(made(0xe1, 9), AllOf(HasSubstr("slot=p7"), HasSubstr("client=p7")));
}

TEST_F(Audit, slot_that_is_gone_leaves_its_sum_and_its_figures) {
  made(), made();
  EXPECT_THAT(fake::logged([&] { audit_.forget(kSlot); }), HasSubstr("quotes in a minute slot=p3"));
  identities_.forget(kSlot);
  EXPECT_TRUE(shows("slot=\"gone\"} 2\n"));
  EXPECT_FALSE(shows("slot=\"p3\""));
  identities_.set(6, {"p3", {8, "other", "pod", "app", 1}});
  EXPECT_THAT(made(0xe1, 6), HasSubstr("pod=pod")) << "who holds it next inherits nothing";
}

}  // namespace
}  // namespace enclayer::helper
