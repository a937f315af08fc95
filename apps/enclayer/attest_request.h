// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace CLI {
class App;
}

namespace enclayer::apps {

// Adds `request` to `enclayer attest`.
void add_attest_request(CLI::App& attest, int& exit_code);

}  // namespace enclayer::apps
