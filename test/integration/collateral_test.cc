// SPDX-License-Identifier: Apache-2.0
// `enclayer collateral`, the real binary, against a stand-in of a provisioning service.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "collateral/service.h"
#include "fake/process.h"
#include "fake/provisioning.h"
#include "fake/quote_case.h"
#include "fake/sim_collateral.h"
#include "fake/temp_folder.h"

namespace enclayer {
namespace {

using namespace std::chrono_literals;
using fake::Finished;
using fake::http_answer;
using fake::HttpService;
using fake::ServiceKind;
using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const std::filesystem::path kRecorded = ENCLAYER_TEST_DATA "/pcs/00606a000000-platform";
const std::string kBinary = ENCLAYER_BIN_DIR "/enclayer";
constexpr char kFmspc[] = "00606a000000";

Time now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

std::string quote_file(const std::string& name) { return fake::quote_data() / "cases" / name / "quote.bin"; }

struct CollateralCommand : testing::Test {
  fake::TempFolder temporary;
  const std::string out = temporary.path() / "collateral.json";
  std::map<std::string, std::string> environment = {{"XDG_CACHE_HOME", temporary.path() / "cache"}, {"no_proxy", "*"}};

  std::filesystem::path cache_folder() const { return temporary.path() / "cache" / "enclayer" / "collateral"; }

  Finished run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {kBinary, "collateral"});
    return fake::run(arguments, 60s, environment);
  }
  // For what the recorded responses are of.
  Finished fetch(const std::string& service, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"fetch", "--quote", quote_file("C_automata_sgx_platform"), "--pccs", service});
    return run(more);
  }
  // For a simulated platform.
  Finished fetch_sim(const std::string& service, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"fetch", "--fmspc", fake::kSimFmspc, "--ca", "platform", "--pccs", service});
    return run(more);
  }
  std::string written() { return base::read_text(out, 1 << 20).value(); }

  // Not even a temporary file.
  void expect_nothing_was_written() {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(temporary.path()))
      EXPECT_TRUE(entry.is_directory()) << entry.path();
  }
};

HttpService recorded_service() {
  return HttpService(fake::provisioning_service(collateral::read_responses(kRecorded).value(), kFmspc));
}

// What holds today, for the tests of the cache.
struct SimService {
  fake::SimCollateral sim = fake::sim_collateral(now());
  HttpService service{fake::provisioning_service(fake::intels_responses(sim.collateral), fake::kSimFmspc)};
  std::string url() const { return service.url(); }
  std::size_t asked() const { return service.requests().size(); }
};

TEST_F(CollateralCommand, fetches_for_a_quote_what_verifies_it) {
  HttpService service = recorded_service();
  Finished fetched = fetch(service.url(), {"--out", out});
  ASSERT_EQ(fetched.exit_code, 0) << fetched.err;
  EXPECT_THAT(fetched.out, HasSubstr("FMSPC 00606a000000, platform CA, fetched, holds until 2025-09-14T04:36:46Z"));
  EXPECT_THAT(fetched.err, HasSubstr("warning: this collateral (QE Identity ends it) is valid from")) << "it is old";
  EXPECT_EQ(written(), to_json(fake::quote_case("C_automata_sgx_platform").collateral));
  Finished verified = fake::run({kBinary, "verify", "--quote", quote_file("C_automata_sgx_platform"), "--collateral",
                                 out, "--at", "2025-08-20T00:00:00Z", "--accept-tcb", "SWHardeningNeeded"});
  EXPECT_EQ(verified.exit_code, 0) << verified.out;
}

