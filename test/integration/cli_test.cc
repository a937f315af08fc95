// SPDX-License-Identifier: Apache-2.0
// `enclayer inspect`, `enclayer verify` and `enclayer epc-savings`, the real binary: exit codes, JSON, words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "fake/process.h"
#include "fake/quote_case.h"
#include "fake/temp_folder.h"

namespace enclayer {
namespace {

using fake::Finished;
using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

Finished enclayer_cli(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), ENCLAYER_BIN_DIR "/enclayer");
  return fake::run(arguments);
}

std::string file(const std::string& name, const char* file_name) {
  return fake::quote_data() / "cases" / name / file_name;
}

Finished verify(const std::string& name, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"verify",
                                        "--quote",
                                        file(name, "quote.bin"),
                                        "--collateral",
                                        file(name, "collateral.json"),
                                        "--at",
                                        format_time(fake::quote_case(name).at)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return enclayer_cli(arguments);
}

json verify_json(const std::string& name, int exit_code, std::vector<std::string> more = {}) {
  more.insert(more.end(), {"--output", "json"});
  Finished finished = verify(name, more);
  EXPECT_EQ(finished.exit_code, exit_code) << finished.out << finished.err;
  return json::parse(finished.out);
}

constexpr char kA[] = "A_phala_sgx_processor";

TEST(VerifyCommand, the_time_may_be_a_date_or_have_an_offset_and_what_is_lacking_is_told) {
  auto at = [](const std::string& time) {
    Finished finished = enclayer_cli({"verify", "--quote", file("F_mobilecoin_prod", "quote.bin"), "--collateral",
                                      file("F_mobilecoin_prod", "collateral.json"), "--at", time, "--output", "json"});
    EXPECT_EQ(finished.exit_code, 2) << finished.err;
    return json::parse(finished.out)["at"];
  };
  EXPECT_EQ(at("2025-06-25"), "2025-06-25T00:00:00Z");
  EXPECT_EQ(at("2025-06-25T01:30:00+02:00"), "2025-06-24T23:30:00Z");
  EXPECT_EQ(at("2025-06-24T23:30:00-05:30"), "2025-06-25T05:00:00Z");

  json out = verify_json("F_mobilecoin_prod", 2);
  EXPECT_EQ(out["shortfalls"][0], json::parse(R"({"part": "SGX TCB component 1", "has": 20, "needs": 22,
                                                  "since": "2025-05-14T00:00:00Z"})"));
  EXPECT_EQ(out["lacking_since"], "2024-11-13T00:00:00Z");
  EXPECT_EQ(out["platform"]["sgx_type"], "Standard");
  const std::string text = verify("F_mobilecoin_prod").out,
                    line = "SGX TCB component 1 22, it has 20; needed since 2025-05-14";
  ASSERT_THAT(text, HasSubstr(line));
  EXPECT_EQ(text.find(line), text.rfind(line));
}

TEST(VerifyCommand, every_case_is_untrusted_unless_its_status_is_accepted) {
  json expected = json::parse(base::read_text(fake::quote_data() / "expected.json", 1 << 16).value());
  for (const auto& [name, want] : expected.items()) {
    SCOPED_TRACE(name);
    const bool up_to_date = want["tcb_status"] == "UpToDate";
    json out = verify_json(name, up_to_date ? 0 : 2);
    EXPECT_EQ(out["verdict"], up_to_date ? "trusted" : "untrusted");
    EXPECT_EQ(out["reason"], want["reason"]);
    EXPECT_EQ(out["tcb_status"], want["tcb_status"]);
    EXPECT_EQ(out["root"], "intel");
    EXPECT_EQ(out["simulated"], false);
    // One, unless something has expired: then all that has.
    EXPECT_EQ(out["misses"].empty(), up_to_date);
    for (const json& miss : out["misses"])
      EXPECT_TRUE(miss == out["misses"][0] || miss["reason"].get<std::string>().ends_with("_EXPIRED")) << miss;
    if (!want["accept"].get<bool>()) continue;
    json accepted = verify_json(name, 0, {"--accept-tcb", want["tcb_status"]});
    EXPECT_EQ(accepted["verdict"], "trusted");
    EXPECT_EQ(accepted["reason"], want["reason"]);
    EXPECT_EQ(accepted["tcb_status"], want["tcb_status"]);
    EXPECT_TRUE(accepted["misses"].empty());
  }
}

