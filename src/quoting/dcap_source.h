// SPDX-License-Identifier: Apache-2.0
// Quotes from SGX hardware: Intel's libraries in worker processes, behind a source that never waits longer than it
// says.
//
// Each worker has a thread of its own in the front end, which starts it, prepares the key (init, size), serves quotes
// one by one and starts it anew when it has died. What clients ask for most, target() and quote_size(), comes from
// memory as long as a worker is up. Once an hour an idle worker prepares the key again, so that certificates are
// renewed outside of any request.
//
// A quote that kills its worker costs that request, and one that hangs costs it the timeout and one more try where
// another worker is up; all others wait for another worker or the next life of this one. All workers must agree on the
// QE and its key, because a client may learn the target from one and be served by another: a worker that disagrees with
// those that serve is ended, and tried again later.
//
// When the key or the QE has changed, enclaves that learned the old target are told ATT_KEY_NOT_INITIALIZED (AESM 42),
// on which clients ask for the target again. A report with a wrong MAC is answered the same (dcap_status.h).
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "quoting/dcap_launch.h"
#include "quoting/quote_source.h"
#include "quoting/source_facts.h"

namespace enclayer::base {
class Metrics;
}

namespace enclayer::quoting {

struct DcapSourceOptions {
  DcapLaunch launch;
  unsigned workers = 1;            // each loads its own QE3 and PCE: about 5 MiB of EPC
  std::size_t most_waiting = 256;  // quotes that wait for a worker; more are refused with BUSY

  // How long a caller waits at most, for its turn and its answer: then BUSY (AESM 18). Intel's clients give up after 15
  // s.
  std::chrono::milliseconds budget{12'000};
  // A worker that spends longer on one quote is taken for hung and killed. Its first quote may load an enclave and
  // fetch certificates; after that, a hang leaves time for a second try within the budget.
  std::chrono::milliseconds first_quote_timeout{10'000};
  std::chrono::milliseconds quote_timeout{5'000};
  // The same for loading the enclaves and for preparing the key, which may fetch certificates: no client waits for it
  // longer than its budget.
  std::chrono::milliseconds start_timeout{90'000};
  // The pause before a worker that died or could not start is started again; doubled each time, up to `longest_pause`.
  std::chrono::milliseconds first_pause{200};
  std::chrono::milliseconds longest_pause{30'000};
  std::chrono::milliseconds refresh_every{3'600'000};
};

// An error of target(), quote_size() and quote() has the AESM code that the client is to be told as its code(). Where
// no worker is up because the last one could not be started, the reason is answered at once: a sentence that names the
// missing file and its package, or what Intel's library said.
class DcapQuoteSource : public QuoteSource {
 public:
  // Starts the workers in the background; `metrics` outlives the source. Whether quotes can be had, target() tells.
  static std::unique_ptr<DcapQuoteSource> start(DcapSourceOptions options, base::Metrics& metrics);

  // Why no quote can be had now: no worker is up yet, or why the last one could not be started; empty when one is.
  virtual std::string not_ready() const = 0;

  // What is known of them so far.
  virtual SourceFacts facts() const = 0;

  // From now on workers are started so. Those that run are started again, one after the other, each when its quote is
  // made: with several workers there is no gap.
  virtual void reload(DcapLaunch launch) = 0;

  // Ends the workers. Whoever waits is answered BUSY at once, and so is everybody after that: no thread of a server has
  // to be waited for. The destructor does the same, but there nobody may be waiting any more.
  virtual void stop() = 0;
};

}  // namespace enclayer::quoting
