// SPDX-License-Identifier: Apache-2.0
// enclayer-attest: evidence in, tokens out. docs/attestation-service.md is the page for users.
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "attest/service.h"
#include "attest/vault_transit.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metric_names.h"
#include "base/metrics.h"
#include "base/version.h"
#include "cli_support.h"
#include "collateral/service.h"
#include "http/account_client.h"
#include "http/https_server.h"
#include "http/listen_address.h"
#include "http/server.h"

namespace enclayer::attest {
namespace {

namespace fs = std::filesystem;
namespace log = base::log;
namespace metric = base::metric;

constexpr auto kProgram = "enclayer-attest";
constexpr std::size_t kMaxPem = 1 << 20;      // bytes
constexpr std::chrono::hours kEarlyPause{1};  // a service may know no early edition
constexpr int kRefreshEvery = 5'000;          // ms: policy, keys and certificate are looked at

struct Flags {
  apps::DaemonOptions daemon;
  std::string listen = "127.0.0.1:8443", issuer, pccs_url, subject = "mrsigner";
  fs::path tls_cert, tls_key, client_ca, state_dir, keys_dir, policy, verify_policy, collateral, cache_dir, cacert,
      simulated_root;
  std::vector<std::string> fmspc, audiences, release_clients, release_accounts, tls_names;
  std::string keys_secret, authority_map;
  std::string release_audience = "enclayer-attest";
  std::string vault_url, vault_key = "transit/enclayer-attest";
  fs::path vault_token_file, vault_cacert;
  fs::path secrets_dir, release_policies, account_dir = "/var/run/secrets/kubernetes.io/serviceaccount";
  bool plain_http = false, legacy_claims = false, demand_nonce = false, collateral_door = false;
  int token_life = 600;
};

constexpr auto kDescription =
    R"(Judges quotes of SGX enclaves and TDX guests, and gives out tokens that others check by OpenID Connect discovery.
Clients of Azure Attestation need no change; Vault, Kubernetes and others take the same tokens.
Whoever controls the machine that this runs on can make any token: run it where the relying parties are, not the enclaves.
)";

constexpr auto kFooter = R"(
What is accepted: what `enclayer verify --policy` would trust (--verify-policy), and of that what --policy permits, a text
in Azure Attestation's policy language (`enclayer attest policy --help`). Policy, keys and certificate are read again every
5 s, and at SIGHUP; what is broken then leaves what was there before.

Examples:
  enclayer-attest --listen 0.0.0.0:8443 --tls-cert tls.crt --tls-key tls.key --issuer https://attest.bank.example \
      --state-dir /var/lib/enclayer-attest --policy policy.txt --pccs-url https://pccs.bank.example:8081 \
      --cache-dir /var/cache/enclayer --fmspc 00606a000000 --audience vault
  enclayer-attest --plain-http --issuer http://127.0.0.1:8443/simulated --state-dir state --policy policy.txt \
      --simulated-root root.pem --collateral collateral.json
      for a try, with what `enclayer sim case up-to-date` writes; its tokens say that they prove nothing

Exit codes: 0 stopped by SIGTERM or SIGINT; 1 misuse; 2 a policy, key, certificate or collateral is malformed; 3 a file
cannot be read; 5 the port is taken, or the keys are those of another kind of instance.)";