TEST(VerifyCommand, json_has_the_facts_of_a_verified_quote) {
  json out = verify_json(kA, 2);
  EXPECT_EQ(out["advisory_ids"], json({"INTEL-SA-00289", "INTEL-SA-00615"}));
  EXPECT_EQ(out["fmspc"], "00a067110000");
  EXPECT_EQ(out["at"], "2025-06-25T00:00:00Z");
  EXPECT_EQ(out["expires"], "2025-07-19T10:01:18Z");
  EXPECT_EQ(out["tcb_evaluation_data_number"], 17);
  EXPECT_EQ(out["mr_enclave"], "33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb");
  EXPECT_EQ(out["debug"], false);
  EXPECT_FALSE(verify_json("N_sig_r", 2).contains("mr_enclave")) << "an unverified claim is not repeated";
}

TEST(VerifyCommand, td_is_shown_by_what_it_reports) {
  json out = verify_json("T4_phala_tdx_v4", 0);
  EXPECT_EQ(out["tee"], "TDX");
  EXPECT_EQ(out["mr_td"],
            "91eb2b44d141d4ece09f0c75c2c53d247a3c68edd7fafe8a3520c942a604a407de03ae6dc5f87f27428b2538873118b7");
  EXPECT_EQ(out["rtmr3"], std::string(96, '0'));
  EXPECT_EQ(out["td_attributes"], "0x0000000010000000");
  EXPECT_EQ(out["xfam"], "0x00000000000602e7");
  EXPECT_EQ(out["tcb"]["tdx_module"]["tcb_status"], "UpToDate");
  EXPECT_EQ(out["tcb"]["tcb_date"], "2024-03-13T00:00:00Z");
  for (const char* key : {"mr_enclave", "isv_svn", "mr_service_td", "current_tcb"}) EXPECT_FALSE(out.contains(key));
  Finished text = verify("T4_phala_tdx_v4");
  EXPECT_THAT(text.out, StartsWith("TRUSTED: TCB status UpToDate\n"));
  EXPECT_THAT(text.out, HasSubstr("MRTD            91eb2b44"));
  EXPECT_THAT(text.out, HasSubstr("service TDs     TDX 1.0 does not say\n"));
  EXPECT_THAT(text.out, HasSubstr("TDX module 1.6 is UpToDate"));
  EXPECT_EQ(verify_json(kA, 2)["tee"], "SGX");
}

TEST(VerifyCommand, several_statuses_are_accepted_as_a_list_or_one_by_one) {
  const char* status = "ConfigurationAndSWHardeningNeeded";
  EXPECT_EQ(verify(kA, {"--accept-tcb", std::string("SWHardeningNeeded,") + status}).exit_code, 0);
  EXPECT_EQ(verify(kA, {"--accept-tcb", "SWHardeningNeeded", "--accept-tcb", status}).exit_code, 0);
  EXPECT_EQ(verify(kA, {"--accept-tcb", "SWHardeningNeeded,OutOfDate"}).exit_code, 2);
}

TEST(VerifyCommand, text_says_the_verdict_first_and_why) {
  Finished trusted = verify("C_eval18", {"--accept-tcb", "OutOfDate"});
  EXPECT_EQ(trusted.exit_code, 0);
  EXPECT_THAT(trusted.out, StartsWith("TRUSTED: TCB status OutOfDate\n"));
  Finished refused = verify("F_mobilecoin_2023_crl_expired");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.out, StartsWith("UNTRUSTED: SGX_CRL_EXPIRED\n"));
  EXPECT_THAT(refused.out, HasSubstr("until 2023-05-21T22:00:36Z, not at 2023-07-20T00:00:00Z"));
}

TEST(VerifyCommand, time_is_now_unless_it_is_given) {
  Finished now = enclayer_cli(
      {"verify", "--quote", file(kA, "quote.bin"), "--collateral", file(kA, "collateral.json"), "--output", "json"});
  EXPECT_EQ(now.exit_code, 2);
  EXPECT_EQ(json::parse(now.out)["reason"], "SGX_CRL_EXPIRED") << "the collateral of 2025 has expired for good";
}

TEST(VerifyCommand, both_certificates_of_intels_root_can_be_named_and_are_intels) {
  for (const char* name : {"intel_root_2033.pem", "intel_root_2049.pem"}) {
    json out =
        verify_json("C_eval17", 0, {"--accept-tcb", "SWHardeningNeeded", "--root-ca", fake::quote_data() / name});
    EXPECT_EQ(out["root"], "intel");
  }
}

