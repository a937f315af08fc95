// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace CLI {
class App;
}

namespace enclayer::http {
struct Proxies;
}

namespace enclayer::apps {

// Adds `request` to `enclayer attest`. `proxies`: of the environment.
void add_attest_request(CLI::App& attest, const http::Proxies& proxies, int& exit_code);

}  // namespace enclayer::apps