TEST_F(CollateralCommand, editions_are_fetched_and_cached_apart) {
  SimService service;
  auto fetched = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"fetch",  "--fmspc",     fake::kSimFmspc, "--ca", "platform",
                                       "--pccs", service.url(), "--out",         out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  ASSERT_EQ(fetched({}).exit_code, 0) << fetched({}).err;
  const std::size_t once = service.asked();
  ASSERT_EQ(fetched({"--update", "early"}).exit_code, 0);
  EXPECT_EQ(service.asked(), 2 * once) << "not what was fetched as standard";
  ASSERT_EQ(fetched({"--update", "early"}).exit_code, 0);
  EXPECT_EQ(service.asked(), 2 * once) << "from the cache";
  const std::uint32_t number = collateral::contents_of(service.sim.collateral).value().evaluation_number;
  EXPECT_EQ(fetched({"--evaluation-number", std::to_string(number)}).exit_code, 0);
  Finished other = fetched({"--evaluation-number", std::to_string(number + 1)});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("asked for TCB evaluation data number " + std::to_string(number + 1)));
  EXPECT_EQ(fetched({"--update", "late"}).exit_code, 1);
  EXPECT_EQ(fetched({"--update", "early", "--evaluation-number", "17"}).exit_code, 1);
  EXPECT_EQ(fetched({"--evaluation-number", "0"}).exit_code, 1);
}

TEST_F(CollateralCommand, fetches_for_the_quote_of_a_td_what_verifies_it) {
  const fake::QuoteCase td = fake::quote_case("T4_phala_tdx_v4");
  HttpService service(fake::provisioning_service(fake::intels_responses(td.collateral), "b0c06f000000"));
  Finished fetched = run({"fetch", "--quote", quote_file(td.name), "--pccs", service.url(), "--out", out});
  ASSERT_EQ(fetched.exit_code, 0) << fetched.err;
  EXPECT_THAT(fetched.out, HasSubstr("FMSPC b0c06f000000, platform CA, TDX, fetched"));
  EXPECT_EQ(written(), to_json(td.collateral));
  Finished verified = fake::run(
      {kBinary, "verify", "--quote", quote_file(td.name), "--collateral", out, "--at", "2025-06-25T00:00:00Z"});
  EXPECT_EQ(verified.exit_code, 0) << verified.out;
  EXPECT_THAT(verified.out, HasSubstr("MRTD"));
  Finished named = run(
      {"fetch", "--fmspc", "b0c06f000000", "--ca", "platform", "--tee", "tdx", "--pccs", service.url(), "--offline"});
  EXPECT_EQ(named.out, to_json(td.collateral)) << "from the cache";
  EXPECT_EQ(
      run({"fetch", "--fmspc", "b0c06f000000", "--ca", "platform", "--pccs", service.url(), "--offline"}).exit_code, 3)
      << "none for enclaves";
}

TEST_F(CollateralCommand, standard_output_is_the_collateral_and_nothing_else) {
  HttpService service = recorded_service();
  Finished fetched = fetch(service.url());
  ASSERT_EQ(fetched.exit_code, 0) << fetched.err;
  EXPECT_EQ(fetched.out, to_json(fake::quote_case("C_automata_sgx_platform").collateral));
}

TEST_F(CollateralCommand, json_says_what_was_fetched) {
  SimService service;
  json fetched = json::parse(fetch_sim(service.url(), {"--out", out, "--output", "json"}).out);
  EXPECT_EQ(fetched["source"], "service");
  EXPECT_EQ(fetched["fmspc"], fake::kSimFmspc);
  EXPECT_EQ(fetched["ca"], "platform");
  EXPECT_EQ(fetched["url"], service.url() + "/sgx/certification/v4");
  EXPECT_EQ(fetched["age"], "fresh");
  EXPECT_EQ(fetched["out"], out);
  EXPECT_EQ(fetched["tcb_evaluation_data_number"], 1);
  EXPECT_THAT(fetched["warnings"], IsEmpty());
  EXPECT_TRUE(parse_time(fetched["expires"].get<std::string>()));
  EXPECT_EQ(json::parse(fetch_sim(service.url(), {"--out", out, "--output", "json"}).out)["source"], "cache");
}

