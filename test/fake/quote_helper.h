// enclayer-quote-helper, the real binary, with a simulated platform and a folder of its own, and what an honest client
// does with it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "aesm/client.h"
#include "fake/process.h"
#include "fake/temp_folder.h"
#include "net/frame_client.h"
#include "quoting/sim_enclave.h"

namespace enclayer::fake {

class QuoteHelper {
 public:
  static constexpr std::chrono::seconds kPatience{30};

  // Returns when it serves, or when it does not within kPatience: then serving() is false and the log says why.
  explicit QuoteHelper(std::vector<std::string> more_flags = {}) : flags_(std::move(more_flags)) { start(); }

  void start() {
    std::vector<std::string> argv = {ENCLAYER_BIN_DIR "/enclayer-quote-helper",
                                     "--platform",
                                     "sim",
                                     "--socket",
                                     socket(),
                                     "--state-dir",
                                     state_dir()};
    argv.insert(argv.end(), flags_.begin(), flags_.end());
    process_ = std::make_unique<Process>(argv);
    serving_ = process_->wait_for_output(" serving ", kPatience);
  }

  bool serving() const { return serving_; }
  Process& process() { return *process_; }
  std::string log() const { return process_->err(); }
  std::filesystem::path socket() const { return folder_.path() / "run" / "aesm.socket"; }
  std::filesystem::path state_dir() const { return folder_.path() / "state"; }

  // One request on a connection of its own, and its reply, both without length.
  Result<Bytes> ask(ByteView request) const { return net::call(socket(), request, kPatience); }

  // The report that a simulated enclave makes for this helper's Quoting Enclave.
  Result<sgx::Report> report(const ByteArray<64>& report_data = {}) const {
    ENCLAYER_TRY(Bytes reply, ask(aesm::init_request()));
    ENCLAYER_TRY(auto target, aesm::read_init_reply(reply));
    return sgx::sim::ereport(quoting::sim_enclave_body(report_data), target.qe);
  }

  // A whole attestation, three connections: init, size, quote.
  Result<Bytes> attest() const {
    ENCLAYER_TRY(auto made, report());
    ENCLAYER_TRY(Bytes size_reply, ask(aesm::quote_size_request()));
    ENCLAYER_TRY(std::uint32_t size, aesm::read_quote_size_reply(size_reply));
    ENCLAYER_TRY(Bytes quote_reply, ask(aesm::quote_request(made, size, std::nullopt)));
    ENCLAYER_TRY(auto answer, aesm::read_quote_reply(quote_reply, false));
    return std::move(answer.quote);
  }

 private:
  TempFolder folder_;
  std::vector<std::string> flags_;
  std::unique_ptr<Process> process_;
  bool serving_ = false;
};

}  // namespace enclayer::fake