TEST(VerifyCommand, file_that_can_be_read_but_not_parsed_is_untrusted) {
  fake::TempFolder folder;
  std::string junk = folder.path() / "junk", empty = folder.path() / "empty", huge = folder.path() / "huge";
  Bytes bytes(2 << 20, 'x');
  ASSERT_TRUE(base::write_file_atomic(junk, ByteView(bytes).first(100), 0600));
  ASSERT_TRUE(base::write_file_atomic(empty, {}, 0600));
  ASSERT_TRUE(base::write_file_atomic(huge, bytes, 0600));
  std::string quote = file(kA, "quote.bin"), collateral = file(kA, "collateral.json");
  for (const std::string& bad : {junk, empty, huge}) {
    SCOPED_TRACE(bad);
    auto reason = [](const std::vector<std::string>& arguments) {
      Finished finished = enclayer_cli(arguments);
      EXPECT_EQ(finished.exit_code, 2) << finished.err;
      json out = json::parse(finished.out);
      EXPECT_EQ(out["verdict"], "untrusted");
      EXPECT_FALSE(out["detail"].get<std::string>().empty());
      return out["reason"];
    };
    EXPECT_EQ(reason({"verify", "--output", "json", "--quote", quote, "--collateral", bad}),
              "UNSUPPORTED_COLLATERAL_FORMAT");
    EXPECT_EQ(reason({"verify", "--output", "json", "--quote", quote, "--collateral", collateral, "--root-ca", bad}),
              "TRUSTED_ROOT_CA_UNSUPPORTED_FORMAT");
  }
}

// What a shell makes of it, so that there can be something in standard input.
Finished shell(const std::string& command) { return fake::run({"/bin/sh", "-c", command}); }
const std::string kProgram = ENCLAYER_BIN_DIR "/enclayer";

TEST(EvidenceForms, file_without_a_quote_is_told_what_it_is_and_ends_with_1) {
  fake::TempFolder folder;
  std::string collateral = file(kA, "collateral.json"), given = folder.path() / "given";
  auto expect_told = [&](const Bytes& content, const char* what) {
    ASSERT_TRUE(base::write_file_atomic(given, content, 0600));
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"inspect", "--quote", given},
          {"verify", "--quote", given, "--collateral", collateral, "--output", "json"},
          {"collateral", "fetch", "--quote", given, "--no-cache", "--pccs", "http://127.0.0.1:9"}}) {
      Finished finished = enclayer_cli(command);
      EXPECT_EQ(finished.exit_code, command[0] == "collateral" ? 2 : 1) << finished.err;
      EXPECT_THAT(finished.err, HasSubstr(given + ": " + what));
      EXPECT_THAT(finished.out + finished.err, testing::Not(testing::ContainsRegex("[Uu][Nn][Tt][Rr][Uu][Ss][Tt]")));
      EXPECT_EQ(finished.out, "");
    }
  };
  expect_told(Bytes(100, 'x'), "this is base64 text of 75 bytes that is no quote: ");
  expect_told(Bytes(100, 0xff), "this is data of 100 bytes that is no quote: ");
  expect_told({}, "this is data of 0 bytes that is no quote: there is nothing in it");
  ASSERT_TRUE(base::write_file_atomic(given, Bytes(2 << 20, 'x'), 0600));
  Finished huge = enclayer_cli({"inspect", "--quote", given});
  EXPECT_EQ(huge.exit_code, 1);
  EXPECT_THAT(huge.err, HasSubstr("is longer than the 1048576 bytes that are read at most"));
}

TEST(EvidenceForms, every_form_is_inspected_verified_and_read_from_standard_input) {
  const std::string quote = file(kA, "quote.bin"), collateral = file(kA, "collateral.json");
  const std::string flags =
      " --accept-tcb ConfigurationAndSWHardeningNeeded --at " + format_time(fake::quote_case(kA).at);
  const char* const forms[] = {"cat",
                               "od -An -v -tx1",
                               "base64",
                               "base64 -w0 | tr +/ -_ | tr -d =",
                               "(printf '{\"quote\": \"'; base64 -w0; printf '\"}')",
                               "(echo -----BEGIN QUOTE-----; base64 -w64; echo -----END QUOTE-----)"};
  for (const char* form : forms) {
    const std::string in = "cat " + quote + " | " + form + " | " + kProgram;
    Finished verified = shell(in + " verify --quote - --collateral " + collateral + flags);
    EXPECT_EQ(verified.exit_code, 0) << form << verified.out << verified.err;
    Finished inspected = shell(in + " inspect --quote - --output json");
    EXPECT_EQ(inspected.exit_code, 0) << form << inspected.err;
    EXPECT_EQ(json::parse(inspected.out)["format"], "SGX quote, version 3") << form;
    EXPECT_EQ(json::parse(inspected.out)["size"], fake::quote_case(kA).quote.size()) << form;
  }
}