TEST_F(CollateralCommand, asks_the_cache_first_unless_told_otherwise) {
  SimService service;
  ASSERT_EQ(fetch_sim(service.url()).exit_code, 0);
  EXPECT_EQ(service.asked(), 4U);
  Finished cached = fetch_sim(service.url());
  EXPECT_EQ(cached.exit_code, 0) << cached.err;
  EXPECT_EQ(cached.out, to_json(service.sim.collateral));
  EXPECT_EQ(service.asked(), 4U);
  EXPECT_EQ(fetch_sim(service.url(), {"--refresh"}).exit_code, 0);
  EXPECT_EQ(service.asked(), 8U);
  EXPECT_EQ(fetch_sim(service.url(), {"--no-cache"}).exit_code, 0);
  EXPECT_EQ(service.asked(), 12U);
  std::string elsewhere = temporary.path() / "elsewhere";
  EXPECT_EQ(fetch_sim(service.url(), {"--cache-dir", elsewhere}).exit_code, 0);
  EXPECT_EQ(service.asked(), 16U);
  EXPECT_EQ(fetch_sim(service.url(), {"--cache-dir", elsewhere, "--offline"}).exit_code, 0);
  EXPECT_EQ(service.asked(), 16U);
}

TEST_F(CollateralCommand, damaged_cache_is_fetched_again) {
  SimService service;
  ASSERT_EQ(fetch_sim(service.url()).exit_code, 0);
  for (const std::string& name : base::Root(cache_folder()).list(""))
    if (name.ends_with(".json")) std::filesystem::resize_file(cache_folder() / name, 1000);
  EXPECT_THAT(run({"list"}).out, HasSubstr("damaged, will be fetched anew"));
  Finished again = fetch_sim(service.url());
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_EQ(again.out, to_json(service.sim.collateral));
  EXPECT_THAT(again.err, HasSubstr("what the cache has is not used"));
  EXPECT_EQ(service.asked(), 8U);
}

TEST_F(CollateralCommand, cache_travels_to_where_there_is_no_network) {
  SimService service;
  std::string bundle = temporary.path() / "bundle", far = temporary.path() / "far";
  ASSERT_EQ(fetch_sim(service.url()).exit_code, 0);
  EXPECT_THAT(run({"export", "--out", bundle}).out, HasSubstr("entries: 1"));
  Finished missing = fetch_sim(service.url(), {"--offline", "--cache-dir", far});
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_THAT(missing.err, HasSubstr("collateral import"));
  Finished imported = run({"import", bundle, "--cache-dir", far});
  EXPECT_EQ(imported.exit_code, 0) << imported.err;
  EXPECT_THAT(imported.out, HasSubstr(": imported, expires"));
  EXPECT_EQ(fetch_sim(service.url(), {"--offline", "--cache-dir", far}).out, to_json(service.sim.collateral));
  EXPECT_EQ(service.asked(), 4U);
  json again = json::parse(run({"import", bundle, "--cache-dir", far, "--output", "json"}).out);
  EXPECT_EQ(again["entries"].at(0)["kept"], true) << "the same one once more";

  json listed = json::parse(run({"list", "--cache-dir", far, "--output", "json"}).out);
  ASSERT_EQ(listed["entries"].size(), 1U);
  EXPECT_EQ(listed["entries"][0]["fmspc"], fake::kSimFmspc);
  EXPECT_EQ(listed["entries"][0]["age"], "fresh");
  EXPECT_THAT(run({"list", "--cache-dir", far}).out, StartsWith("53494d554c41  platform   fresh"));
}

TEST_F(CollateralCommand, expired_and_damaged_entries_are_not_exported) {
  SimService service;
  HttpService old = recorded_service();
  std::string bundle = temporary.path() / "bundle";
  ASSERT_EQ(fetch(old.url()).exit_code, 0);
  Finished nothing = run({"export", "--out", bundle});
  EXPECT_EQ(nothing.exit_code, 3);
  EXPECT_THAT(nothing.err, HasSubstr("expired at 2025-09-14T04:36:46Z"));
  EXPECT_FALSE(std::filesystem::exists(bundle));
  ASSERT_EQ(fetch_sim(service.url()).exit_code, 0);
  json exported = json::parse(run({"export", "--out", bundle, "--output", "json"}).out);
  EXPECT_EQ(exported["entries"].size(), 1U);
  EXPECT_EQ(exported["left_out"].size(), 1U);
}

