// SPDX-License-Identifier: Apache-2.0
#include "helper/quotes.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/hex.h"
#include "base/log.h"
#include "quoting/dcap_source.h"
#include "quoting/pck_validity.h"
#include "sgx/platform.h"
#include "sim/enclave.h"
#include "sim/platform.h"
#include "sim/quoting_enclave.h"
#include "sim/self_test.h"

namespace enclayer::helper {
namespace {

namespace log = base::log;
using namespace std::chrono_literals;

// After something could not be renewed.
constexpr auto kRenewAgain = 60s;

class Simulated final : public Quotes {
 public:
  Simulated(sim::Platform platform, std::unique_ptr<sim::QuotingEnclave> source, quoting::SourceFacts facts)
      : platform_(std::move(platform)), source_(std::move(source)), facts_(std::move(facts)) {}

  quoting::QuoteSource& source() override { return *source_; }
  unsigned workers() const override { return 1; }
  std::string not_ready() override { return {}; }
  quoting::SourceFacts facts() const override { return facts_; }

  void look_after(Time now) override {
    if (now < next_try_) return;
    auto renewed = platform_.renew(now);
    if (!renewed) {
      log::error("collateral cannot be issued again", {{"reason", renewed.error().message()}});
      next_try_ = now + kRenewAgain;
    } else if (*renewed) {
      log::info("collateral issued again");
    }
  }
  // Keys are for ever; what is published from them may have been deleted or damaged.
  Result<> reload(Time now) override {
    platform_.look_again();
    ENCLAYER_CHECK(platform_.renew(now));
    return {};
  }
  void stop() override {}

 private:
  sim::Platform platform_;
  std::unique_ptr<sim::QuotingEnclave> source_;
  const quoting::SourceFacts facts_;
  Time next_try_{};
};

class Hardware final : public Quotes {
 public:
  Hardware(HardwareFlags flags, std::vector<std::string> environment, quoting::DcapLaunch launch,
           base::Metrics& metrics)
      : flags_(std::move(flags)), environment_(std::move(environment)) {
    quoting::DcapSourceOptions options;
    options.launch = std::move(launch);
    options.workers = flags_.workers;
    source_ = quoting::DcapQuoteSource::start(std::move(options), metrics);
  }

  quoting::QuoteSource& source() override { return *source_; }
  unsigned workers() const override { return flags_.workers; }
  std::string not_ready() override { return source_->not_ready(); }
  quoting::SourceFacts facts() const override { return source_->facts(); }
  void look_after(Time) override {}
  Result<> reload(Time) override {
    ENCLAYER_TRY(auto launch, hardware_launch(flags_, environment_));
    source_->reload(std::move(launch));
    return {};
  }
  void stop() override { source_->stop(); }

 private:
  const HardwareFlags flags_;
  const std::vector<std::string> environment_;
  std::unique_ptr<quoting::DcapQuoteSource> source_;
};

// What verifiers of this simulation's quotes are given has to work too.
Result<quoting::SelfTest> test_published(quoting::QuoteSource& source, const sim::Platform& platform,
                                         const std::filesystem::path& state_dir, Time now) {
  ENCLAYER_TRY(std::string text, base::read_text(sim::public_collateral_path(state_dir), Collateral::kMaxJsonSize));
  ENCLAYER_TRY(Collateral collateral, parse_collateral_json(text));
  return sim::self_test(source, collateral, platform.ca().root.certificate, now);
}

bool has_any_driver(const std::filesystem::path& dev_dir) {
  const base::Root dev(dev_dir);
  auto drivers = sgx::drivers();
  return std::any_of(drivers.begin(), drivers.end(), [&](const sgx::Driver& driver) {
    return sgx::look_at_node(dev, driver.enclave).state != sgx::NodeState::kMissing;
  });
}

}  // namespace

Result<std::unique_ptr<Quotes>> simulated_quotes(const std::filesystem::path& state_dir, Time now,
                                                 base::Metrics& metrics) {
  ENCLAYER_TRY(auto platform, sim::Platform::open(state_dir, now));
  ENCLAYER_TRY(auto source, sim::QuotingEnclave::make(platform.ca(), platform.attestation_key()));
  ENCLAYER_TRY(quoting::SelfTest test, test_published(*source, platform, state_dir, now));
  if (!test.passed())
    return Error(ErrorKind::kInternal, "the simulated Quoting Enclave makes no quotes:\n" + quoting::to_text(test));
  quoting::show_pck_validity(base::as_bytes(platform.ca().pck_chain()), metrics);
  log::info("simulated platform", {{"root", sim::public_root_path(state_dir).string()},
                                   {"pub_key_id", base::to_hex(source->terms_now()->target.pub_key_id)}});
  return std::unique_ptr<Quotes>(
      std::make_unique<Simulated>(std::move(platform), std::move(source), std::move(test.facts)));
}

Result<quoting::SelfTest> test_simulated_quotes(const std::filesystem::path& state_dir, Time now) {
  ENCLAYER_TRY(auto platform, sim::Platform::open(state_dir, now));
  ENCLAYER_TRY(auto source, sim::QuotingEnclave::make(platform.ca(), platform.attestation_key()));
  return test_published(*source, platform, state_dir, now);
}

Result<quoting::DcapLaunch> hardware_launch(const HardwareFlags& flags, const std::vector<std::string>& environment) {
  if (!has_any_driver(flags.dcap.dev_dir)) {
    auto platform = sgx::find_platform(sgx::cpuid_of_this_machine(), flags.dcap.dev_dir, "/sys");
    std::string why = platform ? "no SGX device is in " + flags.dcap.dev_dir.string() : platform.error().message();
    if (why.find("--platform sim") == std::string::npos) why += ". For a try without SGX: --platform sim";
    return Error(ErrorKind::kUnavailable, why);
  }
  return quoting::prepare_dcap_launch(flags.dcap, "/proc/self/exe", environment);
}

std::unique_ptr<Quotes> hardware_quotes(const HardwareFlags& flags, std::vector<std::string> environment,
                                        quoting::DcapLaunch launch, base::Metrics& metrics) {
  return std::make_unique<Hardware>(flags, std::move(environment), std::move(launch), metrics);
}

}  // namespace enclayer::helper