TEST(EvidenceForms, standard_input_serves_one_flag_of_those_that_name_a_file) {
  const std::string quote = file(kA, "quote.bin"), collateral = file(kA, "collateral.json");
  const std::string flags =
      " --accept-tcb ConfigurationAndSWHardeningNeeded --at " + format_time(fake::quote_case(kA).at);
  Finished second = shell(kProgram + " verify --quote " + quote + " --collateral -" + flags + " < " + collateral);
  EXPECT_EQ(second.exit_code, 0) << second.out << second.err;
  Finished root = shell(kProgram + " verify --quote " + quote + " --collateral " + collateral + " --root-ca -" + flags +
                        " < " + std::string(fake::quote_data() / "intel_root_2049.pem"));
  EXPECT_EQ(root.exit_code, 0) << root.out << root.err;
  Finished policy = shell("echo '{\"version\": 1}' | " + kProgram + " policy check -");
  EXPECT_EQ(policy.exit_code, 0) << policy.err;
  Finished both = shell(kProgram + " verify --quote - --collateral -" + flags + " < " + quote);
  EXPECT_EQ(both.exit_code, 1);
  EXPECT_THAT(both.err, HasSubstr("standard input can be read only once"));
}

std::string certificate_file(const char* name) { return std::string(ENCLAYER_TEST_DATA "/ratls/") + name; }

TEST(VerifyCommand, certificate_of_a_tls_peer_is_judged) {
  const std::string gramine = certificate_file("gramine-cert.pem"), collateral = file("C_eval17", "collateral.json");
  auto reason = [&](const std::string& at, const char* flag) {
    Finished finished =
        enclayer_cli({"verify", flag, gramine, "--collateral", collateral, "--at", at, "--output", "json"});
    EXPECT_EQ(finished.exit_code, 2) << finished.err;
    return json::parse(finished.out)["reason"];
  };
  for (const char* flag : {"--ra-tls", "--quote"}) {
    EXPECT_EQ(reason("2000-12-31T23:59:59Z", flag), "RA_TLS_CERTIFICATE_EXPIRED") << flag;
    EXPECT_NE(reason("2025-06-25T00:00:00Z", flag), "RA_TLS_CERTIFICATE_EXPIRED") << flag;
  }
  Finished inspected =
      shell("openssl x509 -outform DER -in " + gramine + " | " + kProgram + " inspect --quote - --output json");
  EXPECT_EQ(inspected.exit_code, 0) << inspected.err;
  EXPECT_EQ(json::parse(inspected.out)["size"], 4734);
}

TEST(VerifyCommand, what_is_no_certificate_with_evidence_is_not_taken_for_one) {
  const std::string collateral = file(kA, "collateral.json"), gramine = certificate_file("gramine-cert.pem");
  Finished quote = enclayer_cli({"verify", "--ra-tls", file(kA, "quote.bin"), "--collateral", collateral});
  EXPECT_EQ(quote.exit_code, 1);
  EXPECT_THAT(quote.err, HasSubstr("a bare quote and no certificate; --quote takes it"));
  Finished root =
      enclayer_cli({"verify", "--ra-tls", fake::quote_data() / "intel_root_2049.der", "--collateral", collateral});
  EXPECT_EQ(root.exit_code, 1);
  EXPECT_THAT(root.err, HasSubstr("this is a DER certificate without SGX or TDX evidence"));
  Finished alone = enclayer_cli({"verify", "--ra-tls", gramine});
  EXPECT_EQ(alone.exit_code, 1);
  EXPECT_THAT(alone.err, HasSubstr("`enclayer collateral fetch --quote " + gramine + " --out FILE` gets it"));
  Finished both = enclayer_cli({"verify", "--ra-tls", gramine, "--quote", gramine, "--collateral", collateral});
  EXPECT_EQ(both.exit_code, 1);
  for (const Finished& finished : {quote, root, alone, both}) EXPECT_EQ(finished.out, "");
}