TEST_F(CollateralCommand, cache_that_is_no_folder_is_not_taken_for_an_empty_one) {
  ASSERT_TRUE(base::write_file_atomic(out, {}, 0600));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"list"}, {"export", "--out", temporary.path() / "bundle"}}) {
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), {"--cache-dir", out});
    Finished finished = run(arguments);
    EXPECT_EQ(finished.exit_code, 3);
    EXPECT_THAT(finished.err, HasSubstr("cannot list " + out));
    EXPECT_EQ(finished.out, "");
  }
}

TEST_F(CollateralCommand, damaged_bundle_imports_nothing) {
  SimService service;
  std::string bundle = temporary.path() / "bundle", far = temporary.path() / "far";
  ASSERT_EQ(fetch_sim(service.url()).exit_code, 0);
  ASSERT_EQ(run({"export", "--out", bundle}).exit_code, 0);
  std::filesystem::resize_file(bundle, std::filesystem::file_size(bundle) - 1);
  Finished imported = run({"import", bundle, "--cache-dir", far});
  EXPECT_EQ(imported.exit_code, 2);
  EXPECT_THAT(imported.err, HasSubstr(bundle + ": the bundle is cut off"));
  EXPECT_FALSE(std::filesystem::exists(far));
  EXPECT_EQ(run({"import", temporary.path() / "missing"}).exit_code, 3);
}

TEST_F(CollateralCommand, answers_are_kept_as_files_and_read_again) {
  HttpService service = recorded_service();
  std::string folder = temporary.path() / "responses";
  ASSERT_EQ(fetch(service.url(), {"--save-responses", folder, "--out", out}).exit_code, 0);
  Finished read = run({"read", "--responses", folder});
  EXPECT_EQ(read.exit_code, 0) << read.err;
  EXPECT_EQ(read.out, written());
  std::filesystem::remove(folder + "/tcb.headers");
  Finished missing = run({"read", "--responses", folder});
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_THAT(missing.err, HasSubstr("tcb.headers"));
  EXPECT_EQ(run({"read", "--responses", kRecorded}).out, read.out);
}

TEST_F(CollateralCommand, root_of_ones_own_says_where_its_crl_is) {
  auto responses = std::make_shared<collateral::Responses>();
  HttpService service([responses](const fake::HttpRequest& request) {
    if (request.target == "/root.der") return fake::answer_of(responses->root_ca_crl);
    return fake::provisioning_service(*responses, fake::kSimFmspc, ServiceKind::kPcs)(request);
  });
  auto sim = fake::sim_collateral(now(), service.url() + "/root.der");
  *responses = fake::intels_responses(sim.collateral);
  std::string root = temporary.path() / "root.pem";
  ASSERT_TRUE(base::write_file_atomic(root, base::as_bytes(sim.root), 0600));
  Finished refused = fetch_sim(service.url());
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--root-ca FILE"));
  Finished fetched = fetch_sim(service.url(), {"--root-ca", root});
  EXPECT_EQ(fetched.exit_code, 0) << fetched.err;
  EXPECT_EQ(fetched.out, to_json(sim.collateral));
}

TEST_F(CollateralCommand, nobody_there_ends_with_4_and_writes_nothing) {
  std::string url;
  { url = recorded_service().url(); }
  Finished finished = fetch(url, {"--out", out, "--timeout", "1"});
  EXPECT_EQ(finished.exit_code, 4);
  EXPECT_THAT(finished.err, HasSubstr(url));
  EXPECT_EQ(finished.out, "");
  expect_nothing_was_written();
}

TEST_F(CollateralCommand, unknown_platform_ends_with_3_garbage_with_2) {
  HttpService unknown([](const std::string&) { return http_answer(404, "No cache data for this platform."); });
  Finished not_found = fetch(unknown.url(), {"--out", out});
  EXPECT_EQ(not_found.exit_code, 3);
  EXPECT_THAT(not_found.err, HasSubstr("status 404 (\"No cache data for this platform.\")"));
  HttpService garbage([](const std::string&) { return http_answer(200, "<html>Welcome</html>"); });
  Finished malformed = fetch(garbage.url(), {"--out", out});
  EXPECT_EQ(malformed.exit_code, 2);
  EXPECT_THAT(malformed.err, HasSubstr("what " + garbage.url()));
  expect_nothing_was_written();
}