void add_flags(CLI::App& app, Flags& flags) {
  apps::add_common(app);
  app.footer(kFooter);
  app.add_option("--listen", flags.listen, "Where the doors are")->option_text("ADDR:PORT [127.0.0.1:8443]");
  auto* cert = app.add_option("--tls-cert", flags.tls_cert, "The server's certificate and what leads up to its root")
                   ->option_text("PEM");
  auto* key = app.add_option("--tls-key", flags.tls_key, "Its private key")->option_text("PEM");
  cert->needs(key);
  key->needs(cert);
  auto* names =
      app.add_option("--tls-name", flags.tls_names,
                     "In their place: make a certificate for these names, kept beside the signing keys; clients "
                     "trust ca.crt in --state-dir")
          ->delimiter(',')
          ->excludes(cert)
          ->option_text("DNS-NAME,...");
  app.add_flag("--plain-http", flags.plain_http, "Without TLS, on loopback alone: behind a proxy that has it")
      ->excludes(cert)
      ->excludes(names);
  app.add_option("--client-ca", flags.client_ca,
                 "Clients with a certificate of these authorities are known by its subject")
      ->option_text("PEM");
  app.add_option("--issuer", flags.issuer, "The URL under which clients reach this service; tokens name it")
      ->option_text("URL (required)");
  auto* state = app.add_option("--state-dir", flags.state_dir, "Where signing keys are made, kept and turned over")
                    ->option_text("DIR");
  app.add_option("--keys-dir", flags.keys_dir,
                 "In its place: signing keys that somebody else makes, as a mounted Secret")
      ->excludes(state)
      ->excludes(names)
      ->option_text("DIR");
  auto* secret = app.add_option("--keys-secret", flags.keys_secret,
                                "Have those of --state-dir in common with all replicas, in this Secret, which is there "
                                "before; takes the rights get and patch of it")
                     ->needs(state)
                     ->option_text("NAMESPACE/NAME");
  app.add_option("--authority-map", flags.authority_map,
                 "... and tell clients the authority of --tls-name in this ConfigMap beside it")
      ->needs(secret)
      ->needs(names)
      ->option_text("NAME");
  app.add_option("--policy", flags.policy, "Which evidence gets a token: a text in Azure Attestation's policy language")
      ->option_text("FILE (required)");
  app.add_option("--verify-policy", flags.verify_policy,
                 "What is accepted at all, as in `enclayer verify --policy`; --policy can only ask for more")
      ->option_text("JSON [UpToDate, no debugger]");
  auto* file = app.add_option("--collateral", flags.collateral,
                              "Collateral for every quote, as in `enclayer verify --collateral`")
                   ->option_text("FILE");
  auto* cache = app.add_option("--cache-dir", flags.cache_dir,
                               "Collateral from this folder, which `enclayer collateral import` fills, too")
                    ->option_text("DIR");
  auto* pccs = app.add_option("--pccs-url", flags.pccs_url, "The service (PCS or PCCS) that collateral is fetched from")
                   ->option_text("URL");
  file->excludes(cache)->excludes(pccs);
  app.add_option("--fmspc", flags.fmspc, "Platforms that collateral is fetched for, beside those that the cache knows")
      ->needs(pccs)
      ->delimiter(',')
      ->option_text("12-HEX-DIGITS,...");
  app.add_option("--cacert", flags.cacert, "Trust these authorities for --pccs-url instead of the system's")
      ->needs(pccs)
      ->option_text("PEM");
  app.add_option("--simulated-root", flags.simulated_root,
                 "Trust this root instead of Intel's: for a simulation, which proves nothing; the issuer has to say so")
      ->option_text("PEM");
  app.add_option("--audience", flags.audiences,
                 "Make EAR tokens (GET /nonce, POST /ear) for this relying party; repeatable")
      ->delimiter(',')
      ->option_text("NAME");
  app.add_flag("--demand-nonce", flags.demand_nonce,
               "... only for evidence with a nonce of this service; Azure's doors know none");
  app.add_option("--subject", flags.subject, "... whose subject is the enclave's signer and product, or its MRENCLAVE")
      ->check(CLI::IsMember({"mrsigner", "mrenclave"}))
      ->option_text("mrsigner|mrenclave [mrsigner]");
  app.add_option("--token-life", flags.token_life, "How long tokens are good for at most, in seconds")
      ->check(CLI::Range(60, 86'400))
      ->option_text("SECONDS [600]");
  app.add_flag("--legacy-claims", flags.legacy_claims,
               "Azure's deprecated claims beside the new ones, for old clients");
  app.add_flag("--collateral-door", flags.collateral_door,
               "Serve the collateral to other verifiers, at /sgx/certification/v4/ and /tdx/certification/v4/");
  auto* secrets = app.add_option("--secrets-dir", flags.secrets_dir,
                                 "Release these secrets, a file each, wrapped to a key that stands in evidence")
                      ->option_text("DIR");
  auto* policies = app.add_option("--release-policies", flags.release_policies,
                                  "... by these policies in Key Vault's grammar, SECRET.json each")
                       ->option_text("DIR");
  secrets->needs(policies);
  policies->needs(secrets);
  app.add_option("--release-client", flags.release_clients,
                 "... to who proves a certificate of --client-ca with this subject (RFC 2253); repeatable")
      ->needs(secrets)
      ->option_text("SUBJECT");
  app.add_option("--release-account", flags.release_accounts,
                 "... to who has a token of this ServiceAccount, as the API server says; repeatable")
      ->needs(secrets)
      ->delimiter(',')
      ->option_text("NAMESPACE/NAME");
  app.add_option("--release-audience", flags.release_audience, "... for this audience")
      ->option_text("NAME [enclayer-attest]");
  auto* vault = app.add_option("--vault-url", flags.vault_url,
                               "... which are ciphertexts of Vault's transit engine, decrypted by it on each release")
                    ->needs(secrets)
                    ->option_text("URL");
  auto* vault_token = app.add_option("--vault-token-file", flags.vault_token_file,
                                     "Where Vault's agent keeps our token; it needs `update` on MOUNT/decrypt/KEY")
                          ->needs(vault)
                          ->option_text("FILE");
  vault->needs(vault_token);
  app.add_option("--vault-key", flags.vault_key, "The key there; the secret's name is its associated data")
      ->needs(vault)
      ->option_text("MOUNT/KEY [transit/enclayer-attest]");
  app.add_option("--vault-cacert", flags.vault_cacert,
                 "Trust these authorities for --vault-url instead of the system's")
      ->needs(vault)
      ->option_text("PEM");
  app.add_option("--account-dir", flags.account_dir, "Where the pod's own token and ca.crt are")
      ->option_text("DIR [/var/run/secrets/kubernetes.io/serviceaccount]");
  apps::add_log_options(app, flags.daemon.log_level, flags.daemon.log_format);
  apps::add_metrics_options(app, flags.daemon);
}

Time now() { return std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now()); }

Result<http::ServerTls> read_tls(const Flags& flags) {
  http::ServerTls tls;
  ENCLAYER_TRY(tls.certificates, base::read_text(flags.tls_cert, kMaxPem));
  ENCLAYER_TRY(tls.key, base::read_text(flags.tls_key, kMaxPem));
  if (!flags.client_ca.empty()) {
    ENCLAYER_TRY(tls.client_authorities, base::read_text(flags.client_ca, kMaxPem));
  }
  return tls;
}

// `edition`: of the cache and the service.
Result<std::unique_ptr<PlatformCollateral>> collateral_of(const Flags& flags, const TrustedRoot& root,
                                                          const collateral::Edition& edition) {
  if (flags.cache_dir.empty() && flags.pccs_url.empty())
    return Error(
        ErrorKind::kInvalidArgument,
        "no quote can be judged without collateral: give --pccs-url URL, --cache-dir DIR or --collateral FILE");
  PlatformCollateral::Options options{.edition = edition, .now = now};
  if (edition == collateral::Edition::early()) {
    options.for_verified = true;
    options.pause = kEarlyPause;
  }
  if (!flags.cache_dir.empty()) options.cache = flags.cache_dir;
  for (const std::string& text : flags.fmspc) {
    ENCLAYER_TRY(const auto fmspc, collateral::fmspc_from(text));
    options.fmspc.push_back(fmspc);
  }
  if (flags.pccs_url.empty()) return PlatformCollateral::of_cache(std::move(options));
  ENCLAYER_TRY(options.service, collateral::service_url(flags.pccs_url));
  http::Options client;
  client.advice = collateral::service_advice();
  client.user_agent = std::string(kProgram) + "/" + base::kVersion;
  ENCLAYER_TRY(client.ca_pem, apps::trusted_authorities(flags.cacert));
  client.proxies = http::proxies_of_environment(apps::environment);
  options.ask = [client, root, edition,
                 service = options.service](const collateral::PlatformKind& platform) -> Result<Collateral> {
    http::Client http(client);
    ENCLAYER_TRY(auto answer, collateral::fetch(http, service, platform, root, edition));
    return std::move(answer.collateral);
  };
  return PlatformCollateral::of_cache(std::move(options));
}

// What quotes are judged by, and what is said to await their platforms.
Result<> add_collateral(const Flags& flags, Service::Parts& parts) {
  if (flags.collateral.empty()) {
    ENCLAYER_TRY(parts.collateral, collateral_of(flags, parts.root, {}));
    ENCLAYER_TRY(parts.early_collateral, collateral_of(flags, parts.root, collateral::Edition::early()));
    return {};
  }
  ENCLAYER_TRY(std::string text, base::read_text(flags.collateral, Collateral::kMaxJsonSize));
  auto of_file = PlatformCollateral::of_file(std::move(text));
  if (!of_file) return of_file.error().with_context(flags.collateral.string());
  parts.collateral = *std::move(of_file);
  return {};
}

Result<http::ApiServer> api_server(const Flags& flags, const char* flag) {
  auto api = http::api_server_of_pod(apps::environment("KUBERNETES_SERVICE_HOST"),
                                     apps::environment("KUBERNETES_SERVICE_PORT"), flags.account_dir);
  return api ? api : api.error().with_context(flag);
}

// "NAMESPACE/NAME" in its two parts.
Result<std::pair<std::string, std::string>> object_name(const char* flag, const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos || slash == 0 || slash + 1 == text.size() || text.find('/', slash + 1) != text.npos)
    return Error(ErrorKind::kInvalidArgument, std::string(flag) + " " + text + " is not NAMESPACE/NAME");
  return std::pair(text.substr(0, slash), text.substr(slash + 1));
}