TEST(VerifyCommand, file_that_cannot_be_read_is_named_and_ends_with_3) {
  fake::TempFolder folder;
  std::string quote = file(kA, "quote.bin"), collateral = file(kA, "collateral.json");
  std::string missing = folder.path() / "missing", folder_itself = folder.path();
  for (const std::string& bad : {missing, folder_itself}) {
    for (const auto& arguments : std::vector<std::vector<std::string>>{
             {"verify", "--quote", bad, "--collateral", collateral},
             {"verify", "--quote", quote, "--collateral", bad},
             {"verify", "--quote", quote, "--collateral", collateral, "--root-ca", bad},
             {"inspect", "--quote", bad}}) {
      Finished finished = enclayer_cli(arguments);
      EXPECT_EQ(finished.exit_code, 3);
      EXPECT_THAT(finished.err, HasSubstr(bad));
      EXPECT_EQ(finished.out, "");
    }
  }
}

TEST(EnclayerCommand, misuse_ends_with_1_and_says_what_is_wrong) {
  std::string quote = file(kA, "quote.bin"), collateral = file(kA, "collateral.json");
  std::vector<std::string> good = {"verify", "--quote", quote, "--collateral", collateral};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), good.begin(), good.end());
    return more;
  };
  for (const auto& arguments : std::vector<std::vector<std::string>>{{},
                                                                     {"nonsense"},
                                                                     {"--nonsense"},
                                                                     {"verify"},
                                                                     {"verify", "--quote", quote},
                                                                     {"inspect"},
                                                                     {"inspect", "--quote", quote, "--nonsense"},
                                                                     {"inspect", "--quote", quote, "--output", "xml"},
                                                                     with({"--nonsense"}),
                                                                     with({"more"}),
                                                                     with({"--at", "yesterday"}),
                                                                     with({"--at", "2025-06-25T00:00:00+24:00"}),
                                                                     with({"--at", "2025-02-30T00:00:00Z"}),
                                                                     with({"--at", "2025-02-30"}),
                                                                     with({"--at", "2025-06-25T00:00:00 02:00"}),
                                                                     with({"--output", "xml"}),
                                                                     with({"--accept-tcb", "Fine"}),
                                                                     with({"--accept-tcb", "Revoked"}),
                                                                     with({"--accept-tcb", "outofdate"})}) {
    Finished finished = enclayer_cli(arguments);
    EXPECT_EQ(finished.exit_code, 1) << testing::PrintToString(arguments) << finished.err;
    EXPECT_THAT(finished.err, HasSubstr("--help"));
    EXPECT_EQ(finished.out, "");
  }
  EXPECT_THAT(enclayer_cli(with({"--accept-tcb", "Fine"})).err, HasSubstr("OutOfDateConfigurationNeeded"));
  EXPECT_THAT(enclayer_cli({"verfy", "--quote", quote}).err, HasSubstr("there is no command \"verfy\""));
  EXPECT_THAT(enclayer_cli({"policy", "chek"}).err, HasSubstr("enclayer policy: there is no command \"chek\""));
  EXPECT_THAT(enclayer_cli({"verify", "--quote", quote}).err,
              HasSubstr("`enclayer collateral fetch --quote " + quote + " --out FILE`"));
}

