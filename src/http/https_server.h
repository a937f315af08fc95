// SPDX-License-Identifier: Apache-2.0
// The HTTP server of a service that strangers ask: HTTP/1.1 over TLS 1.2 or later, requests with bodies, connections that
// are kept. (The probes and metrics of a daemon are server.h, on a port of their own, which no stranger can crowd out.)
//
// One thread receives, sends and does TLS; answers are made in a pool of threads, so that nobody's work holds up another's
// bytes. Everything that a client can make grow has a limit:
//
//   connections   where all places are taken, the one that has been without an answer for longest gives way; one whose
//                 request is being answered never does
//   requests      more at once than `pending` are told to come back (503, Retry-After)
//   bytes         of the header lines (431) and of the body (413); of all bodies together, whether they are complete or
//                 not: beyond that the connection that holds most gives way, and where each is being answered a request is
//                 told to come back
//   time          for the handshake, for a request from its first byte to its last, between requests, to take an answer
//
// An idle connection over TLS takes some 12 KB: OpenSSL works on the socket itself, and keeps no buffers in between.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "enclayer/error.h"

namespace enclayer::http {

struct Incoming {
  std::string method{};         // "POST"
  std::string path{};           // "/attest/SgxEnclave", as it came, without the query
  std::string query{};          // "api-version=2020-10-01"
  std::string body{};           // not larger than the limit
  std::string authorization{};  // the header; empty where there is none
  std::string peer{};           // the address that it came from, without the port
  std::string client{};         // subject of the certificate that the client proved, RFC 2253; empty: none

  // The value of `name` in the query, %XX decoded; empty where it is missing.
  std::string parameter(const std::string& name) const;
};

struct Answer {
  int status = 200;
  std::string content_type = "application/json";
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};
};

struct ServerTls {
  std::string certificates, key;  // PEM; the server's own certificate first
  // PEM. Who shows a certificate of these authorities is known by its name; who shows none is served, too, without one.
  std::string client_authorities{};
};

struct ServerLimits {
  std::size_t connections = 2048;     // half a handshake takes some 45 KB
  std::size_t pending = 512;          // requests that are being answered or wait for it
  std::size_t header = 16 << 10;      // bytes
  std::size_t body = 1 << 20;         // bytes
  std::size_t bodies = 32 << 20;      // bytes, of all of them
  std::chrono::seconds handshake{5};  // from the connection to the first byte of a request, over TLS
  std::chrono::seconds request{10};   // from the first byte of a request to its last
  std::chrono::seconds idle{60};      // without a request
  std::chrono::seconds take_answer{10};
  unsigned workers = 0;  // threads that make answers; 0: as many as there are cores
};

class HttpsServer {
 public:
  using Handler = std::function<Answer(const Incoming& request)>;  // called by several threads at once

  // Listens on "ADDR:PORT", and with `tls` null speaks HTTP without TLS: what may go over it is the caller's business.
  // kInvalidArgument: an address of another form. kMalformed: certificate or key are none, or do not belong together.
  // kConflict: the port is taken.
  static Result<std::unique_ptr<HttpsServer>> listen(const std::string& address, const ServerTls* tls, Handler handler,
                                                     const ServerLimits& limits = {});
  // Takes no more connections and requests, finishes what was begun, for as long as take_answer, and closes.
  virtual ~HttpsServer() = default;

  virtual std::string address() const = 0;  // with the real port
  // Takes another certificate from the next connection on. kMalformed as above; the old one stays then.
  virtual Result<> renew(const ServerTls& tls) = 0;

  struct Load {
    std::size_t connections, pending;      // now
    std::uint64_t evicted, refused, slow;  // since the start: gave way; told to come back; took too long
  };
  virtual Load load() const = 0;
};

}  // namespace enclayer::http