Result<std::unique_ptr<Keyring>> keyring_of(const Flags& flags, const Instance& instance) {
  const bool ours = flags.keys_dir.empty();
  const fs::path folder = ours ? flags.state_dir / "keys" : flags.keys_dir;
  Keyring::Options options{
      .signing = {.folder = folder, .ours = ours, .simulated = instance.simulated, .token_life = instance.token_life}};
  if (!flags.tls_names.empty()) {
    ENCLAYER_TRY(options.certificate, ServerCertificate::open(folder, flags.tls_names));
  }
  if (!flags.keys_secret.empty()) {
    ENCLAYER_TRY(const auto name, object_name("--keys-secret", flags.keys_secret));
    ENCLAYER_TRY(auto api, api_server(flags, "--keys-secret"));
    options.secret.emplace(KeySecret::Options{std::move(api), name.first, name.second, folder});
    options.authority_map = flags.authority_map;
  }
  return Keyring::open(std::move(options), now());
}

// Who may ask for secrets, and which there are. Nobody may unless named.
Result<> add_release(const Flags& flags, Service::Parts& parts) {
  if (flags.secrets_dir.empty()) return {};
  Callers::Options callers{
      .subjects = flags.release_clients, .audience = flags.release_audience, .account = flags.account_dir};
  if (!callers.subjects.empty() && flags.client_ca.empty())
    return Error(ErrorKind::kInvalidArgument,
                 "--release-client needs --client-ca: whose certificates are to be believed?");
  for (const std::string& account : flags.release_accounts) {
    ENCLAYER_TRY(const auto name, object_name("--release-account", account));
    callers.accounts.push_back("system:serviceaccount:" + name.first + ":" + name.second);
  }
  if (!callers.accounts.empty()) {
    ENCLAYER_TRY(const auto api, api_server(flags, "--release-account"));
    callers.api_server = api.url;
  }
  parts.callers = Callers(std::move(callers));
  if (!parts.callers.anybody())
    return Error(ErrorKind::kInvalidArgument,
                 "--secrets-dir: nobody may ask for them; name who may with --release-client "
                 "or --release-account");
  ENCLAYER_TRY(auto secrets, SecretFolder::open(flags.secrets_dir));
  ENCLAYER_TRY(auto policies, SecretFolder::open(flags.release_policies));
  if (flags.vault_url.empty()) {
    parts.key_release.emplace(std::move(secrets), std::move(policies), log_release);
    return {};
  }
  VaultTransit::Options options{.url = flags.vault_url, .key = flags.vault_key, .token_file = flags.vault_token_file};
  options.http.user_agent = std::string(kProgram) + "/" + base::kVersion;
  ENCLAYER_TRY(options.http.ca_pem, apps::trusted_authorities(flags.vault_cacert));
  auto vault = VaultTransit::open(std::move(options));
  if (!vault) return vault.error().with_context("--vault-url, --vault-key");
  parts.key_release.emplace(
      std::move(secrets), std::move(policies), log_release,
      [vault = *std::move(vault)](std::string_view name, ByteView stored) { return vault.decrypt(name, stored); },
      VaultTransit::kMaxCiphertext);
  return {};
}