TEST(EnclayerCommand, help_teaches_and_version_is_told) {
  Finished help = enclayer_cli({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("enclayer verify --quote quote.bin"));
  for (const char* command : {"verify", "inspect", "epc-savings", "autoscaler-hints"}) {
    Finished own = enclayer_cli({command, "--help"});
    EXPECT_EQ(own.exit_code, 0);
    EXPECT_THAT(own.out, HasSubstr("Exit codes: 0"));
  }
  Finished version = enclayer_cli({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, testing::MatchesRegex("enclayer [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

json inspect_json(const std::string& path) {
  Finished finished = enclayer_cli({"inspect", "--quote", path, "--output", "json"});
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  return json::parse(finished.out);
}

TEST(InspectCommand, json_has_every_field_of_an_sgx_quote) {
  json out = inspect_json(file("C_automata_sgx_platform", "quote.bin"));
  EXPECT_EQ(out["format"], "SGX quote, version 3");
  EXPECT_EQ(out["header"]["qe_svn"], 9);
  EXPECT_EQ(out["header"]["qe_vendor"], "Intel");
  EXPECT_EQ(out["report"]["mr_enclave"], "a4f45c39dac622cb1dd32ddb35a52ec92db41d0fa88a1c911c49e59c534f61cd");
  EXPECT_EQ(out["report"]["debug"], false);
  EXPECT_EQ(out["report"]["attributes"]["names"], json({"INIT", "MODE64"}));
  EXPECT_EQ(out["qe_report"]["isv_prod_id"], 1);
  EXPECT_EQ(out["certification"]["type"], 5);
  ASSERT_EQ(out["certification"]["certificates"].size(), 3U);
  json pck = out["certification"]["certificates"][0];
  EXPECT_EQ(pck["common_name"], "Intel SGX PCK Certificate");
  EXPECT_EQ(pck["valid_until"], "2031-03-07T15:01:04Z");
  EXPECT_EQ(pck["platform"]["fmspc"], "00606a000000");
  EXPECT_EQ(pck["platform"]["pce_svn"], 13);
  EXPECT_EQ(pck["platform"]["sgx_type"], "scalable");
  EXPECT_EQ(pck["platform"]["dynamic_platform"], true);
  EXPECT_EQ(out["simulated"], false);
}

TEST(InspectCommand, tdx_quote_is_shown_as_one) {
  json out = inspect_json(file("T4_phala_tdx_v4", "quote.bin"));
  EXPECT_EQ(out["format"], "TDX quote, version 4");
  EXPECT_EQ(out["header"]["tee_type_name"], "TDX");
  EXPECT_EQ(out["td_report"]["rtmr"].size(), 4U);
  EXPECT_EQ(out["td_report"]["td_attribute_names"], json({"SEPT_VE_DISABLE"}));
  EXPECT_EQ(out["td_report"]["tdx_module_version"], "1.6");
  EXPECT_EQ(out["trailing_bytes"], 70);
  EXPECT_EQ(out["certification"]["certificates"].size(), 3U);
}

TEST(InspectCommand, debug_enclave_is_shown_loudly) {
  fake::TempFolder folder;
  Bytes quote = fake::quote_case(kA).quote;
  quote[96] |= 2;  // DEBUG in the attributes; the signature breaks, which inspect does not look at
  std::string path = folder.path() / "quote.bin";
  ASSERT_TRUE(base::write_file_atomic(path, quote, 0600));
  Finished text = enclayer_cli({"inspect", "--quote", path});
  EXPECT_THAT(text.out, HasSubstr("DEBUG: "));
  EXPECT_THAT(text.out, HasSubstr("debug: YES"));
  EXPECT_EQ(inspect_json(path)["report"]["debug"], true);
}

TEST(InspectCommand, damaged_certificates_do_not_hide_the_rest) {
  json out = inspect_json(file("N_chain_empty", "quote.bin"));
  EXPECT_EQ(out["certification"]["size"], 0);
  EXPECT_TRUE(out["certification"]["certificates"].empty());
}

TEST(InspectCommand, damaged_quote_ends_with_2_and_what_is_none_with_1) {
  for (const char* name : {"N_trunc_48", "N_trunc_436", "N_trunc_1020", "N_siglen_max"}) {
    Finished finished = enclayer_cli({"inspect", "--quote", file(name, "quote.bin")});
    EXPECT_EQ(finished.exit_code, 2) << name;
    EXPECT_THAT(finished.err, HasSubstr("quote: ")) << name;
  }
  EXPECT_EQ(enclayer_cli({"inspect", "--quote", file(kA, "collateral.json")}).exit_code, 1);
}

json savings_json(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "epc-savings");
  arguments.insert(arguments.end(), {"--output", "json"});
  Finished finished = enclayer_cli(arguments);
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  return json::parse(finished.out);
}

// What the figures give, calculated by hand: 543 + 634 pages of 4 KiB are 4.60 MiB.
TEST(EpcSavingsCommand, each_further_container_saves_one_copy_of_the_enclaves) {
  json out = savings_json({"--containers", "1,2,10,20,100"});
  EXPECT_EQ(out["copy_mib"], 4.6);
  EXPECT_EQ(out["workers"], 1);
  ASSERT_EQ(out["rows"].size(), 5U);
  auto saved = [&](std::size_t row) { return out["rows"][row]["in_use_mib"]["saved"].get<double>(); };
  for (auto [row, mib] :
       std::vector<std::pair<std::size_t, double>>{{0, 0}, {1, 4.6}, {2, 41.38}, {3, 87.36}, {4, 455.17}})
    EXPECT_DOUBLE_EQ(saved(row), mib) << row;
  json twenty = out["rows"][3];
  EXPECT_EQ(twenty["containers"], 20);
  EXPECT_EQ(twenty["in_use_mib"], json({{"in_process", 91.95}, {"out_of_process", 4.6}, {"saved", 87.36}}));
  EXPECT_EQ(twenty["to_ask_for_mib"], json({{"in_process", 100.0}, {"out_of_process", 5.0}, {"saved", 95.0}}));
  EXPECT_EQ(out["rows"][0]["to_ask_for_mib"]["saved"], 0.0) << "alone, a helper costs what it saves";
}

TEST(EpcSavingsCommand, every_figure_is_marked_measured_or_estimated) {
  json out = savings_json({"--containers", "20"});
  ASSERT_EQ(out["enclaves"].size(), 2U);
  EXPECT_EQ(out["enclaves"][0]["name"], "PCE");
  EXPECT_EQ(out["enclaves"][0]["pages"], 543);
  EXPECT_EQ(out["enclaves"][0]["basis"], "measured");
  EXPECT_EQ(out["enclaves"][1]["name"], "QE3");
  EXPECT_EQ(out["enclaves"][1]["pages"], 634);
  EXPECT_EQ(out["enclaves"][1]["basis"], "estimated");
  std::string text = enclayer_cli({"epc-savings", "--containers", "20"}).out;
  EXPECT_THAT(text, HasSubstr("measured"));
  EXPECT_THAT(text, HasSubstr("estimated"));
}

TEST(EpcSavingsCommand, workers_and_another_size_are_calculated_with) {
  json out = savings_json({"--containers", "20", "--workers", "4", "--copy-mib", "6.5"});
  EXPECT_EQ(out["copy_given"], true);
  EXPECT_TRUE(out["enclaves"].empty()) << "figures that were not used";
  EXPECT_EQ(out["rows"][0]["in_use_mib"], json({{"in_process", 130.0}, {"out_of_process", 26.0}, {"saved", 104.0}}));
  EXPECT_EQ(out["rows"][0]["to_ask_for_mib"],
            json({{"in_process", 140.0}, {"out_of_process", 28.0}, {"saved", 112.0}}));
}

TEST(EpcSavingsCommand, wrong_values_are_named_with_what_would_be_right) {
  for (const char* wrong : {"0", "-1", "1.5", "abc", "", "100001", "99999999999999999999", "1,x", " 1"}) {
    Finished finished = enclayer_cli({"epc-savings", "--containers", wrong});
    EXPECT_EQ(finished.exit_code, 1) << wrong;
    EXPECT_THAT(finished.err, HasSubstr("is not a whole number from 1 to 100000"));
    EXPECT_EQ(finished.out, "");
  }
  for (const char* wrong : {"0", "65", "two"}) {
    Finished finished = enclayer_cli({"epc-savings", "--containers", "1", "--workers", wrong});
    EXPECT_EQ(finished.exit_code, 1) << wrong;
    EXPECT_THAT(finished.err, HasSubstr("is not a whole number from 1 to 64"));
  }
  for (const char* wrong : {"0", "-4", "nan", "inf", "4,6", "4.6MiB", "1025"}) {
    Finished finished = enclayer_cli({"epc-savings", "--containers", "1", "--copy-mib", wrong});
    EXPECT_EQ(finished.exit_code, 1) << wrong;
    EXPECT_THAT(finished.err, HasSubstr("is not a number of MiB from 0.1 to 1024"));
  }
  EXPECT_THAT(enclayer_cli({"epc-savings"}).err, HasSubstr("--containers is required"));
}

json hints_json(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "autoscaler-hints");
  arguments.insert(arguments.end(), {"--output", "json"});
  Finished finished = enclayer_cli(arguments);
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  return json::parse(finished.out);
}

TEST(AutoscalerHintsCommand, each_cloud_is_told_of_epc_and_labels_in_its_own_place) {
  json out = hints_json({"--epc", "32Gi"});
  EXPECT_EQ(out["epc_mib"], 32768);
  EXPECT_EQ(out["labels"], json({{"enclayer.io/sgx", "true"}, {"enclayer.io/epc-mib", "32768"}}));
  const json& clouds = out["clouds"];
  EXPECT_EQ(
      clouds["aws"]["entries"],
      json({{"k8s.io/cluster-autoscaler/node-template/resources/kubernetes.azure.com/sgx_epc_mem_in_MiB", "32768"},
            {"k8s.io/cluster-autoscaler/node-template/label/enclayer.io/sgx", "true"},
            {"k8s.io/cluster-autoscaler/node-template/label/enclayer.io/epc-mib", "32768"}}));
  EXPECT_EQ(clouds["gcp"]["entries"], json({{"extended_resources", "kubernetes.azure.com/sgx_epc_mem_in_MiB=32768"},
                                            {"node_labels", "enclayer.io/sgx=true,enclayer.io/epc-mib=32768"}}));
  const json& annotations = clouds["cluster-api"]["entries"];
  EXPECT_EQ(annotations["capacity.cluster-autoscaler.kubernetes.io/gpu-type"],
            "kubernetes.azure.com/sgx_epc_mem_in_MiB");
  EXPECT_EQ(annotations["capacity.cluster-autoscaler.kubernetes.io/gpu-count"], "32768");
  EXPECT_EQ(clouds["karpenter"]["entries"], json({{"kubernetes.azure.com/sgx_epc_mem_in_MiB", "32768"}}));
}

// The autoscaler turns each '_' of such a tag into '/', and has no other way to write one.
TEST(AutoscalerHintsCommand, azure_is_not_told_a_resource_that_it_would_read_as_another) {
  json azure = hints_json({"--sku", "Standard_DC8s_v3", "--cloud", "azure"})["clouds"]["azure"];
  EXPECT_EQ(azure["tells_epc"], false);
  EXPECT_THAT(azure["note"].get<std::string>(), HasSubstr("keep one node in the pool"));
  EXPECT_EQ(azure["entries"], json({{"k8s.io_cluster-autoscaler_node-template_label_enclayer.io_sgx", "true"},
                                    {"k8s.io_cluster-autoscaler_node-template_label_enclayer.io_epc-mib", "32768"}}));
  json other = hints_json({"--epc", "4Gi", "--cloud", "azure", "--resource", "example.com/epc-mib"})["clouds"]["azure"];
  EXPECT_EQ(other["tells_epc"], true);
  EXPECT_EQ(other["entries"]["k8s.io_cluster-autoscaler_node-template_resources_example.com_epc-mib"], "4096");
}

TEST(AutoscalerHintsCommand, azures_sgx_sizes_are_known_by_name) {
  const std::pair<const char*, int> sizes[] = {{"DC1s_v2", 28},
                                               {"Standard_DC2s_v2", 56},
                                               {"Standard_DC8_v2", 168},
                                               {"Standard_DC1s_v3", 4096},
                                               {"Standard_DC16ds_v3", 65536},
                                               {"Standard_DC24s_v3", 131072},
                                               {"Standard_DC32ds_v3", 196608},
                                               {"Standard_DC48s_v3", 262144}};
  for (auto [name, mib] : sizes) EXPECT_EQ(hints_json({"--sku", name})["epc_mib"], mib) << name;
  Finished other = enclayer_cli({"autoscaler-hints", "--sku", "Standard_D4s_v3"});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.err, HasSubstr("'Standard_D4s_v3' is not one of Azure's SGX sizes"));
  EXPECT_THAT(other.err, HasSubstr("DC48ds_v3"));
  EXPECT_THAT(other.err, HasSubstr("--epc 32Gi"));
}

TEST(AutoscalerHintsCommand, epc_is_rounded_down_and_bounded) {
  EXPECT_EQ(hints_json({"--epc", "98566143"})["epc_mib"], 93);
  const std::pair<const char*, const char*> wrong[] = {{"1023Ki", "less than 1 MiB"},
                                                       {"257Gi", "more than the 256Gi"},
                                                       {"32G", "is not an amount of memory"},
                                                       {"-1", "is not an amount of memory"}};
  for (auto [epc, why] : wrong) {
    Finished finished = enclayer_cli({"autoscaler-hints", "--epc=" + std::string(epc)});
    EXPECT_EQ(finished.exit_code, 1) << epc;
    EXPECT_THAT(finished.err, HasSubstr(why)) << epc;
    EXPECT_EQ(finished.out, "");
  }
  EXPECT_THAT(enclayer_cli({"autoscaler-hints"}).err, HasSubstr("--epc 32Gi"));
  EXPECT_EQ(enclayer_cli({"autoscaler-hints", "--epc", "1Gi", "--sku", "DC1s_v3"}).exit_code, 1);
}

TEST(EpcSavingsCommand, document_shows_what_the_command_prints) {
  std::string page = base::read_text(ENCLAYER_SOURCE_DIR "/docs/attestation-modes.md", 1 << 20).value();
  const std::string prompt = "```\n$ enclayer ";
  std::size_t begin = page.find(prompt);
  ASSERT_NE(begin, std::string::npos);
  begin += prompt.size();
  std::size_t line_end = page.find('\n', begin), end = page.find("```", begin);
  std::istringstream words(page.substr(begin, line_end - begin));
  std::vector<std::string> arguments{std::istream_iterator<std::string>(words), {}};
  Finished finished = enclayer_cli(arguments);
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(page.substr(line_end + 1, end - line_end - 1), finished.out);
}

}  // namespace
}  // namespace enclayer
