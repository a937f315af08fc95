// SPDX-License-Identifier: Apache-2.0
// Where this helper's quotes come from, and what has to be done for that while it runs. Two kinds: simulated, and
// Intel's libraries on SGX hardware. Neither is ever the other's fallback.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "enclayer/time.h"
#include "quoting/dcap_launch.h"
#include "quoting/quote_source.h"
#include "quoting/self_test.h"
#include "quoting/source_facts.h"

namespace enclayer::helper {

class Quotes {
 public:
  virtual ~Quotes() = default;

  virtual quoting::QuoteSource& source() = 0;

  // Quotes that are made at once.
  virtual unsigned workers() const = 0;

  // Why no quote can be had now; empty when an init has succeeded, and in the simulation a whole quote.
  virtual std::string not_ready() = 0;

  // What is known of the source.
  virtual quoting::SourceFacts facts() const = 0;

  // Cheap when there is nothing to do: to be called every second. Renews what runs out.
  virtual void look_after(Time now) = 0;

  // Reads again what the operator may have changed (SIGHUP). An error: everything stays as it was.
  virtual Result<> reload(Time now) = 0;

  // Every request for a quote that waits is answered BUSY at once, and so is each after that.
  virtual void stop() = 0;
};

// Opens the simulated platform in `state_dir`, or makes it there, and makes a first quote.
Result<std::unique_ptr<Quotes>> simulated_quotes(const std::filesystem::path& state_dir, Time now,
                                                 base::Metrics& metrics);

// --self-test of the simulation.
Result<quoting::SelfTest> test_simulated_quotes(const std::filesystem::path& state_dir, Time now);

struct HardwareFlags {
  quoting::DcapOptions dcap;
  unsigned workers = 1;
};

// How a worker is started on this machine. kUnavailable where it has no SGX device at all, with what to do.
Result<quoting::DcapLaunch> hardware_launch(const HardwareFlags& flags, const std::vector<std::string>& environment);

// Starts the workers with `launch`, as hardware_launch() made it from the same flags and environment. That none can be
// started is said in the log and by not_ready(), and tried again: certificates that cannot be fetched now may be in a
// minute.
std::unique_ptr<Quotes> hardware_quotes(const HardwareFlags& flags, std::vector<std::string> environment,
                                        quoting::DcapLaunch launch, base::Metrics& metrics);

}  // namespace enclayer::helper