Result<Service::Parts> parts_of(const Flags& flags) {
  Service::Parts parts;
  parts.now = now;
  parts.instance = {.issuer = flags.issuer,
                    .simulated = !flags.simulated_root.empty(),
                    .token_life = std::chrono::seconds(flags.token_life),
                    .audiences = flags.audiences,
                    .legacy_claims = flags.legacy_claims,
                    .demand_nonce = flags.demand_nonce,
                    .subject_is_mrenclave = flags.subject == "mrenclave"};
  ENCLAYER_CHECK(check(parts.instance));
  if (parts.instance.simulated) {
    ENCLAYER_TRY(const std::string pem, base::read_text(flags.simulated_root, kMaxPem));
    auto root = TrustedRoot::from_pem(pem);
    if (!root) return root.error().with_context(flags.simulated_root.string());
    if (!root->simulated())
      return Error(ErrorKind::kInvalidArgument,
                   flags.simulated_root.string() + " is no root of a simulation: its name does not say SIMULATED");
    parts.root = *root;
  }
  if (!flags.verify_policy.empty()) {
    ENCLAYER_TRY(const std::string text, base::read_text(flags.verify_policy, Policy::kMaxJsonSize));
    auto floor = parse_policy_json(text);
    if (!floor) return floor.error().with_context(flags.verify_policy.string());
    parts.floor = *floor;
  }
  parts.floor.allow_simulated = parts.instance.simulated;  // which root is trusted decides
  if (flags.state_dir.empty() && flags.keys_dir.empty())
    return Error(ErrorKind::kInvalidArgument,
                 "there is no place for signing keys: give --state-dir DIR or --keys-dir DIR");
  ENCLAYER_TRY(parts.keys, keyring_of(flags, parts.instance));
  ENCLAYER_CHECK(add_collateral(flags, parts));
  ENCLAYER_CHECK(add_release(flags, parts));
  parts.policy = flags.policy;
  parts.collateral_door = flags.collateral_door;
  return parts;
}

