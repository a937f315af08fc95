// SPDX-License-Identifier: Apache-2.0
// enclayer-quote-helper, the real binary: what an honest client does with it, and one with a simulated platform and a
// folder of its own.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "aesm/client.h"
#include "fake/process.h"
#include "fake/temp_folder.h"
#include "net/frame_client.h"
#include "sim/enclave.h"

namespace enclayer::fake {

// Who asks at a socket, on a connection of its own for each request.
class QuoteClient {
 public:
  static constexpr std::chrono::seconds kPatience{60};

  explicit QuoteClient(std::filesystem::path socket) : socket_(std::move(socket)) {}

  // One request and its reply, both without length.
  Result<Bytes> ask(ByteView request) const { return net::call(socket_, request, kPatience); }

  Result<quoting::QuoteTarget> target() const {
    ENCLAYER_TRY(Bytes reply, ask(aesm::init_request()));
    return aesm::read_init_reply(reply);
  }

  // The report that a simulated enclave makes for this helper's Quoting Enclave.
  Result<sgx::Report> report(const ByteArray<64>& report_data = {}) const {
    ENCLAYER_TRY(auto found, target());
    return sim::ereport(sim::enclave_body(report_data), found.qe);
  }

  // A quote of at most `size` bytes.
  Result<quoting::QuoteReply> quote(const sgx::Report& of, std::uint32_t size = 8192) const {
    ENCLAYER_TRY(Bytes reply, ask(aesm::quote_request(of, size, std::nullopt)));
    return aesm::read_quote_reply(reply, false);
  }

  // A whole attestation, three connections: init, size, quote.
  Result<Bytes> attest() const {
    ENCLAYER_TRY(auto made, report());
    ENCLAYER_TRY(Bytes size_reply, ask(aesm::quote_size_request()));
    ENCLAYER_TRY(std::uint32_t size, aesm::read_quote_size_reply(size_reply));
    ENCLAYER_TRY(auto answer, quote(made, size));
    return std::move(answer.quote);
  }

 private:
  std::filesystem::path socket_;
};

// The command that starts one on a simulated platform.
inline std::vector<std::string> sim_quote_helper(const std::filesystem::path& socket,
                                                 const std::filesystem::path& state_dir,
                                                 const std::vector<std::string>& more_flags = {}) {
  std::vector<std::string> argv = {
      ENCLAYER_BIN_DIR "/enclayer-quote-helper", "--platform",  "sim",    "--socket", socket, "--slots-dir",
      state_dir.parent_path() / "slots",         "--state-dir", state_dir};
  argv.insert(argv.end(), more_flags.begin(), more_flags.end());
  return argv;
}

// One that runs.
class QuoteHelper {
 public:
  static constexpr std::chrono::seconds kPatience{30};

  // Returns when it serves, or when it does not within kPatience: then serving() is false and the log says why.
  explicit QuoteHelper(std::vector<std::string> more_flags = {}) : flags_(std::move(more_flags)) { start(); }

  void start() {
    process_ = std::make_unique<Process>(sim_quote_helper(socket(), state_dir(), flags_));
    serving_ = process_->wait_for_output(" serving ", kPatience);
  }

  bool serving() const { return serving_; }
  Process& process() { return *process_; }
  std::string log() const { return process_->err(); }
  std::filesystem::path socket() const { return folder_.path() / "run" / "aesm.socket"; }
  std::filesystem::path state_dir() const { return folder_.path() / "state"; }
  std::filesystem::path slots_dir() const { return folder_.path() / "slots"; }

  QuoteClient client() const { return QuoteClient(socket()); }
  Result<Bytes> ask(ByteView request) const { return client().ask(request); }
  Result<sgx::Report> report() const { return client().report(); }
  Result<Bytes> attest() const { return client().attest(); }

 private:
  TempFolder folder_;
  std::vector<std::string> flags_;
  std::unique_ptr<Process> process_;
  bool serving_ = false;
};

}  // namespace enclayer::fake