TEST_F(CollateralCommand, ctrl_c_while_it_waits_leaves_nothing_behind) {
  std::mutex mutex;
  std::condition_variable asked;
  bool was_asked = false;
  HttpService service([&](const std::string&) {
    std::lock_guard lock(mutex);
    was_asked = true;
    asked.notify_all();
    return fake::HttpAnswer{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx", fake::HttpAnswer::Then::kHang};
  });
  fake::Process process({kBinary, "collateral", "fetch", "--quote", quote_file("C_automata_sgx_platform"), "--pccs",
                         service.url(), "--out", out},
                        environment);
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(asked.wait_for(lock, 20s, [&] { return was_asked; })) << process.output();
  }
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(20s), 128 + SIGINT);
  expect_nothing_was_written();
}

TEST_F(CollateralCommand, private_authority_has_to_be_named) {
  fake::TlsIdentity identity = fake::make_tls_identity();
  HttpService service(fake::provisioning_service(collateral::read_responses(kRecorded).value(), kFmspc), identity);
  std::string authority = temporary.path() / "authority.pem", junk = temporary.path() / "junk";
  ASSERT_TRUE(base::write_file_atomic(authority, base::as_bytes(identity.authority), 0600));
  ASSERT_TRUE(base::write_file_atomic(junk, base::as_bytes("junk"), 0600));
  Finished refused = fetch(service.url());
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_THAT(refused.err, HasSubstr("--cacert FILE"));
  EXPECT_EQ(fetch(service.url(), {"--cacert", authority}).exit_code, 0);
  EXPECT_EQ(fetch(service.url(), {"--cacert", junk}).exit_code, 2);
  EXPECT_EQ(fetch(service.url(), {"--cacert", temporary.path() / "missing"}).exit_code, 3);
}

TEST_F(CollateralCommand, proxy_is_that_of_the_environment_unless_given) {
  auto responses = collateral::read_responses(kRecorded).value();
  const std::string host = "http://pccs.example";
  HttpService proxy([&](const std::string& target) {
    if (!target.starts_with(host)) return http_answer(400, "not for a proxy");
    return fake::provisioning_service(responses, kFmspc)({"GET", target.substr(host.size()), {}, {}});
  });
  environment["no_proxy"] = "";
  environment["NO_PROXY"] = "";
  environment["http_proxy"] = proxy.url();
  EXPECT_EQ(fetch(host, {"--no-cache"}).exit_code, 0);
  environment["http_proxy"] = "http://127.0.0.1:1";
  EXPECT_EQ(fetch(host, {"--no-cache", "--proxy", proxy.url()}).exit_code, 0);
  HttpService direct = recorded_service();
  EXPECT_EQ(fetch(direct.url(), {"--no-cache", "--proxy", ""}).exit_code, 0);
}

TEST_F(CollateralCommand, two_at_once_both_get_it) {
  SimService service;
  std::vector<std::unique_ptr<fake::Process>> processes;
  for (int i = 0; i < 4; ++i)
    processes.push_back(std::make_unique<fake::Process>(
        std::vector<std::string>{kBinary, "collateral", "fetch", "--fmspc", fake::kSimFmspc, "--ca", "platform",
                                 "--pccs", service.url()},
        environment));
  for (auto& process : processes) {
    EXPECT_EQ(process->wait(60s), 0) << process->err();
    EXPECT_EQ(process->out(), to_json(service.sim.collateral));
  }
  EXPECT_EQ(fetch_sim(service.url(), {"--offline"}).exit_code, 0);
}

TEST_F(CollateralCommand, without_a_home_there_has_to_be_another_place_or_none) {
  environment = {{"XDG_CACHE_HOME", "relative/does/not/count"}, {"HOME", ""}, {"no_proxy", "*"}};
  SimService service;
  Finished nowhere = fetch_sim(service.url());
  EXPECT_EQ(nowhere.exit_code, 1);
  EXPECT_THAT(nowhere.err, HasSubstr("--cache-dir DIR or --no-cache"));
  EXPECT_EQ(run({"list"}).exit_code, 1);
  EXPECT_EQ(fetch_sim(service.url(), {"--no-cache"}).exit_code, 0);
  EXPECT_EQ(fetch_sim(service.url(), {"--cache-dir", temporary.path() / "own"}).exit_code, 0);
}