void allow_connections(std::size_t number) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= number + 64) return;
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, number + 64);
  ::setrlimit(RLIMIT_NOFILE, &files);
}

// Empty where it has not expired.
std::string expiry_remark(const PlatformCollateral& collateral) {
  const auto expiry = collateral.first_expiry();
  return expiry && *expiry < now() ? "collateral has expired at " + format_time(*expiry) +
                                         ": evidence that needs it is refused until there is newer one"
                                   : "";
}

// What clients have to trust, for them to read: the keys' folder is closed to them.
Result<> show_authority(const Flags& flags) {
  const fs::path shown = flags.state_dir / "ca.crt";
  ENCLAYER_TRY(const std::string pem, base::read_text(flags.state_dir / "keys" / "ca.crt", kMaxPem));
  if (const auto there = base::read_text(shown, kMaxPem); there && *there == pem) return {};
  return base::write_file_atomic(shown, base::as_bytes(pem), 0644);
}

Result<std::unique_ptr<http::Server>> serve_probes(const Flags& flags, base::Metrics& metrics, Service& service,
                                                   const http::HttpsServer& server,
                                                   const PlatformCollateral& collateral) {
  if (flags.daemon.metrics_listen.empty()) return nullptr;
  auto figure = [](auto number) { return static_cast<double>(number); };
  http::Probes probes;
  probes.before_metrics = [&, figure] {
    const auto load = server.load();
    metrics.gauge(metric::kAttestConnections).set(figure(load.connections));
    metrics.replace(metric::kAttestConnectionsLost, {{{{"reason", "gave way"}}, figure(load.evicted)},
                                                     {{{"reason", "told to come back"}}, figure(load.refused)},
                                                     {{{"reason", "too slow"}}, figure(load.slow)}});
    service.before_metrics();
    metrics.replace(metric::kAttestCollateralFailures, {{{}, figure(collateral.failures())}});
    if (const auto expiry = collateral.first_expiry())
      metrics.gauge(metric::kAttestCollateralExpires).set(figure(expiry->time_since_epoch().count()));
  };
  probes.remark = [&] {
    const std::string expired = expiry_remark(collateral), broken = service.remark();
    return expired + (expired.empty() || broken.empty() ? "" : "; ") + broken;
  };
  ENCLAYER_TRY(auto served, http::serve_metrics(flags.daemon.metrics_listen, metrics, probes));
  log::info("metrics served", {{"address", served->address()}});
  return served;
}

// Another certificate, if there is one that is good.
void renew_tls(const Flags& flags, http::HttpsServer& server, http::ServerTls& tls) {
  auto found = read_tls(flags);
  if (found && found->certificates == tls.certificates && found->key == tls.key) return;
  auto renewed = found ? server.renew(*found) : Result<>(found.error());
  if (!renewed) return log::error("certificate broken, the old one stays", {{"reason", renewed.error().message()}});
  tls = *std::move(found);
  log::info("certificate renewed");
}

