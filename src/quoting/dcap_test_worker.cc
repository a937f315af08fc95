// SPDX-License-Identifier: Apache-2.0
// What the product's main() does when it is started as a quote worker, and nothing else.
#include <unistd.h>

#include "quoting/dcap_worker.h"

int main(int argc, char** argv) {
  auto options = enclayer::quoting::dcap_worker_options(argc, argv);
  ::_exit(options ? enclayer::quoting::run_dcap_worker(enclayer::quoting::kDcapWorkerSocket, *options) : 64);
}