TEST_F(CollateralCommand, quotes_that_do_not_say_which_are_refused_with_the_remedy) {
  Finished no_chain = run({"fetch", "--quote", ENCLAYER_SOURCE_DIR "/fuzz/corpus/quote/sgx_v3_ppid"});
  EXPECT_EQ(no_chain.exit_code, 2);
  EXPECT_THAT(no_chain.err, HasSubstr("--fmspc and --ca"));
  EXPECT_EQ(run({"fetch", "--quote", temporary.path() / "missing"}).exit_code, 3);
}

TEST_F(CollateralCommand, simulated_quote_is_not_for_intels_service_but_for_any_other) {
  const std::filesystem::path sim = temporary.path() / "case";
  ASSERT_EQ(fake::run({kBinary, "sim", "case", "up-to-date", "--out-dir", sim}).exit_code, 0);
  // Nobody would answer there.
  std::vector<std::string> command = {"fetch", "--quote", sim / "quote.bin", "--no-cache", "--timeout", "1"};
  auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = command;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  Finished refused = run(with({"--proxy", "http://127.0.0.1:1"}));
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("is of a SIMULATED platform, which Intel's service does not know"));
  EXPECT_THAT(refused.err, HasSubstr("`enclayer sim export`"));
  EXPECT_EQ(refused.out, "");
  SimService service;  // its authority is another one, of a platform of the same kind
  EXPECT_EQ(run(with({"--pccs", service.url()})).out, to_json(service.sim.collateral));
}

TEST_F(CollateralCommand, misuse_ends_with_1_and_names_the_command_whose_help_helps) {
  std::string quote = quote_file("C_automata_sgx_platform");
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"nonsense"},
                                             {"fetch"},
                                             {"fetch", "--nonsense"},
                                             {"fetch", "--fmspc", kFmspc},
                                             {"fetch", "--ca", "platform"},
                                             {"fetch", "--fmspc", "606a", "--ca", "platform"},
                                             {"fetch", "--fmspc", kFmspc, "--ca", "both"},
                                             {"fetch", "--quote", quote, "--fmspc", kFmspc, "--ca", "platform"},
                                             {"fetch", "--quote", quote, "--pccs", "pccs.example"},
                                             {"fetch", "--quote", quote, "--pccs", "ftp://pccs.example"},
                                             {"fetch", "--quote", quote, "--pccs", "https://me:hunter2@pccs.example"},
                                             {"fetch", "--quote", quote, "--offline", "--refresh"},
                                             {"fetch", "--quote", quote, "--offline", "--no-cache"},
                                             {"fetch", "--quote", quote, "--offline", "--save-responses", "x"},
                                             {"fetch", "--quote", quote, "--timeout", "0"},
                                             {"fetch", "--quote", quote, "--output", "json"},
                                             {"fetch", "--quote", quote, "--output", "xml", "--out", out},
                                             {"read"},
                                             {"export"},
                                             {"import"},
                                             {"list", "more"}}) {
    Finished finished = run(arguments);
    EXPECT_EQ(finished.exit_code, 1) << testing::PrintToString(arguments) << finished.err;
    EXPECT_THAT(finished.err, HasSubstr("--help"));
    EXPECT_THAT(finished.err, testing::Not(HasSubstr("hunter2")));
    EXPECT_EQ(finished.out, "");
  }
  EXPECT_THAT(run({"fetch"}).err, HasSubstr("Run 'enclayer collateral fetch --help'"));
  expect_nothing_was_written();
}

TEST_F(CollateralCommand, help_teaches) {
  EXPECT_THAT(run({"--help"}).out, HasSubstr("enclayer collateral import bundle"));
  for (const char* command : {"fetch", "read", "list", "export", "import"}) {
    Finished help = run({command, "--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out, HasSubstr("Exit codes: 0"));
  }
}

}  // namespace
}  // namespace enclayer
