// SPDX-License-Identifier: Apache-2.0
// The certificate that the service shows its clients where nobody gives it one: for names of its own, by an authority of
// its own, which can sign for these names and no others (RFC 5280, section 4.2.1.10). Clients trust ca.crt.
//
//   DIR/ca.crt, ca.key     the authority, for kAuthorityLife; made anew when less than kLife is left, or the names change
//   DIR/tls.crt, tls.key   the certificate, for kLife; made anew when a third of that is left
//
// Files are PEM, 0600; keys are on P-256.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "enclayer/error.h"
#include "enclayer/time.h"

namespace enclayer::attest {

class ServerCertificate {
 public:
  static constexpr std::chrono::days kLife{90}, kAuthorityLife{3650};
  static constexpr std::size_t kMaxNames = 16;

  // `names`: DNS names, the first of them the certificate's subject. kInvalidArgument: none, too many, or one that is no
  // DNS name.
  static Result<ServerCertificate> open(std::filesystem::path folder, std::vector<std::string> names);

  // Makes what is due; whoever does so at the same time in the same folder has to be kept out. A damaged file is made
  // anew, and with the authority's all of them. Errors are those of writing.
  Result<> renew(Time now) const;

  std::filesystem::path certificate() const { return folder_ / "tls.crt"; }
  std::filesystem::path key() const { return folder_ / "tls.key"; }
  std::filesystem::path authority() const { return folder_ / "ca.crt"; }

 private:
  ServerCertificate(std::filesystem::path folder, std::vector<std::string> names)
      : folder_(std::move(folder)), names_(std::move(names)) {}

  std::filesystem::path folder_;
  std::vector<std::string> names_;
};

}  // namespace enclayer::attest
