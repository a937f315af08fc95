// SPDX-License-Identifier: Apache-2.0
// One set of keys for all replicas: the files of a folder, kept in a Secret of Kubernetes. Each replica has a working
// copy, makes there what is due, and writes it back unless another one was faster, whose files then take their place:
//
//     read the Secret ---> the folder is like it ---> make what is due ---> write what has changed ---> done
//            ^                                                                    |
//            `--------------------------- 409: it has changed meanwhile <--------'
//
// So replicas that start at once end with one set, and none talks to another. The Secret is there before, empty: the
// rights are `get` and `patch` of this one object (and of one ConfigMap, where publish() is used), never `create`.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/json.h"
#include "enclayer/error.h"
#include "enclayer/time.h"
#include "http/account_client.h"

namespace enclayer::attest {

class KeySecret {
 public:
  static constexpr int kTries = 5;                            // to write what others write too
  static constexpr std::size_t kMaxAnswer = 512 << 10;        // bytes; etcd takes 1.5 MB, and our files have 40 KB
  static constexpr auto kRotateAt = "enclayer.io/rotate-at";  // annotation of the Secret: an RFC 3339 time

  struct Options {
    http::ApiServer api;
    std::string name_space, name;
    std::filesystem::path folder;  // made, mode 0700; its files named *.pem, *.key and *.crt are those of the Secret
  };
  explicit KeySecret(Options options) : options_(std::move(options)) {}

  // `make` makes what is due in the folder: signing keys older than `rotate_at`, once that has come, are among it. It may
  // be called more than once. Errors are those of `make`, of the folder and of the API server, whose messages name the
  // Secret and the remedy, and no content. kConflict: others were faster kTries times. After an error the folder may hold
  // what the Secret does not; the next call puts that right.
  using Make = std::function<Result<>(std::optional<Time> rotate_at)>;
  Result<> renew(const Make& make);

  // Puts `text` into the ConfigMap of the same namespace, under `key`, unless it is there.
  Result<> publish(const std::string& config_map, const std::string& key, const std::string& text) const;

 private:
  using Files = std::map<std::string, Bytes>;  // by name

  Result<Files> read_folder() const;
  Result<> write_folder(const Files& files) const;

  const Options options_;
};

}  // namespace enclayer::attest