Result<> run(Flags flags, int signals) {
  ENCLAYER_TRY(const auto where, http::parse_listen_address(flags.listen));
  if (flags.plain_http && !where.loopback)
    return Error(ErrorKind::kInvalidArgument,
                 "--plain-http is for loopback alone, and " + flags.listen + " is not: give --tls-cert and --tls-key");
  if (!flags.plain_http && flags.tls_cert.empty() && flags.tls_names.empty())
    return Error(ErrorKind::kInvalidArgument,
                 "--tls-cert and --tls-key are needed, or --tls-name, or on loopback --plain-http");
  for (const std::string& audience : flags.audiences)
    if (audience.empty()) return Error(ErrorKind::kInvalidArgument, "--audience '' names nobody");
  if (flags.demand_nonce && flags.audiences.empty())
    return Error(ErrorKind::kInvalidArgument, "--demand-nonce is about EAR tokens: it needs --audience");
  if (flags.plain_http && !flags.client_ca.empty())
    return Error(ErrorKind::kInvalidArgument, "--client-ca needs TLS: who proves a certificate over --plain-http?");
  base::Metrics metrics;
  ENCLAYER_TRY(auto parts, parts_of(flags));
  if (const auto& made = parts.keys->certificate()) {
    flags.tls_cert = made->certificate();
    flags.tls_key = made->key();
    ENCLAYER_CHECK(show_authority(flags));
  }
  http::ServerTls tls;
  if (!flags.plain_http) {
    ENCLAYER_TRY(tls, read_tls(flags));
  }
  const PlatformCollateral& collateral = *parts.collateral;
  if (const std::string expired = expiry_remark(collateral); !expired.empty()) log::warn(expired);
  ENCLAYER_TRY(const auto service, Service::open(std::move(parts), metrics));
  const http::ServerLimits limits;
  allow_connections(limits.connections);
  auto server = http::HttpsServer::listen(
      flags.listen, flags.plain_http ? nullptr : &tls,
      [&](const http::Incoming& request) { return service->answer(request); }, limits);
  if (!server)
    return server.error().kind() == ErrorKind::kMalformed ? server.error().with_context(flags.tls_cert.string())
                                                          : server.error();
  ENCLAYER_TRY(const auto probes, serve_probes(flags, metrics, *service, **server, collateral));
  log::info("serving", {{"address", (*server)->address()}, {"issuer", flags.issuer}, {"tls", !flags.plain_http}});

  while (true) {
    pollfd signal{signals, POLLIN, 0};
    if (::poll(&signal, 1, kRefreshEvery) > 0) {
      signalfd_siginfo info{};
      if (::read(signals, &info, sizeof info) == sizeof info && info.ssi_signo != SIGHUP) break;
    }
    ::malloc_trim(0);  // what a wave of connections took: the allocator keeps it otherwise, and the pod has a limit
    service->refresh();
    if (!flags.plain_http) renew_tls(flags, **server, tls);
    if (!flags.tls_names.empty())
      if (const auto shown = show_authority(flags); !shown)
        log::error("authority not shown", {{"reason", shown.error().message()}});
  }
  log::info("stopping");
  return {};
}

int main(int argc, char** argv) {
  sigset_t handled;
  ::sigemptyset(&handled);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&handled, signal);
  ::pthread_sigmask(SIG_BLOCK, &handled, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  const base::UniqueFd signals(::signalfd(-1, &handled, SFD_CLOEXEC));

  Flags flags;
  CLI::App app(kDescription, kProgram);
  add_flags(app, flags);
  if (auto parsed = apps::parse(app, argc, argv); !parsed.go_on) return parsed.exit_code;
  if (auto ended = apps::begin_daemon(kProgram, flags.daemon)) return *ended;
  // Only now: a probe needs neither.
  if (flags.issuer.empty() || flags.policy.empty())
    return apps::fail(kProgram,
                      Error(ErrorKind::kInvalidArgument, std::string(flags.issuer.empty() ? "--issuer" : "--policy") +
                                                             " is required; `enclayer-attest --help` says what it is"));
  auto done = run(std::move(flags), signals.get());
  return done ? 0 : apps::fail(kProgram, done.error());
}

}  // namespace
}  // namespace enclayer::attest

int main(int argc, char** argv) { return enclayer::attest::main(argc, argv); }
