#include "pods/quote_audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace enclayer::pods {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kUid = "0b6f3c1e-7a52-4f0c-9d11-2f6f0c9a7b3d";
const std::string kId(64, 'a');
const QuoteAudit::Clock::time_point kStart{1000h};

ReportBody report() {
  ReportBody body;
  body.mr_enclave.fill(0xe1);
  body.mr_signer.fill(0x51);
  body.report_data.fill(0xd7);
  body.attributes.flags = Attributes::kInit | Attributes::kDebug;
  return body;
}

// A UID for each number.
std::string uid(int number) {
  std::string digits = std::to_string(number);
  return std::string(32 - digits.size(), '0') + digits;
}

class Audit : public testing::Test {
 protected:
  // What is logged of it.
  std::string record(const QuoteRequest& request, QuoteAudit::Clock::time_point now = kStart) {
    testing::internal::CaptureStderr();
    audit_.record(request, now);
    return testing::internal::GetCapturedStderr();
  }
  std::string page(QuoteAudit::Clock::time_point now = kStart) {
    audit_.publish(now);
    return metrics_.text();
  }
  static std::string line(const std::string& pod, const std::string& result, int value) {
    return "enclayer_pod_quotes_total{pod_uid=\"" + pod + "\",result=\"" + result + "\"} " + std::to_string(value) +
           "\n";
  }

  const ReportBody body_ = report();
  base::Metrics metrics_;
  QuoteAudit audit_{metrics_};
};

TEST_F(Audit, a_quote_has_one_line_that_says_who_and_what_but_no_report_data) {
  Asker pod = pod_asker({kUid, kId});
  std::string text = record({pod, 4711, 1000, &body_, "SUCCESS (0)", "", 250us, 1500us});
  EXPECT_THAT(text, AllOf(HasSubstr("info  quote made pod=" + kUid), HasSubstr("container=" + kId),
                          HasSubstr("mr_enclave=e1e1e1"), HasSubstr("mr_signer=515151"), HasSubstr("debug=true"),
                          HasSubstr("result=\"SUCCESS (0)\""), HasSubstr("waited_ms=0.25"), HasSubstr("took_ms=1.5"),
                          HasSubstr("peer_pid=4711"), HasSubstr("peer_uid=1000"), Not(HasSubstr("d7d7"))));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST_F(Audit, a_refusal_says_why_and_names_no_enclave) {
  Asker pod = pod_asker({kUid, kId});
  std::string text =
      record({pod, 4711, 1000, nullptr, "BUSY (18)", "the pod has had its quotes of this minute", 0us, 0us});
  EXPECT_THAT(text, AllOf(HasSubstr("warn  quote refused pod=" + kUid), HasSubstr("result=\"BUSY (18)\""),
                          HasSubstr("reason=\"the pod has had"), Not(HasSubstr("mr_enclave"))));
}

TEST_F(Audit, one_who_is_refused_without_end_drowns_nobody_elses_lines) {
  Asker loud = pod_asker({kUid, kId}), quiet = pod_asker({uid(1), kId}), host = host_asker();
  int lines = 0;
  for (int i = 0; i < 1000; ++i) lines += !record({loud, 1, 0, nullptr, "BUSY (18)", "x", 0us, 0us}).empty();
  EXPECT_EQ(lines, QuoteAudit::kRefusalsLogged);
  EXPECT_THAT(record({quiet, 2, 0, nullptr, "BUSY (18)", "x", 0us, 0us}),
              AllOf(HasSubstr("pod=" + uid(1)), HasSubstr("not_logged_before=970")));
  EXPECT_THAT(record({host, 2, 0, nullptr, "BUSY (18)", "x", 0us, 0us}), HasSubstr("not_logged_before=0"));
  EXPECT_NE(record({loud, 1, 0, &body_, "SUCCESS (0)", "", 0us, 0us}), "") << "every quote has its line";
  EXPECT_NE(record({loud, 1, 0, nullptr, "BUSY (18)", "x", 0us, 0us}, kStart + 2s), "");
}

TEST_F(Audit, requests_are_counted_by_pod_host_and_unknown) {
  Asker pod = pod_asker({kUid, kId}), sibling = pod_asker({kUid, ""}), host = host_asker(), unknown = unknown_asker();
  record({pod, 1, 0, &body_, "SUCCESS (0)", "", 0us, 0us});
  record({sibling, 1, 0, &body_, "SUCCESS (0)", "", 0us, 0us});
  record({pod, 1, 0, nullptr, "BUSY (18)", "x", 0us, 0us});
  record({host, 1, 0, &body_, "SUCCESS (0)", "", 0us, 0us});
  record({unknown, 0, 0, nullptr, "BUSY (18)", "x", 0us, 0us});
  EXPECT_THAT(page(), AllOf(HasSubstr("# TYPE enclayer_pod_quotes_total counter\n"), HasSubstr(line(kUid, "made", 2)),
                            HasSubstr(line(kUid, "refused", 1)), HasSubstr(line("host", "made", 1)),
                            HasSubstr(line("unknown", "refused", 1)), Not(HasSubstr("\"other\""))));
}

TEST_F(Audit, more_pods_than_the_bound_are_summed_up_and_none_is_lost) {
  testing::internal::CaptureStderr();
  constexpr int kPods = static_cast<int>(QuoteAudit::kMostSeries) + 8;
  for (int i = 0; i < kPods; ++i) {
    audit_.record({pod_asker({uid(i), kId}), 1, 0, &body_, "SUCCESS (0)", "", 0us, 0us}, kStart);
    audit_.record({pod_asker({uid(0), kId}), 1, 0, &body_, "SUCCESS (0)", "", 0us, 0us}, kStart);  // asks all the time
  }
  testing::internal::GetCapturedStderr();
  std::string text = page();
  EXPECT_THAT(text, AllOf(HasSubstr(line(uid(0), "made", kPods + 1)), HasSubstr(line(uid(kPods - 1), "made", 1)),
                          HasSubstr(line("other", "made", 8)), Not(HasSubstr(uid(1))), Not(HasSubstr(uid(8)))));
  EXPECT_THAT(text, HasSubstr(line(uid(9), "made", 1)));
}

TEST_F(Audit, who_has_been_silent_for_an_hour_leaves_the_page) {
  record({pod_asker({kUid, kId}), 1, 0, &body_, "SUCCESS (0)", "", 0us, 0us}, kStart);
  record({host_asker(), 1, 0, &body_, "SUCCESS (0)", "", 0us, 0us}, kStart + 1s);
  EXPECT_THAT(page(kStart + 1h),
              AllOf(HasSubstr(line("host", "made", 1)), HasSubstr(line("other", "made", 1)), Not(HasSubstr(kUid))));
  record({pod_asker({kUid, kId}), 1, 0, &body_, "SUCCESS (0)", "", 0us, 0us}, kStart + 1h);
  EXPECT_THAT(page(kStart + 1h), HasSubstr(line(kUid, "made", 1)));
}

}  // namespace
}  // namespace enclayer::pods
