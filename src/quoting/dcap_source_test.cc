// SPDX-License-Identifier: Apache-2.0
#include "quoting/dcap_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

#include "base/metrics.h"
#include "fake/dcap_standin.h"
#include "quoting/dcap_status.h"

namespace enclayer::quoting {
namespace {

using fake::DcapStandin;
using fake::standin_report;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

constexpr milliseconds kPatience{30'000};

// The source, with times that suit a test: what should not happen takes long, what is waited for is short.
struct Bench {
  explicit Bench(const std::string& variant = "full") : standin(variant) {
    options.budget = kPatience;
    options.first_quote_timeout = options.quote_timeout = kPatience;
    options.start_timeout = kPatience;
    options.first_pause = milliseconds(1);
    options.longest_pause = milliseconds(20);
  }
  DcapQuoteSource& source() {
    if (!source_) {
      options.launch = standin.launch();
      source_ = DcapQuoteSource::start(options, metrics);
    }
    return *source_;
  }

  // Until the metrics page has this line; a page is all that says what goes on inside.
  bool wait_for_metric(const std::string& line) {
    return wait_for([&] { return ("\n" + metrics.text()).find("\n" + line + "\n") != std::string::npos; });
  }

  /// For what goes on counting: an exact number can be stepped over.
  bool has_count(const std::string& name, int least) {
    auto text = "\n" + metrics.text();
    auto at = text.find("\n" + name + " ");
    return at != std::string::npos && std::stoi(text.substr(at + name.size() + 2)) >= least;
  }
  bool wait_for_count(const std::string& name, int least) {
    return wait_for([&] { return has_count(name, least); });
  }

  DcapStandin standin;
  base::Metrics metrics;
  DcapSourceOptions options;

 private:
  bool wait_for(const std::function<bool()>& holds) {
    auto deadline = steady_clock::now() + kPatience;
    while (!holds()) {
      if (steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  std::unique_ptr<DcapQuoteSource> source_;
};

std::uint32_t code_of(const Result<QuoteReply>& reply) { return reply ? 0 : reply.error().code(); }

QeReportRequest qe_report_request() {
  QeReportRequest request;
  request.nonce.fill(7);
  return request;
}

TEST(DcapSource, it_quotes_with_and_without_a_report_of_the_qe) {
  Bench bench;
  auto target = bench.source().target().value();
  EXPECT_TRUE(bench.source().terms_now());
  EXPECT_EQ(bench.source().quote_size().value(), 4600u);
  auto plain = bench.source().quote(standin_report(), std::nullopt);
  ASSERT_TRUE(plain) << plain.error().message();
  EXPECT_EQ(plain->quote.size(), 4600u);
  EXPECT_FALSE(plain->qe_report);
  EXPECT_TRUE(std::equal(target.pub_key_id.begin(), target.pub_key_id.end(), plain->quote.begin() + 884));
  EXPECT_TRUE(bench.source().quote(standin_report(), qe_report_request()).value().qe_report);
}

TEST(DcapSource, target_and_size_are_asked_of_the_library_once) {
  Bench bench;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(bench.source().target());
    ASSERT_TRUE(bench.source().quote_size());
  }
  EXPECT_EQ(bench.standin.calls("init"), 1);
  EXPECT_EQ(bench.standin.calls("size"), 1);
}

TEST(DcapSource, target_and_size_do_not_wait_behind_a_quote_that_hangs) {
  Bench bench;
  ASSERT_TRUE(bench.source().target());
  auto hanging =
      std::async(std::launch::async, [&] { return bench.source().quote(standin_report(1, 'H'), std::nullopt); });
  while (bench.standin.calls("quote") == 0) std::this_thread::yield();
  EXPECT_TRUE(bench.source().target());
  EXPECT_TRUE(bench.source().quote_size());
  bench.source().stop();  // ends the wait
  EXPECT_EQ(code_of(hanging.get()), 18u);
  EXPECT_EQ(bench.source().target().error().code(), 18u);
}

TEST(DcapSource, a_quote_that_hangs_costs_itself_and_a_worker) {
  Bench bench;
  bench.options.first_quote_timeout = milliseconds(300);
  ASSERT_TRUE(bench.source().target());
  auto hanging = bench.source().quote(standin_report(1, 'H'), std::nullopt);
  ASSERT_FALSE(hanging);
  EXPECT_EQ(hanging.error().code(), 18u);
  EXPECT_THAT(hanging.error().message(), HasSubstr("did not answer within 300 ms"));
  auto next = bench.source().quote(standin_report(), std::nullopt);
  EXPECT_TRUE(next) << next.error().message();
  EXPECT_EQ(bench.standin.calls("init"), 2);
  EXPECT_THAT(bench.metrics.text(), HasSubstr("enclayer_quote_worker_deaths_total{reason=\"hang\"} 1"));
}

TEST(DcapSource, a_worker_that_has_quoted_once_is_taken_for_hung_sooner) {
  Bench bench;
  bench.options.first_quote_timeout = milliseconds(600);
  bench.options.quote_timeout = milliseconds(200);
  auto hanging = [&] { return bench.source().quote(standin_report(1, 'H'), std::nullopt).error().message(); };
  EXPECT_THAT(hanging(), HasSubstr("within 600 ms"));
  EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
  EXPECT_THAT(hanging(), HasSubstr("within 200 ms"));
  EXPECT_THAT(hanging(), HasSubstr("within 600 ms")) << "a new worker has quoted nothing";
}

TEST(DcapSource, a_quote_that_hangs_is_made_by_another_worker_where_one_is_up) {
  Bench bench;
  bench.options.workers = 2;
  bench.options.first_quote_timeout = milliseconds(300);
  ASSERT_TRUE(bench.source().target());
  ASSERT_TRUE(bench.wait_for_metric("enclayer_quote_workers_up 2"));
  bench.standin.tell("hang-at 1");
  auto quote = bench.source().quote(standin_report(), std::nullopt);
  EXPECT_TRUE(quote) << quote.error().message();
  EXPECT_EQ(bench.standin.calls("quote"), 2);
  EXPECT_TRUE(bench.wait_for_metric("enclayer_quote_worker_deaths_total{reason=\"hang\"} 1"));
}

TEST(DcapSource, a_quote_that_hangs_twice_costs_no_third_worker) {
  Bench bench;
  bench.options.workers = 3;
  bench.options.first_quote_timeout = milliseconds(300);
  ASSERT_TRUE(bench.source().target());
  ASSERT_TRUE(bench.wait_for_metric("enclayer_quote_workers_up 3"));
  EXPECT_EQ(code_of(bench.source().quote(standin_report(1, 'H'), std::nullopt)), 18u);
  EXPECT_EQ(bench.standin.calls("quote"), 2);
}

TEST(DcapSource, a_quote_that_nobody_waits_for_any_more_is_not_tried_again) {
  Bench bench;
  bench.options.workers = 2;
  bench.options.budget = milliseconds(100);
  bench.options.first_quote_timeout = milliseconds(300);
  bench.source();
  ASSERT_TRUE(bench.wait_for_metric("enclayer_quote_workers_up 2"));
  EXPECT_EQ(code_of(bench.source().quote(standin_report(1, 'H'), std::nullopt)), 18u);
  ASSERT_TRUE(bench.wait_for_metric("enclayer_quote_worker_starts_total{result=\"ok\"} 3"));
  EXPECT_EQ(bench.standin.calls("quote"), 1);
}

TEST(DcapSource, a_quote_that_crashes_the_library_costs_itself_and_a_worker) {
  Bench bench;
  ASSERT_TRUE(bench.source().target());
  auto crashing = bench.source().quote(standin_report(1, 'C'), std::nullopt);
  ASSERT_FALSE(crashing);
  EXPECT_EQ(crashing.error().code(), 30u);
  EXPECT_THAT(crashing.error().message(), HasSubstr("was killed by SIGSEGV"));
  EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
  EXPECT_THAT(bench.metrics.text(), HasSubstr("enclayer_quote_worker_deaths_total{reason=\"crash\"} 1"));
}

TEST(DcapSource, others_go_on_while_one_worker_hangs) {
  Bench bench;
  bench.options.workers = 2;
  ASSERT_TRUE(bench.source().target());
  ASSERT_TRUE(bench.wait_for_metric("enclayer_quote_workers_up 2"));
  auto hanging =
      std::async(std::launch::async, [&] { return bench.source().quote(standin_report(1, 'H'), std::nullopt); });
  while (bench.standin.calls("quote") == 0) std::this_thread::yield();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
  bench.source().stop();
  EXPECT_FALSE(hanging.get());
}

TEST(DcapSource, a_worker_that_died_while_idle_costs_no_request) {
  Bench bench;
  ASSERT_TRUE(bench.source().target());
  ASSERT_EQ(bench.standin.calls("init"), 1);
  std::string log = bench.standin.log();
  pid_t pid = std::stoi(log.substr(log.find("load pid=") + 9));
  base::UniqueFd watch(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  ASSERT_TRUE(watch);
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  pollfd dead{watch.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&dead, 1, static_cast<int>(kPatience.count())), 1);
  EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
  EXPECT_EQ(bench.standin.calls("init"), 2);
}

TEST(DcapSource, every_failure_of_the_library_is_told_with_its_aesm_code) {
  Bench bench;
  ASSERT_TRUE(bench.source().target());
  for (std::uint32_t low = 0x01; low <= 0x4F; ++low) {
    std::uint32_t status = 0xE000 | low;
    char line[32];
    std::snprintf(line, sizeof line, "quote %x", status);
    bench.standin.tell(line);
    auto reply = bench.source().quote(standin_report(), std::nullopt);
    ASSERT_FALSE(reply) << line;
    EXPECT_EQ(reply.error().code(), aesm_code(status, DcapCall::kQuote)) << line;
  }
  bench.standin.tell("");
  EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
}

TEST(DcapSource, a_failure_to_prepare_the_key_is_told_at_once_and_overcome_later) {
  Bench bench;
  bench.standin.tell("init e019\nsay curl: could not connect");
  auto target = bench.source().target();
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().code(), 12u);
  EXPECT_THAT(target.error().message(), HasSubstr("NETWORK_ERROR (0xE019)"));
  EXPECT_FALSE(bench.source().terms_now());
  EXPECT_EQ(code_of(bench.source().quote(standin_report(), std::nullopt)), 12u);
  bench.standin.tell("size e011");
  ASSERT_TRUE(bench.wait_for_count("enclayer_quote_worker_starts_total{result=\"failed\"}", 8));
  EXPECT_EQ(bench.source().quote_size().error().code(), 44u);
  bench.standin.tell("");
  ASSERT_TRUE(bench.wait_for_metric("enclayer_quote_workers_up 1"));
  EXPECT_TRUE(bench.source().target());
  EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
}

TEST(DcapSource, a_missing_library_is_told_at_once_and_found_when_it_is_installed) {
  Bench bench;
  auto full = bench.standin.options().lib_dir;
  auto lib_dir = bench.standin.folder() / "lib";
  std::filesystem::create_directory(lib_dir);
  bench.standin.options().lib_dir = lib_dir;
  auto target = bench.source().target();
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().code(), 30u);
  EXPECT_THAT(target.error().message(), HasSubstr("install package libsgx-dcap-ql"));
  for (const auto& entry : std::filesystem::directory_iterator(full))
    std::filesystem::create_symlink(std::filesystem::canonical(entry.path()), lib_dir / entry.path().filename());
  ASSERT_TRUE(bench.wait_for_metric("enclayer_quote_workers_up 1"));
  EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
}

TEST(DcapSource, enclaves_that_are_lost_are_loaded_by_a_new_worker) {
  Bench bench;
  ASSERT_TRUE(bench.source().target());
  bench.standin.tell("quote e014");
  EXPECT_EQ(code_of(bench.source().quote(standin_report(), std::nullopt)), 46u);
  bench.standin.tell("");
  EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
  EXPECT_EQ(bench.standin.calls("init"), 2);
}

TEST(DcapSource, a_library_that_goes_on_failing_is_loaded_afresh) {
  Bench bench;
  ASSERT_TRUE(bench.source().target());
  bench.standin.tell("quote e001");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(code_of(bench.source().quote(standin_report(), std::nullopt)), 1u);
  bench.standin.tell("");
  EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
  EXPECT_EQ(bench.standin.calls("init"), 2);
}

TEST(DcapSource, reports_with_a_wrong_mac_are_told_42_from_the_first_on_and_cost_no_worker) {
  Bench bench;
  sgx::Report wrong = standin_report(9);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(code_of(bench.source().quote(wrong, std::nullopt)), 42u);
  auto refused = bench.source().quote(wrong, std::nullopt);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kPermissionDenied);
  EXPECT_THAT(refused.error().message(), HasSubstr("INVALID_REPORT (0xE015)")) << "the log says what it was";
  EXPECT_EQ(bench.standin.calls("init"), 1);
}

TEST(DcapSource, a_new_key_is_told_with_42_and_then_known) {
  Bench bench;
  auto old = bench.source().target().value();
  bench.standin.tell("key 2\ncert 3600");
  EXPECT_EQ(code_of(bench.source().quote(standin_report(), std::nullopt)), 42u);
  auto fresh = bench.source().target().value();
  EXPECT_NE(old.pub_key_id, fresh.pub_key_id);
  EXPECT_EQ(bench.source().quote_size().value(), 4652u);
  auto quote = bench.source().quote(standin_report(), std::nullopt);
  ASSERT_TRUE(quote) << quote.error().message();
  EXPECT_TRUE(std::equal(fresh.pub_key_id.begin(), fresh.pub_key_id.end(), quote->quote.begin() + 884));
  EXPECT_EQ(bench.standin.calls("init"), 2);
  EXPECT_THAT(bench.metrics.text(), HasSubstr("enclayer_quote_key_changes_total 1"));
}

TEST(DcapSource, a_key_that_is_only_certified_again_is_nobodys_concern) {
  Bench bench;
  ASSERT_TRUE(bench.source().target());
  bench.standin.tell("tcb 2");
  EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
  EXPECT_EQ(bench.standin.calls("init"), 2);
  EXPECT_EQ(bench.standin.calls("quote"), 2);
}

TEST(DcapSource, a_certificate_that_no_longer_fits_the_size_that_was_told_is_told_with_42) {
  Bench bench;
  EXPECT_EQ(bench.source().quote_size().value(), 4600u);
  bench.standin.tell("tcb 2\ncert 3700");
  EXPECT_EQ(code_of(bench.source().quote(standin_report(), std::nullopt)), 42u);
  EXPECT_EQ(bench.source().quote_size().value(), 4752u);
  EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
}

TEST(DcapSource, the_next_size_is_that_of_the_last_quote) {
  Bench bench;
  EXPECT_EQ(bench.source().quote_size().value(), 4600u);
  bench.standin.tell("cert 3700");
  EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
  EXPECT_EQ(bench.source().quote_size().value(), 4752u);
}

TEST(DcapSource, after_a_change_reports_for_the_old_qe_are_told_42) {
  Bench bench;
  ASSERT_TRUE(bench.source().target());
  bench.standin.tell("key 2\nqe 2");
  EXPECT_EQ(code_of(bench.source().quote(standin_report(1), std::nullopt)), 42u);  // E00F: the key is gone
  EXPECT_EQ(code_of(bench.source().quote(standin_report(1), std::nullopt)), 42u);  // E015: the QE is another
  EXPECT_TRUE(bench.source().quote(standin_report(2), std::nullopt));
}

TEST(DcapSource, an_idle_worker_finds_a_new_key_by_itself) {
  Bench bench;
  bench.options.refresh_every = milliseconds(20);
  auto old = bench.source().target().value();
  bench.standin.tell("key 2");
  ASSERT_TRUE(bench.wait_for_metric("enclayer_quote_key_changes_total 1"));
  EXPECT_NE(bench.source().target()->pub_key_id, old.pub_key_id);
  EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
}

TEST(DcapSource, a_refresh_that_fails_changes_nothing) {
  Bench bench;
  bench.options.refresh_every = milliseconds(20);
  ASSERT_TRUE(bench.source().target());
  bench.standin.tell("init e019");
  int before = bench.standin.calls("init");
  auto deadline = steady_clock::now() + kPatience;
  while (bench.standin.calls("init") < before + 3) ASSERT_LT(steady_clock::now(), deadline);
  EXPECT_TRUE(bench.source().target());
  EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
}

TEST(DcapSource, workers_with_different_keys_do_not_serve_together) {
  Bench bench;
  bench.options.workers = 3;
  bench.standin.tell("key pid");
  auto target = bench.source().target().value();
  ASSERT_TRUE(bench.wait_for_count("enclayer_quote_worker_starts_total{result=\"other-key\"}", 4));
  EXPECT_THAT(bench.metrics.text(), HasSubstr("enclayer_quote_workers_up 1"));
  for (int i = 0; i < 10; ++i) {
    auto quote = bench.source().quote(standin_report(), std::nullopt);
    ASSERT_TRUE(quote) << quote.error().message();
    EXPECT_TRUE(std::equal(target.pub_key_id.begin(), target.pub_key_id.end(), quote->quote.begin() + 884));
  }
}

TEST(DcapSource, all_workers_follow_to_a_new_key) {
  Bench bench;
  bench.options.workers = 2;
  ASSERT_TRUE(bench.source().target());
  ASSERT_TRUE(bench.wait_for_metric("enclayer_quote_workers_up 2"));
  bench.standin.tell("key 2");
  EXPECT_EQ(code_of(bench.source().quote(standin_report(), std::nullopt)), 42u);
  auto fresh = bench.source().target().value();
  for (int i = 0; i < 20; ++i) {
    auto quote = bench.source().quote(standin_report(), std::nullopt);
    ASSERT_TRUE(quote) << quote.error().message();
    EXPECT_TRUE(std::equal(fresh.pub_key_id.begin(), fresh.pub_key_id.end(), quote->quote.begin() + 884));
  }
  EXPECT_THAT(bench.metrics.text(), HasSubstr("enclayer_quote_key_changes_total 1"));
}

TEST(DcapSource, reload_starts_every_worker_again_and_one_is_always_up) {
  Bench bench;
  bench.options.workers = 2;
  ASSERT_TRUE(bench.source().target());
  ASSERT_TRUE(bench.wait_for_metric("enclayer_quote_workers_up 2"));
  bench.source().reload(bench.standin.launch({"RELOADED=1"}));
  while (!bench.has_count("enclayer_quote_worker_starts_total{result=\"ok\"}", 4)) {
    ASSERT_TRUE(bench.source().terms_now());
    ASSERT_TRUE(bench.source().quote(standin_report(), std::nullopt));
  }
  EXPECT_EQ(bench.metrics.text().find("enclayer_quote_worker_deaths_total"), std::string::npos);
  EXPECT_EQ(bench.source().not_ready(), "");
}

TEST(DcapSource, reload_mends_at_once_what_could_not_be_started) {
  Bench bench;
  bench.options.first_pause = bench.options.longest_pause = kPatience;
  auto whole = bench.standin.launch();
  bench.standin.options().lib_dir = bench.standin.folder();
  EXPECT_FALSE(bench.source().target());
  EXPECT_THAT(bench.source().not_ready(), HasSubstr("libsgx_dcap_ql.so.1 cannot be loaded"));
  bench.source().reload(whole);
  ASSERT_TRUE(bench.wait_for_metric("enclayer_quote_workers_up 1"));
  EXPECT_EQ(bench.source().not_ready(), "");
}

TEST(DcapSource, waiting_ends_with_busy) {
  Bench bench;
  bench.options.budget = milliseconds(100);
  bench.options.most_waiting = 1;
  bench.standin.tell("hang init");
  EXPECT_EQ(bench.source().target().error().code(), 18u);
  EXPECT_EQ(bench.source().quote_size().error().code(), 18u);
  auto reply = bench.source().quote(standin_report(), std::nullopt);
  EXPECT_EQ(code_of(reply), 18u);
  EXPECT_THAT(reply.error().message(), HasSubstr("was not made within 100 ms"));
}

TEST(DcapSource, the_line_of_waiting_quotes_is_bounded) {
  Bench bench;
  bench.options.most_waiting = 2;
  ASSERT_TRUE(bench.source().target());
  std::vector<std::future<Result<QuoteReply>>> waiting;
  auto ask = [&](char what) {
    waiting.push_back(std::async(
        std::launch::async, [&bench, what] { return bench.source().quote(standin_report(1, what), std::nullopt); }));
  };
  ask('H');
  while (bench.standin.calls("quote") == 0) std::this_thread::yield();
  ask('r');
  ask('r');
  // One that is refused at once shows that the line is full; until then each try waits only shortly.
  auto deadline = steady_clock::now() + kPatience;
  std::string why;
  while (why.find("2 quotes are waiting already") == std::string::npos) {
    ASSERT_LT(steady_clock::now(), deadline);
    auto attempt = std::async(std::launch::async, [&] { return bench.source().quote(standin_report(), std::nullopt); });
    if (attempt.wait_for(milliseconds(50)) != std::future_status::ready) {
      waiting.push_back(std::move(attempt));  // it stands in the line itself
      continue;
    }
    auto reply = attempt.get();
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code(), 18u);
    why = reply.error().message();
  }
  bench.source().stop();
  for (auto& one : waiting) EXPECT_FALSE(one.get());
}

TEST(DcapSource, what_is_no_quote_of_the_report_is_not_handed_out) {
  Bench bench;
  bench.standin.tell("garbage quote");
  EXPECT_EQ(code_of(bench.source().quote(standin_report(), std::nullopt)), 1u);
  bench.standin.tell("another quote");
  auto another = bench.source().quote(standin_report(), std::nullopt);
  ASSERT_FALSE(another);
  EXPECT_EQ(another.error().kind(), ErrorKind::kInternal);
  bench.standin.tell("");
  EXPECT_TRUE(bench.source().quote(standin_report(), std::nullopt));
}

TEST(DcapSource, many_threads_ask_at_once_and_each_gets_its_own_quote) {
  Bench bench;
  bench.options.workers = 2;
  ASSERT_TRUE(bench.source().target());
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        sgx::Report report = standin_report();
        report.raw[321] = static_cast<std::uint8_t>(t);
        report.raw[322] = static_cast<std::uint8_t>(i);
        auto reply = bench.source().quote(report, std::nullopt);
        if (reply && reply->quote[48 + 321] == t && reply->quote[48 + 322] == i) ++right;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 200);
}

TEST(DcapSource, it_stops_at_once_whatever_its_workers_do) {
  for (const char* orders : {"hang init", "init e019", ""}) {
    Bench bench;
    bench.options.longest_pause = bench.options.first_pause = kPatience;
    bench.standin.tell(orders);
    bench.source();
    auto begin = steady_clock::now();
    bench.source().stop();
    EXPECT_LT(steady_clock::now() - begin, milliseconds(5000)) << orders;
  }
}

}  // namespace
}  // namespace enclayer::quoting
