// SPDX-License-Identifier: Apache-2.0
// enclayer collateral: fetch what verification needs, keep it, carry it elsewhere. docs/collateral.md is the page for
// users.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/version.h"
#include "cli_support.h"
#include "collateral/cache.h"
#include "collateral/obtain.h"
#include "collateral/responses.h"
#include "collateral/service.h"
#include "commands.h"
#include "http/client.h"

namespace enclayer::apps {
namespace {

using collateral::Cache;
using collateral::Entry;
using collateral::PlatformKind;
using nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr std::size_t kMaxPemFile = 1 << 20;  // the authorities of a whole system have 220 KB

struct CacheOptions {
  std::string folder;
};

struct FetchOptions {
  std::string quote, fmspc, ca, tee{to_string(collateral::Tee::kSgx)}, pccs{collateral::kIntelService}, out,
      save_responses, cacert, root_ca, proxy, update;
  std::uint32_t evaluation_number = 0;  // 0: as the service likes
  std::string output = "text";
  bool has_proxy = false, no_cache = false, refresh = false, offline = false;
  int timeout = 60;
};

// CLI11 checks: "" is good, anything else says what is wrong.
template <auto parse>
CLI::Validator checked_by(const char* name) {
  return CLI::Validator(
      [](const std::string& text) {
        auto parsed = parse(text);
        return parsed ? std::string() : parsed.error().message();
      },
      "", name);
}

void print(const ordered_json& json) {
  std::printf("%s\n", json.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

ordered_json describe(const Entry& entry, Time now) {
  const collateral::Contents& contents = entry.contents;
  return {{"fmspc", base::to_hex(contents.platform.fmspc)},
          {"ca", to_string(contents.platform.ca)},
          {"tee", to_string(contents.platform.tee)},
          {"url", entry.url},
          {"fetched", format_time(entry.fetched)},
          {"valid_from", format_time(contents.validity.from)},
          {"expires", format_time(contents.validity.until)},
          {"first_to_expire", contents.first_to_expire},
          {"tcb_evaluation_data_number", contents.evaluation_number},
          {"age", to_string(age_of(entry, now))}};
}

// To a file as a whole, or to standard output.
Result<> write_out(const std::string& out, const std::string& text) {
  if (!out.empty()) return base::write_file_atomic(out, base::as_bytes(text), 0644);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    return base::errno_error(errno, "cannot write to standard output");
  return {};
}

Result<TrustedRoot> trusted_root(const std::string& file) {
  if (file.empty()) return TrustedRoot::intel();
  ENCLAYER_TRY(std::string pem, read_input_text(file, kMaxPemFile));
  auto root = TrustedRoot::from_pem(pem);
  if (!root) return root.error().with_context(file);
  return root;
}

// ---- fetch ----

Result<PlatformKind> wanted_platform(const FetchOptions& options) {
  if (options.quote.empty()) {
    PlatformKind out;
    ENCLAYER_TRY(out.fmspc, collateral::fmspc_from(options.fmspc));
    ENCLAYER_TRY(out.ca, collateral::pck_ca_from(options.ca));
    ENCLAYER_TRY(out.tee, collateral::tee_from(options.tee));
    return out;
  }
  ENCLAYER_TRY(Evidence evidence, read_evidence(options.quote));
  auto platform = collateral::platform_of_quote(evidence.quote);
  if (!platform) return platform.error().with_context(options.quote);
  if (platform->simulated && options.pccs == collateral::kIntelService)
    return Error(ErrorKind::kUnsupported,
                 options.quote +
                     " is of a SIMULATED platform, which Intel's service does not know; its collateral comes from "
                     "`enclayer sim export`, or lies beside it where `enclayer sim case` made it");
  return platform->kind;
}

http::Options http_options(const FetchOptions& options, http::Proxies proxies, std::string ca_pem) {
  http::Options out;
  out.advice = collateral::service_advice();
  out.limits.total = std::chrono::seconds(options.timeout);
  out.user_agent = std::string("enclayer/") + base::kVersion;
  out.ca_pem = std::move(ca_pem);
  if (options.has_proxy) proxies.http = proxies.https = options.proxy;
  out.proxies = std::move(proxies);
  return out;
}

collateral::Edition edition_of(const FetchOptions& options) {
  if (options.evaluation_number > 0) return collateral::Edition::number(options.evaluation_number);
  if (options.update.empty()) return {};
  return options.update == "early" ? collateral::Edition::early() : collateral::Edition::standard();
}

Result<> fetch(const FetchOptions& options, const CacheOptions& cache_options, const http::Proxies& proxies, Time now) {
  collateral::Request request;
  ENCLAYER_TRY(request.platform, wanted_platform(options));
  ENCLAYER_TRY(request.url, collateral::service_url(options.pccs));
  const collateral::Edition edition = edition_of(options);
  const std::string service = request.url;
  request.url = edition.with_url(service);
  request.offline = options.offline;
  request.refresh = options.refresh || !options.save_responses.empty();
  ENCLAYER_TRY(TrustedRoot root, trusted_root(options.root_ca));
  ENCLAYER_TRY(const std::string ca_pem, trusted_authorities(options.cacert));
  if (!options.cacert.empty() && ca_pem.find("-----BEGIN CERTIFICATE-----") == std::string::npos)
    return Error(ErrorKind::kMalformed, options.cacert + " has no certificate in PEM");
  std::optional<Cache> cache;
  if (!options.no_cache) {
    if (cache_options.folder.empty())
      return Error(ErrorKind::kInvalidArgument,
                   "there is no place for a cache: neither XDG_CACHE_HOME nor HOME is set; give --cache-dir DIR or "
                   "--no-cache");
    cache.emplace(cache_options.folder);
  }

  auto ask = [&]() -> Result<Collateral> {
    http::Client http(http_options(options, proxies, ca_pem));
    ENCLAYER_TRY(auto answer, collateral::fetch(http, service, request.platform, root, edition));
    if (!options.save_responses.empty()) {
      ENCLAYER_CHECK(collateral::write_responses(options.save_responses, answer.responses));
    }
    return std::move(answer.collateral);
  };
  ENCLAYER_TRY(auto obtained, collateral::obtain(cache ? &*cache : nullptr, request, now, ask));
  if (service.ends_with("/v3"))
    obtained.warnings.push_back(service + " is version 3 of the interface, which Intel has ended; version 4 is newer");
  for (const std::string& warning : obtained.warnings)
    std::fprintf(stderr, "enclayer collateral fetch: warning: %s\n", warning.c_str());
  ENCLAYER_CHECK(write_out(options.out, to_json(obtained.entry.collateral)));
  if (options.out.empty()) return {};
  if (options.output == "json") {
    ordered_json json = describe(obtained.entry, now);
    json["source"] = obtained.from_cache ? "cache" : "service";
    json["warnings"] = obtained.warnings;
    json["out"] = options.out;
    print(json);
  } else {
    std::printf("%s: %s, %s, holds until %s\n", options.out.c_str(), to_string(request.platform).c_str(),
                obtained.from_cache ? "from the cache" : "fetched",
                format_time(obtained.entry.contents.validity.until).c_str());
  }
  return {};
}

// ---- read ----

Result<> read_folder(const std::string& folder, const std::string& out) {
  ENCLAYER_TRY(auto responses, collateral::read_responses(folder));
  auto read = collateral::collateral_from(responses);
  if (!read) return read.error().with_context(folder);
  if (auto contents = collateral::contents_of(*read); !contents) return contents.error().with_context(folder);
  return write_out(out, to_json(*read));
}

// ---- list, export, import ----

Result<> list(const Cache& cache, const std::string& output, Time now) {
  ENCLAYER_TRY(auto entries, cache.list());
  if (output == "json") {
    ordered_json json = {{"cache_dir", cache.folder().string()}, {"entries", ordered_json::array()}};
    for (const Cache::Listed& listed : entries) {
      ordered_json one = listed.entry ? describe(*listed.entry, now)
                                      : ordered_json{{"age", "damaged"}, {"detail", listed.entry.error().message()}};
      one["file"] = listed.file;
      json["entries"].push_back(std::move(one));
    }
    print(json);
    return {};
  }
  if (entries.empty()) std::printf("nothing is cached in %s\n", cache.folder().c_str());
  for (const Cache::Listed& listed : entries) {
    if (!listed.entry) {
      std::printf("%s  damaged, will be fetched anew: %s\n", listed.file.c_str(),
                  listed.entry.error().message().c_str());
      continue;
    }
    const Entry& entry = *listed.entry;
    std::printf("%s  %-9s  %-11s  expires %s (%s)  TCB evaluation %u  %s  %s\n",
                base::to_hex(entry.contents.platform.fmspc).c_str(),
                std::string(to_string(entry.contents.platform.ca)).c_str(),
                std::string(to_string(age_of(entry, now))).c_str(), format_time(entry.contents.validity.until).c_str(),
                entry.contents.first_to_expire.c_str(), entry.contents.evaluation_number,
                std::string(to_string(entry.contents.platform.tee)).c_str(), entry.url.c_str());
  }
  return {};
}

Result<> export_to(const Cache& cache, const std::string& out, const std::string& output, Time now) {
  std::vector<Entry> entries;
  std::vector<std::string> left_out;
  ENCLAYER_TRY(auto all, cache.list());
  for (Cache::Listed& listed : all) {
    if (!listed.entry) {
      left_out.push_back(listed.file + " is damaged");
    } else if (age_of(*listed.entry, now) == collateral::Age::kExpired) {
      left_out.push_back(listed.file + " expired at " + format_time(listed.entry->contents.validity.until));
    } else {
      entries.push_back(std::move(*listed.entry));
    }
  }
  for (const std::string& what : left_out)
    std::fprintf(stderr, "enclayer collateral export: left out: %s\n", what.c_str());
  if (entries.empty())
    return Error(ErrorKind::kNotFound, "there is nothing to export in " + cache.folder().string() +
                                           "; `enclayer collateral fetch` brings it there");
  ENCLAYER_TRY(std::string bundle, collateral::to_bundle(entries));
  ENCLAYER_CHECK(base::write_file_atomic(out, base::as_bytes(bundle), 0644));
  if (output == "json") {
    ordered_json json = {{"out", out}, {"entries", ordered_json::array()}, {"left_out", left_out}};
    for (const Entry& entry : entries) json["entries"].push_back(describe(entry, now));
    print(json);
  } else {
    std::printf("%s: entries: %zu\n", out.c_str(), entries.size());
  }
  return {};
}

Result<> import_from(const Cache& cache, const std::string& file, const std::string& output, Time now) {
  ENCLAYER_TRY(std::string text, read_input_text(file, collateral::kMaxBundleSize));
  auto entries = collateral::entries_from_bundle(text);
  if (!entries) return entries.error().with_context(file);
  ordered_json json = {{"cache_dir", cache.folder().string()}, {"entries", ordered_json::array()}};
  for (const Entry& entry : *entries) {
    ENCLAYER_TRY(bool kept, cache.keep(entry));
    ordered_json one = describe(entry, now);
    one["kept"] = kept;
    json["entries"].push_back(std::move(one));
    if (output == "text")
      std::printf("%s, %s: %s, expires %s\n", to_string(entry.contents.platform).c_str(), entry.url.c_str(),
                  kept ? "imported" : "a newer one is there and stays",
                  format_time(entry.contents.validity.until).c_str());
  }
  if (output == "json") print(json);
  return {};
}

Result<Cache> cache_in(const CacheOptions& options) {
  if (options.folder.empty())
    return Error(ErrorKind::kInvalidArgument,
                 "there is no place for a cache: neither XDG_CACHE_HOME nor HOME is set; give --cache-dir DIR");
  return Cache(options.folder);
}

// ---- Flags ----

void add_cache_dir(CLI::App* command, CacheOptions& options) {
  command->add_option("--cache-dir", options.folder, "Where fetched collateral is kept")
      ->option_text("DIR [" + (options.folder.empty() ? "none" : options.folder) + "]");
}

void add_fetch(CLI::App* group, const CacheOptions& default_cache, const http::Proxies& proxies, Time now,
               int& exit_code) {
  auto options = std::make_shared<FetchOptions>();
  auto cache = std::make_shared<CacheOptions>(default_cache);
  CLI::App* command =
      group->add_subcommand("fetch", "Get collateral from Intel's service or a caching one, or from the cache");
  auto* quote = command->add_option("--quote", options->quote, "For the platform of this quote")->option_text("FILE");
  auto* fmspc = command->add_option("--fmspc", options->fmspc, "For the platforms of this FMSPC")
                    ->check(checked_by<collateral::fmspc_from>("FMSPC"))
                    ->option_text("12-HEX-DIGITS");
  auto* ca = command->add_option("--ca", options->ca, "... whose PCK certificates are of this authority")
                 ->check(checked_by<collateral::pck_ca_from>("CA"))
                 ->option_text("processor|platform");
  auto* tee = command->add_option("--tee", options->tee, "... and what of them: their enclaves or their trust domains")
                  ->check(checked_by<collateral::tee_from>("TEE"))
                  ->option_text("sgx|tdx [sgx]");
  quote->excludes(fmspc)->excludes(ca)->excludes(tee);
  tee->needs(fmspc);
  fmspc->needs(ca);
  ca->needs(fmspc);
  command->add_option("--pccs", options->pccs, "The service; without a path, /sgx/certification/v4 is added")
      ->check(checked_by<collateral::service_url>("URL"))
      ->option_text("URL [" + std::string(collateral::kIntelService) + "]");
  auto* update = command
                     ->add_option("--update", options->update,
                                  "TCB Info and QE Identity as soon as patches are public, or when platforms had time "
                                  "to be patched")
                     ->check(CLI::IsMember({"early", "standard"}))
                     ->option_text("early|standard [as the service likes, mostly standard]");
  command
      ->add_option("--evaluation-number", options->evaluation_number,
                   "Those of this TCB evaluation data number, for as long as Intel keeps them")
      ->check(CLI::Range(1u, 0xffffffffu))
      ->excludes(update)
      ->option_text("N");
  auto* out = command->add_option("--out", options->out, "Where the collateral goes, as JSON, for `enclayer verify`")
                  ->option_text("FILE [standard output]");
  auto* refresh = command->add_flag("--refresh", options->refresh, "Ask the service even if the cache is fresh");
  auto* offline = command->add_flag("--offline", options->offline, "Never ask the service: the cache or nothing");
  auto* no_cache = command->add_flag("--no-cache", options->no_cache, "Neither read nor write the cache");
  offline->excludes(refresh)->excludes(no_cache);
  add_cache_dir(command, *cache);
  command
      ->add_option("--save-responses", options->save_responses,
                   "Keep what the service answered in this folder, for `enclayer collateral read`; asks the service")
      ->excludes(offline)
      ->option_text("DIR");
  command
      ->add_option("--cacert", options->cacert,
                   "Trust these authorities for https instead of the system's, for a service with a private one")
      ->option_text("PEM");
  auto* proxy =
      command
          ->add_option("--proxy", options->proxy,
                       "Go through this proxy; \"\" for none. Without it the environment counts: https_proxy, "
                       "http_proxy, all_proxy, no_proxy")
          ->option_text("URL");
  command
      ->add_option("--root-ca", options->root_ca,
                   "The root whose certificate may say where its CRL is, instead of Intel's")
      ->option_text("PEM");
  command->add_option("--timeout", options->timeout, "For everything, retries included, in seconds")
      ->check(CLI::Range(1, 3600))
      ->option_text("SECONDS [60]");
  add_output_flag(*command, options->output)->needs(out)->description("What is said of it, when it goes to a file");
  command->footer(
      R"(The cache is asked first. An entry is fresh for a day; then, and in the day before it expires, the service is asked
again, and if it fails the entry is taken as long as it holds.

Exit codes: 0 done; 1 misuse; 2 the quote or what the service answered is malformed; 3 a file is not there, or
  the service does not know this platform; 4 the service does not answer, or not in time.
Example: enclayer collateral fetch --quote quote.bin --pccs https://pccs.example:8081 --out collateral.json
         enclayer verify --quote quote.bin --collateral collateral.json)");
  command->callback([=, &exit_code] {
    if (*quote || *fmspc) {
      options->has_proxy = static_cast<bool>(*proxy);
      auto done = fetch(*options, *cache, proxies, now);
      exit_code = done ? 0 : fail("enclayer collateral fetch", done.error());
      return;
    }
    throw CLI::RequiredError("--quote, or --fmspc and --ca,");
  });
}

void add_read(CLI::App* group, int& exit_code) {
  struct Options {
    std::string responses, out;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = group->add_subcommand("read", "Make collateral of a service's answers that were saved as files");
  command
      ->add_option("--responses", options->responses,
                   "pckcrl, pckcrl.headers, rootcacrl, tcb, tcb.headers, qe_identity, qe_identity.headers")
      ->required()
      ->option_text("DIR (required)");
  command->add_option("--out", options->out, "Where the collateral goes, as JSON")
      ->option_text("FILE [standard output]");
  command->footer(R"(Exit codes: 0 done; 1 misuse; 2 a file is malformed; 3 a file cannot be read or written.
Example, with nothing but curl on the machine that has a network:
  PCS=https://api.trustedservices.intel.com/sgx/certification/v4; mkdir responses; cd responses
  curl -fsD pckcrl.headers -o pckcrl "$PCS/pckcrl?ca=platform&encoding=der"
  curl -fsD tcb.headers -o tcb "$PCS/tcb?fmspc=00606a000000"
  curl -fsD qe_identity.headers -o qe_identity "$PCS/qe/identity"
  curl -fso rootcacrl https://certificates.trustedservices.intel.com/IntelSGXRootCA.der
  enclayer collateral read --responses . --out ../collateral.json)");
  command->callback([options, &exit_code] {
    auto done = read_folder(options->responses, options->out);
    exit_code = done ? 0 : fail("enclayer collateral read", done.error());
  });
}

// list, export and import: what they have in common is a cache and two ways to talk.
struct CacheCommand {
  CacheOptions cache;
  std::string file, output = "text";
};

template <class Run>
CLI::App* add_cache_command(CLI::App* group, const std::string& name, const char* description,
                            const std::shared_ptr<CacheCommand>& options, int& exit_code, Run run) {
  CLI::App* command = group->add_subcommand(name, description);
  add_cache_dir(command, options->cache);
  add_output_flag(*command, options->output);
  command->callback([options, name, &exit_code, run] {
    auto done = [&]() -> Result<> {
      ENCLAYER_TRY(Cache cache, cache_in(options->cache));
      return run(cache, *options);
    }();
    exit_code = done ? 0 : fail("enclayer collateral " + name, done.error());
  });
  return command;
}

}  // namespace

void add_collateral(CLI::App& app, Time now, const fs::path& cache_home, const http::Proxies& proxies, int& exit_code) {
  CacheOptions default_cache;
  if (!cache_home.empty()) default_cache.folder = cache_home / "enclayer" / "collateral";
  CLI::App* group = app.add_subcommand("collateral", "Fetch, keep and carry what verification needs beside a quote");
  group->require_subcommand(1);
  group->footer(
      R"(Collateral is what Intel says of a kind of platform: CRLs, TCB Info, QE Identity and who signed them. It holds for
about 30 days. `enclayer verify` reads it from a file and opens no connection; this command makes the file.
To carry it to a cluster without a network:
    enclayer collateral fetch --quote quote.bin --out /dev/null
    enclayer collateral export --out bundle
  and over there
    enclayer collateral import bundle
    enclayer collateral fetch --offline --quote quote.bin --out collateral.json
Each command explains itself: enclayer collateral fetch --help)");
  add_fetch(group, default_cache, proxies, now, exit_code);
  add_read(group, exit_code);

  auto options = [&] { return std::make_shared<CacheCommand>(CacheCommand{default_cache, "", "text"}); };
  add_cache_command(group, "list", "What is in the cache, and until when it holds", options(), exit_code,
                    [now](const Cache& cache, const CacheCommand& o) { return list(cache, o.output, now); })
      ->footer("Exit codes: 0 done, also when there is nothing; 1 misuse; 3 the folder cannot be read.");

  auto export_options = options();
  CLI::App* to = add_cache_command(
      group, "export", "Put all that holds in the cache into one file", export_options, exit_code,
      [now](const Cache& cache, const CacheCommand& o) { return export_to(cache, o.file, o.output, now); });
  to->add_option("--out", export_options->file, "Where the bundle goes")->required()->option_text("FILE (required)");
  to->footer(
      R"(Each line after the first is one entry: `tail -n +2 bundle | jq 'select(.fmspc == "00606a000000").collateral'`
gives what `enclayer verify --collateral` reads.
Exit codes: 0 done; 1 misuse; 3 nothing is there, or the file cannot be written.
Example: enclayer collateral export --out bundle)");

  auto import_options = options();
  CLI::App* from = add_cache_command(
      group, "import", "Take entries from an exported file into the cache", import_options, exit_code,
      [now](const Cache& cache, const CacheCommand& o) { return import_from(cache, o.file, o.output, now); });
  from->add_option("FILE", import_options->file, "What `enclayer collateral export` made")
      ->required()
      ->option_text(" ");
  from->footer(
      R"(A newer entry that is there stays. What is imported is not trusted more than what is fetched: `enclayer verify` judges.
Exit codes: 0 done; 1 misuse; 2 the file is damaged or no bundle, nothing was imported; 3 it cannot be read.
Example: enclayer collateral import bundle)");
}

}  // namespace enclayer::apps
