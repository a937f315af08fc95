// SPDX-License-Identifier: Apache-2.0
// What a simulated node remembers: its certificate authority and keys, made once, and the collateral it publishes.
//
//   STATE_DIR/private/   0700, files 0600: root.key root.crt pck-ca.key pck-ca.crt tcb-signing.key tcb-signing.crt
//   pck.key
//                        pck.crt attestation.key
//   STATE_DIR/public/    0755, files 0644: root.pem collateral.json; made from private/, and made again when missing
//   STATE_DIR/lock       held while something in here is made
#pragma once

#include <filesystem>

#include "sim/ca.h"

namespace enclayer::sim {

// The files that a relying party needs; readable for everybody.
std::filesystem::path public_root_path(const std::filesystem::path& state_dir);        // PEM
std::filesystem::path public_collateral_path(const std::filesystem::path& state_dir);  // the layout of collateral.h

class Platform {
 public:
  // Reads STATE_DIR/private, or makes it where there is none; several processes may do so at once and get the same.
  // What is there but damaged (cut off, mixed up, open to others) is an error that names the file and the remedy, and
  // stays as it is: keys are never replaced silently. Also publishes, as renew() does.
  static Result<Platform> open(const std::filesystem::path& state_dir, Time now);

  const Ca& ca() const { return ca_; }
  const SigningKey& attestation_key() const { return attestation_key_; }

  // Publishes root certificate and collateral where they are missing, of another CA, or through half of their life.
  // True when it did. Cheap when there is nothing to do: call it often.
  Result<bool> renew(Time now);
  // The next renew() looks at the files again, whatever is known of them.
  void look_again() { renew_at_ = {}; }

 private:
  Platform(std::filesystem::path state_dir, Ca ca, SigningKey attestation_key)
      : state_dir_(std::move(state_dir)), ca_(std::move(ca)), attestation_key_(std::move(attestation_key)) {}

  Result<bool> renew_locked(Time now);

  std::filesystem::path state_dir_;
  Ca ca_;
  SigningKey attestation_key_;
  Time renew_at_{};  // until then what is published is known to be good
};

}  // namespace enclayer::sim
